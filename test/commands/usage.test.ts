import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { ROOT } from "../repository/architecture.js";
import { hubcast } from "./cli.js";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));

describe("hubcast", () => {
  it.each(["--version", "-v"])("says its version for %s", async (flag) => {
    const { stdout, code } = await hubcast([flag]);
    expect(stdout).toMatch(new RegExp(`^hubcast/${manifest.version} \\S+ node-v\\d+`));
    expect(code).toBe(0);
  });

  it.skipIf(process.platform !== "linux")(
    "answers where the home takes no file, not even of the root user",
    () => {
      const env = { PATH: process.env.PATH, HOME: "/proc" };
      const { status, stdout } = spawnSync(process.execPath, [RUN, "-v"], {
        env,
        encoding: "utf8",
        timeout: 30_000,
      });
      expect([status, stdout]).toEqual([0, expect.stringContaining("hubcast/")]);
    },
  );

  it.each([[[]], [["--help"]], [["-h"]], [["help"]]])("lists topics and commands for %j", async (args) => {
    const { stdout, code } = await hubcast(args);
    expect(stdout).toMatch(/TOPICS\n\s+broadcast /);
    expect(stdout).toMatch(/completion/);
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

  it("breaks no example inside of quotes on 80 columns: a backslash there is not that of a shell", async () => {
    const { commands } = JSON.parse(readFileSync(join(ROOT, "oclif.manifest.json"), "utf8")) as {
      commands: Record<string, { examples?: readonly { command: string }[] }>;
    };
    const quoted = Object.entries(commands).filter(([, { examples = [] }]) =>
      examples.some(({ command }) => /['"]/.test(command)),
    );
    expect(quoted.length).toBeGreaterThan(3);
    for (const [id] of quoted) {
      const { stdout } = await hubcast([...id.split(":"), "--help"], { env: { OCLIF_COLUMNS: "80" } });
      const broken = stdout
        .slice(stdout.indexOf("EXAMPLES"))
        .split("\n")
        .filter((line) => line.endsWith("\\"));
      const isOpen = (line: string) => (line.replace(/"[^"]*"|'[^']*'/g, "").match(/['"]/g) ?? []).length > 0;
      expect(broken.filter(isOpen), id).toEqual([]);
    }
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
    [
      "a command without its topic",
      ["post", "hello"],
      /there is no command "post hello"\n +Did you mean hubcast broadcast post\?/,
    ],
    [
      "a command of two topics without either",
      ["start"],
      /there is no command "start"\n +Did you mean hubcast broadcast start, or hubcast hub start\?/,
    ],
    [
      "a misspelt command under another topic",
      ["hub", "lsit"],
      /there is no command "hub lsit"\n +Did you mean hubcast broadcast list\?/,
    ],
    [
      "a receiver that is no id",
      ["hub", "send", "hi", "--to", "abc"],
      /^error: --to: "abc" is not a whole number of 1 or more\n/,
    ],
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
    ["a bad count", ["broadcast", "list", "--limit", "0"], /--limit: "0" is not a whole number of 1 or more/],
    [
      "a bad duration",
      ["broadcast", "post", "x", "--wait", "1", "--timeout", "5"],
      /--timeout: "5" is not a duration\n +Write a number and a unit/,
    ],
    ["a bad number of nodes", ["broadcast", "post", "x", "--wait", "most"], /--wait: "most" is neither/],
    [
      "a wait for holders that is too long",
      ["broadcast", "post", "x", "--wait", "1", "--timeout", "30d"],
      /^error: --timeout: "30d" is out of range: 5m at most\n/,
    ],
    [
      "a pause that is too long",
      ["hub", "simulate", "-i", "25h"],
      /^error: --interval: "25h" is out of range: 24h at most\n/,
    ],
    [
      "an address of monitoring that is none",
      ["top", "--hub", "ftp://127.0.0.1"],
      /^error: --hub: "ftp:\/\/127.0.0.1" is not the URL of a hub's monitoring\n/,
    ],
    [
      "an address that is given twice",
      ["doctor", "127.0.0.1:1", "--url", "http://127.0.0.1:2"],
      /^error: HOST:PORT and --url were both given\n/,
    ],
    ["a command to run that is empty", ["broadcast", "watch", "--exec", " "], /^error: --exec is empty\n/],
    [
      "a state file without a name",
      ["broadcast", "watch", "--exec", "true", "--state", ""],
      /^error: --state is empty\n/,
    ],
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

  it.each([
    ["one dash", ["hub", "simulate", "-json", "--nope"], {}],
    ["a log in JSON", ["hub", "start", "-log-format=json", "--nope"], {}],
    ["its variable", ["hub", "start", "--nope"], { HUBCAST_HUB_LOG_FORMAT: "json" }],
    [
      "a log in JSON once the flags are parsed",
      ["broadcast", "start", "--log-format", "json", "--token-file", "/nowhere"],
      {},
    ],
    [
      "its variable once the flags are parsed",
      ["broadcast", "start", "--token-file", "/nowhere"],
      { HUBCAST_LOG_FORMAT: "json" },
    ],
  ])("is a document for %s, too", async (_what, words, env: Record<string, string>) => {
    const { stdout, stderr, code } = await hubcast(words, { env });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "usage" } });
    expect([stderr, code]).toEqual(["", 2]);
  });

  it.each([
    ["broadcast", { HUBCAST_RETENTION: "soon" }, /^error: HUBCAST_RETENTION: "soon" is not a duration/],
    [
      "broadcast",
      { HUBCAST_RETENTION: "5ms" },
      /^error: HUBCAST_RETENTION: "5ms" is out of range: 1s at least/,
    ],
    ["broadcast", { HUBCAST_TOKEN_FILE: "/nowhere" }, /^error: cannot read HUBCAST_TOKEN_FILE: /],
    ["hub", { HUBCAST_HUB_PORT: "x", HUBCAST_PORT: "1" }, /^error: HUBCAST_HUB_PORT: "x" is not a port/],
    ["hub", { HUBCAST_HUB_SLOW_CONSUMER: "kill" }, /HUBCAST_HUB_SLOW_CONSUMER=kill/],
    [
      "broadcast",
      { HUBCAST_NO_MDNS: "perhaps" },
      /^error: HUBCAST_NO_MDNS is "perhaps"\n {2}It takes 1, true/,
    ],
    ["hub", { HUBCAST_HUB_STAT: "banana" }, /^error: HUBCAST_HUB_STAT is "banana"\n/],
    ["broadcast", { HUBCAST_PEER: "banana" }, /^error: HUBCAST_PEER: "banana" is not the address of a peer/],
    ["broadcast", { HUBCAST_TOKEN: " " }, /^error: HUBCAST_TOKEN is blank\n/],
    ["hub", { HUBCAST_TOKEN: " " }, /^error: HUBCAST_TOKEN is blank\n/],
  ])(
    "%s start reads flags from variables, and names the variable that is bad: %j",
    async (topic, env, said) => {
      const { stderr, code } = await hubcast([topic, "start"], { env });
      expect(stderr).toMatch(said);
      expect(code).toBe(2);
    },
  );

  it("names the flag where both are given", async () => {
    const args = ["broadcast", "start", "--retention", "later"];
    const { stderr } = await hubcast(args, { env: { HUBCAST_RETENTION: "soon" } });
    expect(stderr).toMatch(/^error: --retention: "later" is not a duration/);
  });

  it("takes on and off for flags without a value", async () => {
    const env = { HUBCAST_NO_MDNS: "on", HUBCAST_LIVE: "off", HUBCAST_MDNS_INTERFACE: "127.0.0.1" };
    const { stderr } = await hubcast(["broadcast", "start"], { env });
    expect(stderr).toMatch(
      /^error: HUBCAST_NO_MDNS cannot also be provided when using HUBCAST_MDNS_INTERFACE\n/,
    );
  });

  it("names the variable that a flag of the command line excludes", async () => {
    const { stderr, code } = await hubcast(["broadcast", "start", "--no-mdns"], {
      env: { HUBCAST_MDNS_INTERFACE: "127.0.0.1" },
    });
    expect(stderr).toMatch(/^error: --no-mdns cannot also be provided when using HUBCAST_MDNS_INTERFACE\n/);
    expect(code).toBe(2);
  });
});

describe("a full disk", () => {
  it.each([
    ["for what is printed", "--version", ">/dev/full", /^error: cannot write: ENOSPC/],
    ["for the help", "--help", ">/dev/full", /cannot write: ENOSPC/],
    [
      "for a report",
      "hub simulate -c 2 -n 1 -i 1ms --size 100 --report /dev/full",
      "",
      /^error: --report: cannot write \/dev\/full: ENOSPC/m,
    ],
  ])("%s is said, and no bug", (_, words, to, said) => {
    const command = `"${process.execPath}" "${RUN}" ${words} ${to}`;
    const { status, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
    expect(stderr).toMatch(said);
    expect(stderr).not.toContain("bug");
    expect(status).not.toBe(0);
  });
});
