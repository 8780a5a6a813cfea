import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { Cli, type CliOptions, hubcast } from "./cli.js";

/** Keeps a node of these tests to itself, on loopback. */
const ALONE = ["broadcast", "start", "--no-mdns", "--p2p-host", "127.0.0.1"];
const directory = mkdtempSync(join(tmpdir(), "hubcast-start-"));

/** A node that is up; killed when the test ends. */
class Running implements AsyncDisposable {
  constructor(
    readonly cli: Cli,
    readonly url: string,
  ) {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.cli.kill("SIGKILL");
    await this.cli.ended();
  }
}

async function started(args: readonly string[], options?: CliOptions): Promise<Running> {
  const cli = new Cli([...ALONE, ...args, "--json"], options);
  await cli.says(/\n/);
  return new Running(cli, JSON.parse(cli.stdout).url);
}

describe("broadcast start", () => {
  it("says with --json where it listens, and answers there", async () => {
    await using node = await started(["--port", "0", "--name", "kitchen"]);
    expect(JSON.parse(node.cli.stdout)).toMatchObject({
      type: "ready",
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      peerAddresses: expect.arrayContaining([expect.stringContaining("127.0.0.1")]),
      name: "kitchen",
    });
    const { stdout, code } = await hubcast(["broadcast", "list", "--url", node.url]);
    expect([stdout, code]).toEqual(["", 0]);
  });

  it("says in ten lines or fewer where it is, how to use it, and who can join", async () => {
    const cli = new Cli([...ALONE, "--port", "0", "--name", "kitchen"]);
    await cli.says(/can join/);
    cli.kill("SIGTERM");
    const { stdout, code } = await cli.ended();
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stdout)![0];
    expect(stdout).toMatch(/^node kitchen is up/);
    expect(stdout).toContain(`node bin/run.js broadcast post --url ${url} `);
    expect(stdout).toContain(`node bin/run.js broadcast watch --url ${url}\n`);
    expect(stdout).toContain("anyone on this network can join and post");
    expect(stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
    expect(code).toBe(0);
  });

  it("says that only nodes with the cluster key can join, when there is one", async () => {
    const file = join(directory, "cluster.key");
    await hubcast(["keys", "cluster", "--out", file]);
    const cli = new Cli([...ALONE, "--port", "0", "--cluster-key-file", file]);
    await cli.says(/can join/);
    cli.kill("SIGTERM");
    expect((await cli.ended()).stdout).toContain("only nodes with the cluster key can join");
  });

  it.each([
    ["--cluster-key-file", "5ecre7", /does not hold 64 hex digits/],
    ["--allow-peers", "kitchen", /"kitchen" is no id of a node/],
    ["--trust", "# nobody yet", /there is no key in/],
    ["--trust", "# me\n5ecre7", /line 2 of .* is no public key/],
    ["--trust", `${"5e".repeat(32)} alerts/ # me\n${"5e".repeat(32)} alerts`, /line 2 of .* no topic/],
    ["--trust", `${"5e".repeat(32)} alerts//`, /line 1 of .* no topic/],
    ["--trust", `${"5e".repeat(32)} alerts/\n${"5e".repeat(32)}`, /with topics and without/],
    ["--trust", "a".repeat(5_000_000), /has more than 4194304 bytes/],
  ])("refuses to start with a bad file: %s %.20j", async (flag, text, said) => {
    const file = join(directory, "bad");
    writeFileSync(file, text);
    const { stderr, code } = await hubcast([...ALONE, "--port", "0", flag, file]);
    expect(stderr).toMatch(said);
    expect(stderr).not.toContain("5ecre7");
    expect(code).toBe(2);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "stops cleanly at %s, with exit code 0",
    async (signal) => {
      await using node = await started(["--port", "0"]);
      node.cli.kill(signal);
      const { stdout, stderr, code } = await node.cli.ended();
      expect(stdout.split("\n").length).toBe(2);
      expect(stderr).toMatch(new RegExp(`${signal}: stopping.*\nstopped\n$`));
      expect(code).toBe(0);
    },
  );

  it("tells a service manager that it is up, and is not stopped when that reloads it", async () => {
    const told = join(directory, "told");
    writeFileSync(join(directory, "systemd-notify"), `#!/bin/sh\necho "$@" >>'${told}'\n`, { mode: 0o755 });
    const env = { NOTIFY_SOCKET: "/run/none", PATH: `${directory}:${process.env.PATH}` };
    await using node = await started(["--port", "0"], { env });
    await eventually(() => existsSync(told) && readFileSync(told, "utf8") === "--ready\n");
    node.cli.kill("SIGHUP");
    const { stdout } = await hubcast(["broadcast", "status", "--json", "--url", node.url]);
    expect(JSON.parse(stdout)).toMatchObject({ items: 0 });
    node.cli.kill("SIGTERM");
    const { stderr, code } = await node.cli.ended();
    expect(stderr).toMatch(/SIGTERM: stopping.*\nstopped\n$/);
    expect(stderr).not.toContain("SIGHUP");
    expect(code).toBe(0);
  });

  it("takes its port from -httpport, --httpport and HUBCAST_PORT too", async () => {
    for (const args of [["-httpport", "0"], ["-httpport=0"], ["--httpport", "0"]]) {
      await using node = await started(args);
      expect(node.url).not.toMatch(/:8080$/);
    }
    await using node = await started([], { env: { HUBCAST_PORT: "0" } });
    expect(node.url).not.toMatch(/:8080$/);
  });

  it("is called as the system before it was: one dash", async () => {
    const cli = new Cli(["broadcast", "start", "-httpport=0", "-no-mdns", "-p2p-host=127.0.0.1", "-json"]);
    await cli.says(/"type":"ready"/);
    cli.kill("SIGTERM");
    expect((await cli.ended()).code).toBe(0);
  });

  it("names the port that is in use, and what to do", async () => {
    await using node = await started(["--port", "0"]);
    const { port } = new URL(node.url);
    const { stdout, stderr, code } = await hubcast([...ALONE, "--port", port]);
    expect(stderr).toMatch(new RegExp(`error: .*${port}.*in use`));
    expect(stderr).toContain("--port");
    expect([stdout, code]).toEqual(["", 3]);
  });

  it.each(["/proc/x", "/proc/x/y", "/proc/self/fd/x", "/sys/x"])(
    "says that no data directory can be made at %s",
    async (path) => {
      const { stdout, stderr, code } = await hubcast([...ALONE, "--port", "0", "--data-dir", path]);
      expect(stderr).toMatch(new RegExp(`^error: cannot .* data directory ${path}`));
      expect([stdout, code]).toEqual(["", 4]);
    },
  );

  it.each([
    ["nothing", "nowhere"],
    ["itself", "loop"],
    ["a device", "/dev/null"],
  ])("takes no data directory that is a link to %s, and one to a directory", async (_what, target) => {
    const link = join(directory, "loop");
    rmSync(link, { force: true });
    symlinkSync(target, link);
    const { stderr, code } = await hubcast([...ALONE, "--port", "0", "--data-dir", link]);
    expect([stderr, code]).toEqual([expect.stringContaining(`the data directory ${link}: E`), 4]);
    rmSync(link);
    symlinkSync(mkdtempSync(join(directory, "data-")), link);
    await using node = await started(["--port", "0", "--data-dir", link]);
    expect(node.url).toMatch(/^http:/);
  });

  // To root all may be written, but for this right.
  it.runIf(process.getuid?.() === 0)("says which file of the data directory it may not write", async () => {
    const data = mkdtempSync(join(directory, "data-"));
    const node = await started(["--port", "0", "--data-dir", data]);
    node.cli.kill("SIGTERM");
    await node.cli.ended();
    const database = join(data, "items.sqlite");
    execFileSync("chmod", ["444", database]);
    const under = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    const flags = ["--port", "0", "--data-dir", data];
    const { stderr, code } = await hubcast([...ALONE, ...flags], { under });
    expect([stderr, code]).toEqual([expect.stringContaining(`permission denied, access '${database}'`), 4]);
    execFileSync("chmod", ["644", database]);
    await using again = await started(flags, { under });
    const headers = { "content-type": "application/json" };
    const posted = await fetch(`${again.url}/v1/items`, { method: "POST", headers, body: '{"raw":"x"}' });
    expect(posted.status).toBe(201);
  });

  it("ends at a second signal while it waits for a file that never comes", async () => {
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    const cli = new Cli([...ALONE, "--port", "0", "--token-file", pipe]);
    const again = setInterval(() => cli.kill("SIGTERM"), 100);
    // One may come before there is a handler, or when the process has given its place away.
    const { code, signal } = await cli.ended();
    clearInterval(again);
    expect([code, signal]).toSatisfy(([code, signal]) => code === 130 || signal === "SIGTERM");
  });

  it("lets nobody in from elsewhere without a token", async () => {
    const { stderr, code } = await hubcast([...ALONE, "--port", "0", "--host", "0.0.0.0"]);
    expect(stderr).toMatch(/--token-file/);
    expect(code).toBe(2);
  });

  it("refuses a token file that is not there, empty, or not understood", async () => {
    const empty = join(directory, "empty");
    writeFileSync(empty, "\n");
    const odd = join(directory, "odd");
    writeFileSync(odd, "# tokens\nsecret admin\n");
    for (const [file, said] of [
      [join(directory, "none"), "cannot read --token-file"],
      [empty, "is empty"],
      [odd, "neither TOKEN nor TOKEN read|post"],
    ]) {
      const { stderr, code } = await hubcast([...ALONE, "--port", "0", "--token-file", file!]);
      expect([stderr, code]).toEqual([expect.stringContaining(said!), 2]);
    }
  });
});

describe("every hint that a start prints works when it is pasted", () => {
  const token = join(directory, "a token");
  writeFileSync(token, "secret\n");
  const cert = fileURLToPath(new URL("../fixtures/tls/cert.pem", import.meta.url));
  const tls = ["--tls-cert", cert, "--tls-key", cert.replace("cert.pem", "key.pem")];
  const hints = (stdout: string) =>
    stdout.split("\n").filter((line) => line.startsWith("  ") && / bin\/run\.js /.test(line));
  const paste = (line: string) => {
    const child = spawn("sh", ["-c", `exec env ${line.trim()}`], { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
    return { child, text: () => text };
  };

  it.each([
    ["a node on loopback", []],
    ["a node with a token, on all addresses", ["--host", "0.0.0.0", "--token-file", token]],
    ["a node with a certificate", tls],
  ])("%s", { timeout: 60_000 }, async (_, flags) => {
    const cli = new Cli([...ALONE, "--port", "0", ...flags], { deadlineMs: 60_000 });
    await cli.says(/can join/);
    const [post, watch] = hints(cli.stdout);
    const watching = paste(watch!);
    try {
      // Until the watcher is there, a post is history to it.
      await eventually(async () => {
        const posting = paste(post!);
        const [code] = await once(posting.child, "close");
        if (code !== 0) throw new Error(`${post}: ${posting.text()}`);
        return watching.text().includes("hello");
      }, 40_000);
    } finally {
      watching.child.kill("SIGKILL");
      cli.kill("SIGKILL");
      await cli.ended();
    }
  });

  it.each([
    ["a hub on loopback", []],
    ["a hub with a token, on all addresses", ["--host", "0.0.0.0", "--token-file", token]],
    ["a hub with a certificate", tls],
  ])("%s", { timeout: 60_000 }, async (_, flags) => {
    const cli = new Cli(["hub", "start", "--no-mdns", "--port", "0", ...flags], { deadlineMs: 60_000 });
    await cli.says(/send.*--all/);
    const [listen, send] = hints(cli.stdout);
    const listening = paste(listen!);
    try {
      await eventually(async () => {
        const sending = paste(send!);
        const [code] = await once(sending.child, "close");
        if (code !== 0) throw new Error(`${send}: ${sending.text()}`);
        return listening.text().includes("hello");
      }, 40_000);
    } finally {
      listening.child.kill("SIGKILL");
      cli.kill("SIGKILL");
      await cli.ended();
    }
  });

  it("with trusted keys it suggests no post, which would be refused", async () => {
    const key = join(directory, "author.key");
    await hubcast(["keys", "generate", "--out", key]);
    const shown = await hubcast(["keys", "show", key]);
    const trusted = join(directory, "trusted");
    writeFileSync(trusted, /[0-9a-f]{64}/.exec(shown.stdout)![0]);
    const cli = new Cli([...ALONE, "--port", "0", "--trust", trusted]);
    await cli.says(/can join/);
    cli.kill("SIGKILL");
    expect(hints((await cli.ended()).stdout).map((line) => /broadcast \w+/.exec(line)?.[0])).toEqual([
      "broadcast watch",
    ]);
  });
});

describe("--live off a terminal", () => {
  it("says once a second on stderr what a node does", async () => {
    const node = new Cli([...ALONE, "--port", "0", "--live"]);
    await node.says(/node \S+ (starting|ready), 0 items, .*posts 0\/s/, "stderr");
    node.kill("SIGINT");
    expect((await node.ended()).code).toBe(0);
  });

  it("says once a second on stderr what a hub does", async () => {
    const hub = new Cli(["hub", "start", "--port", "0", "--no-mdns", "--live"]);
    await hub.says(/0 clients, in 0\/s/, "stderr");
    hub.kill("SIGINT");
    expect((await hub.ended()).code).toBe(0);
  });
});
