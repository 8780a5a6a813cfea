import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commandManifest } from "../../scripts/manifest.js";
import { ROOT, readSources } from "./architecture.js";

const text = readFileSync(join(ROOT, "oclif.manifest.json"), "utf8");
const manifest = JSON.parse(text) as { commands: Record<string, Command> };

interface Command {
  readonly id: string;
  readonly summary?: string;
  readonly examples?: readonly unknown[];
  readonly flags: Readonly<Record<string, { readonly description?: string; readonly env?: string }>>;
}

const commands = Object.values(manifest.commands);

describe("oclif.manifest.json", () => {
  it("describes the commands as they are built", async () => {
    expect(JSON.parse(await commandManifest(ROOT))).toEqual(manifest);
  });

  it.skipIf(!existsSync(join(ROOT, ".git")))("is committed as it is built", () => {
    const { status, stdout } = spawnSync("git", ["diff", "--stat", "--", "oclif.manifest.json"], {
      cwd: ROOT,
    });
    expect([status, stdout.toString()], "commit oclif.manifest.json with the command").toEqual([0, ""]);
  });

  it("has every file of src/commands", () => {
    const ids = readSources(["src/commands"]).map(({ path }) =>
      path
        .replace(/^src\/commands\//, "")
        .replace(/(\/index)?\.tsx?$/, "")
        .replaceAll("/", ":"),
    );
    expect(ids.length).toBeGreaterThan(0);
    expect(Object.keys(manifest.commands).sort()).toEqual(ids.sort());
  });

  it.each(commands)("$id has a summary, examples, and a description of every flag", (command) => {
    expect(command.summary).toMatch(/^[A-Z].*\.$/);
    expect(command.examples?.length).toBeGreaterThan(0);
    for (const [name, flag] of Object.entries(command.flags)) expect(flag.description, name).toMatch(/\.$/);
  });

  it.each(commands.filter(({ id }) => id.endsWith(":start")))(
    "$id reads a variable for every flag",
    (command) => {
      const own = Object.entries(command.flags).filter(
        ([name]) => !["json", "quiet", "verbose"].includes(name),
      );
      for (const [name, { env }] of own)
        expect(env).toBe(
          `${command.id === "hub:start" ? "HUBCAST_HUB_" : "HUBCAST_"}${name.toUpperCase().replaceAll("-", "_")}`,
        );
    },
  );
});
