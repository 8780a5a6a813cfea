import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Cli, hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

/** Makes Node say that it is 20: as far as bin/run.js can tell, it is. */
const OLD = [
  "--import",
  'data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.11.1"}})',
];

describe("on a Node that is too old", () => {
  it("runs on the Node that npm installed, with the same input, output and exit code", async () => {
    const { stdout, stderr, code } = await hubcast(["broadcast", "post", "-"], {
      nodeArgs: OLD,
      input: "a\0b",
    });
    expect(stderr).toContain("standard input looks binary");
    expect([stdout, code]).toEqual(["", 4]);
  });

  it("passes SIGINT on", async () => {
    await using node = await fakeNode(() => ({
      type: "text/event-stream",
      body: ": hello\n\n",
      stream: () => {},
    }));
    const cli = new Cli(["broadcast", "watch", "--url", node.url], { nodeArgs: OLD });
    await expect.poll(() => node.calls.length, { timeout: 10_000 }).toBeGreaterThan(0);
    cli.kill("SIGINT");
    expect(await cli.ended()).toMatchObject({ code: 130, signal: null });
  });

  it("dies by the signal that killed the command", async () => {
    await using node = await fakeNode(() => ({
      type: "text/event-stream",
      body: ": hello\n\n",
      stream: () => {},
    }));
    const cli = new Cli(["broadcast", "watch", "--url", node.url], { nodeArgs: OLD });
    await expect.poll(() => node.calls.length, { timeout: 10_000 }).toBeGreaterThan(0);
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  it("leaves no process behind when it is killed", async () => {
    let open = 0;
    await using node = await fakeNode(() => ({
      type: "text/event-stream",
      body: ": hello\n\n",
      stream: (response) => {
        open++;
        response.on("close", () => open--);
      },
    }));
    const cli = new Cli(["broadcast", "watch", "--url", node.url], { nodeArgs: OLD });
    await expect.poll(() => open, { timeout: 10_000 }).toBe(1);
    cli.kill("SIGKILL");
    await expect.poll(() => open, { timeout: 10_000 }).toBe(0);
  });

  it("says what to do when there is no other", () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "hubcast-bin-"));
    cpSync(new URL("../../bin", import.meta.url), join(elsewhere, "bin"), { recursive: true });
    cpSync(new URL("../../package.json", import.meta.url), join(elsewhere, "package.json"));
    const { status, stderr } = spawnSync(process.execPath, [
      ...OLD,
      join(elsewhere, "bin", "run.js"),
      "--help",
    ]);
    expect(stderr.toString()).toMatch(
      /^hubcast needs Node.js 22\.19 or newer.*20\.11\.1.*npm rebuild node.*\n$/,
    );
    expect(status).toBe(2);
  });
});
