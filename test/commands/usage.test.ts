import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { hubcast } from "./cli.js";

const home = mkdtempSync(join(tmpdir(), "hubcast-home-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("hubcast", () => {
  it("says its version", async () => {
    const { stdout, code } = await hubcast(["--version"]);
    expect(stdout).toMatch(new RegExp(`^hubcast/${manifest.version} \\S+ node-v\\d+`));
    expect(code).toBe(0);
  });

  it.each([[[]], [["--help"]], [["-h"]], [["help"]]])("lists topics and commands for %j", async (args) => {
    const { stdout, code } = await hubcast(args);
    expect(stdout).toMatch(/TOPICS\n\s+broadcast /);
    expect(stdout).toMatch(/autocomplete/);
    expect(code).toBe(0);
  });

  it.each([
    [["broadcast", "post", "--help"]],
    [["broadcast", "post", "-h"]],
    [["help", "broadcast", "post"]],
  ])("shows usage, flags and examples for %j", async (args) => {
    const { stdout, code } = await hubcast(args);
    expect(stdout).toContain("$ hubcast broadcast post [RAW]");
    expect(stdout).toContain("--wait=K|all");
    expect(stdout).toContain("EXAMPLES");
    expect(stdout).not.toContain("<%=");
    expect(code).toBe(0);
  });

  it("installs completion", async () => {
    const { stderr, code } = await hubcast(["autocomplete", "bash"], { env: { HOME: home } });
    expect([stderr, code]).toEqual([expect.stringContaining("done"), 0]);
  });
});

describe("a command line that cannot be understood", () => {
  it.each([
    [
      "a misspelt command",
      ["broadcast", "lsit"],
      /there is no command "broadcast lsit"\n +Did you mean hubcast broadcast list\?/,
    ],
    ["a misspelt topic", ["brodcast", "list"], /Did you mean hubcast broadcast list\?/],
    ["nothing near", ["frobnicate"], /there is no command "frobnicate"\n +Run hubcast --help/],
    ["an unknown flag before a command", ["--frobnicate"], /unknown flag --frobnicate/],
    [
      "a misspelt flag",
      ["broadcast", "list", "--snice", "1h"],
      /unknown flag --snice\n +Did you mean --since\?\n +Run hubcast broadcast list --help/,
    ],
    [
      "an argument too many",
      ["broadcast", "list", "extra"],
      /unexpected argument "extra"\n +Run hubcast broadcast list --help/,
    ],
    ["a flag without its value", ["broadcast", "list", "--url"], /flag --url expects a value/],
    [
      "a bad instant",
      ["broadcast", "list", "--since", "yesterday"],
      /--since: "yesterday" is not an instant\n +Write 10m/,
    ],
    ["a bad count", ["broadcast", "list", "--limit", "0"], /--limit: "0" is not a whole number from 1/],
    [
      "a bad duration",
      ["broadcast", "post", "x", "--wait", "1", "--timeout", "5"],
      /--timeout: "5" is not a duration\n +Write a number and a unit/,
    ],
    ["a bad number of nodes", ["broadcast", "post", "x", "--wait", "most"], /--wait: "most" is neither/],
    ["a bad port", ["broadcast", "start", "--port", "70000"], /--port: "70000" is not a port/],
  ])("names %s and what to do", async (_what, args, said) => {
    const { stdout, stderr, code } = await hubcast(args);
    expect(stderr).toMatch(said);
    expect(stderr).not.toMatch(/\n +at /);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  it("is a document on stdout with --json", async () => {
    const { stdout, stderr, code } = await hubcast(["broadcast", "list", "--snice", "1h", "--json"]);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "usage",
        message: "unknown flag --snice",
        suggestions: ["Did you mean --since?", "Run hubcast broadcast list --help to see how it is called."],
        exitCode: 2,
      },
    });
    expect([stderr, code]).toEqual(["", 2]);
  });

  it("reads a flag of start from its variable, and names the flag when it is bad", async () => {
    const { stderr, code } = await hubcast(["broadcast", "start"], { env: { HUBCAST_RETENTION: "soon" } });
    expect(stderr).toMatch(/--retention: "soon" is not a duration/);
    expect(code).toBe(2);
  });
});
