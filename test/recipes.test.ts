import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { StartedNode } from "../src/node/index.js";
import { eventually } from "./fixtures/eventually.js";
import { freePort } from "./fixtures/free-port.js";
import { Nodes } from "./fixtures/nodes.js";

const SOON_MS = 30_000;
const PAGE = readFileSync(new URL("../docs/recipes.md", import.meta.url), "utf8");
const HTTP = { http: { port: 0 } };

const root = await mkdtemp(join(tmpdir(), "hubcast-recipes-"));

/** Programs that stand before those of the system: `hubcast` of this checkout, and what a test puts there. */
const programs = join(root, "bin");
mkdirSync(programs);
const RUN = fileURLToPath(new URL("../bin/run.js", import.meta.url));
program("hubcast", `exec "${process.execPath}" "${RUN}" "$@"`);

function program(name: string, text: string): void {
  writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(programs, name), 0o755);
}

/** The blocks of a section, in its order, as they stand there. */
function blocksOf(heading: string): readonly string[] {
  const [, section] = PAGE.split(`\n## ${heading}\n`);
  if (section === undefined) throw new Error(`docs/recipes.md has no section ${heading}`);
  return [...section.split("\n## ")[0]!.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block!);
}

/** A machine on which recipes run: a directory of its own, and a node. */
class Machine implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];
  stderr = "";
  url = "";

  constructor(readonly path: string) {
    mkdirSync(path);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  text(name: string): string {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), "utf8") : "";
  }

  /** Runs a block, which does not end by itself. Resolves when it says so on stderr or stdout. */
  async begin(block: string, said: RegExp): Promise<void> {
    const child = spawn("/bin/sh", ["-c", block], { cwd: this.path, env: this.#env, detached: true });
    this.#children.push(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        this.stderr += text;
      });
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
      return said.test(output);
    }, SOON_MS);
  }

  watch(block: string): Promise<void> {
    return this.begin(block, /the command runs for each item/);
  }

  /** Runs a block to its end. @throws when it fails */
  run(block: string): string {
    return execFileSync("/bin/sh", ["-c", block], {
      cwd: this.path,
      env: this.#env,
      encoding: "utf8",
      stdio: "pipe",
    });
  }

  get #env(): Record<string, string> {
    return {
      PATH: `${programs}${delimiter}${process.env.PATH}`,
      HOME: this.path,
      ...(this.url !== "" && { HUBCAST_URL: this.url }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.toReversed()) {
      const ended = child.exitCode === null && once(child, "exit");
      // Its group: the shell, and what it runs.
      try {
        process.kill(-child.pid!, "SIGTERM");
      } catch {}
      await ended;
    }
  }
}

let machines = 0;
const machine = () => new Machine(join(root, `machine-${machines++}`));

async function machineWith(node: StartedNode): Promise<Machine> {
  const made = machine();
  made.url = node.url!;
  return made;
}

test("every recipe has its test", () => {
  const headings = [...PAGE.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual([
    "A line in a file",
    "A desktop notification",
    "A webhook",
    "git pull on every machine",
    "An MQTT message",
  ]);
});

test("a line in a file", async () => {
  await using nodes = new Nodes();
  const node = await nodes.start(HTTP);
  await using here = await machineWith(node);
  const [watch] = blocksOf("A line in a file");
  await here.watch(watch!);
  const { timestampMs } = await node.post({ id: "notice", raw: "$(id) doors %s open\nat nine" });
  const line = `${timestampMs} notice $(id) doors %s open\n`;
  await eventually(() => here.text("items.log") === line, SOON_MS);
});

test("a desktop notification", async () => {
  program("notify-send", 'printf "%s\\0" "$@" >> "$HOME/shown"');
  await using nodes = new Nodes();
  const node = await nodes.start(HTTP);
  await using here = await machineWith(node);
  const [watch] = blocksOf("A desktop notification");
  await here.watch(watch!);
  await node.post({ id: "other", raw: "no alert" });
  await node.post({ id: "alerts/disk/1", raw: "<b>db1</b> & db2 are full" });
  await node.post({ id: "alerts/large", raw: "x".repeat(1_000_000) });
  const shown = () => here.text("shown").split("\0").slice(0, -1);
  await eventually(() => shown().length === 6, SOON_MS);
  expect(shown()).toEqual([
    ...["--", "alerts/disk", "&lt;b>db1&lt;/b> &amp; db2 are full"],
    ...["--", "alerts", "x".repeat(500)],
  ]);
});

test("a webhook", async () => {
  const calls: { readonly key: unknown; readonly text: string }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    calls.push({ key: request.headers["idempotency-key"], text });
    // Each fails at first.
    response.statusCode = calls.filter((call) => call.text === text).length === 1 ? 503 : 204;
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await using nodes = new Nodes();
    const node = await nodes.start(HTTP);
    await using here = await machineWith(node);
    const { port } = server.address() as AddressInfo;
    const [watch] = blocksOf("A webhook");
    await here.watch(watch!.replace("https://hooks.example.org", `http://127.0.0.1:${port}`));
    const raw = "line 1\n'line' \"2\" & $(id)\n";
    const { digest } = await node.post({ id: "alerts/1", raw });
    await eventually(() => calls.length === 2, SOON_MS);
    expect(calls).toEqual(Array(2).fill({ key: digest, text: raw }));
    expect(here.stderr).toMatch(/the command failed for alerts\/1: exit code 22; again in/);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("git pull on every machine", { timeout: 60_000 }, async () => {
  const [makeKey, start, watch, post] = blocksOf("git pull on every machine");
  const git = "git -c user.name=t -c user.email=t@example.org -c init.defaultBranch=main";
  await using desk = machine();
  desk.run(
    `${git} init -q site && echo one > site/page && git -C site add page && ${git} -C site commit -qm one`,
  );
  desk.run(makeKey!);
  await using one = machine();
  await using two = machine();
  const loopback = "--port 0 --p2p-host 127.0.0.1 --mdns-interface 127.0.0.1 --cluster recipes --json";
  for (const each of [one, two]) {
    each.run(`git clone -q '${desk.file("site")}' site && cp '${desk.file("trusted")}' trusted`);
    await each.begin(
      `${start!.trim()} ${loopback}-${process.pid}`.replace(/ --json(-\d+)$/, "$1 --json"),
      /"ready"/,
    );
    each.url = JSON.parse(each.stderr.split("\n").find((line) => line.includes('"ready"'))!).url;
    await each.watch(watch!);
  }
  desk.url = one.url;
  expect(() => desk.run("hubcast broadcast post now --topic deploy/site")).toThrow(/does not accept/);
  desk.run(`echo two > site/page && ${git} -C site commit -qam two`);
  desk.run(post!);
  await eventually(() => [one, two].every((each) => each.text("site/page") === "two\n"), SOON_MS);
});

test("an MQTT message", async () => {
  const port = await freePort();
  await using broker = machine();
  writeFileSync(broker.file("conf"), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
  await broker.begin("PATH=$PATH:/usr/sbin exec mosquitto -v -c conf", /mosquitto version .* running/);
  await broker.begin(`exec mosquitto_sub -h 127.0.0.1 -p ${port} -t 'hubcast/#' -F '%t %x' > got`, /^/);
  await eventually(() => /Received SUBSCRIBE/.test(broker.stderr), SOON_MS);
  await using nodes = new Nodes();
  const node = await nodes.start(HTTP);
  await using here = await machineWith(node);
  const [watch] = blocksOf("An MQTT message");
  await here.watch(watch!.replace("broker.example.org -p 1883", `127.0.0.1 -p ${port}`));
  const raw = "disk\nfull \"'$(id)";
  await node.post({ id: "alerts/disk+#/1", raw });
  const line = `hubcast/alerts/disk__ ${Buffer.from(raw).toString("hex")}`;
  await eventually(() => broker.text("got").toLowerCase().includes(line), SOON_MS);
});
