// The service of a hub to others while somebody abuses it: how long messages take from one client to another (p50,
// p99, most), what the hub's memory grows to, and when that comes back.
// npm run build && node bench/abuse-hub.ts [SECONDS of each] [ATTACK...]
// Read: p99 at most 100 ms, and memory back within 60 s. 50 messages a second of 128 bytes are due whether or not the
// ones before have come; latency counts from when a message was due. *asked* is what the attacker wrote in a second,
// first and last: one that is held up writes less than it could. Hub, attacker and measurement are processes of their
// own, on this machine. Where it is busy otherwise, give hub and measurement a real-time priority, and read them alone:
// HUB_UNDER="chrt -r 5" chrt -R -r 6 node bench/abuse-hub.ts
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { frame, hello, RawClient, u64 } from "../test/hub/raw-client.ts";

const MESSAGES_PER_SECOND = 50;
const PAYLOAD_BYTES = 128;
const TOKEN = "the-token-of-bench/abuse-hub.ts";
const MEMORY_BACK_SECONDS = 60;
/** Above rest, a heap that the collector has not looked at since. */
const MEMORY_BACK_BYTES = 64 * 1_048_576;
const ATTACKER = fileURLToPath(new URL("abuse-hub-attacker.ts", import.meta.url));
const ATTACKS: readonly (readonly [name: string, what: string])[] = [
  ["lists-one", "one of 900 clients asks for lists without end"],
  ["lists", "900 clients ask for lists without end"],
  ["lists-unread", "100 of 1,000 clients ask for lists and read none"],
  ["rosters", "20 of 920 clients with long names ask for rosters"],
  ["frames", "500 frames of 1 MB, half of each, and a byte now and then"],
  ["churn", "200 at a time connect, ask, and leave"],
  ["churn-presence", "the same, before 500 clients that want presence"],
  ["storm", "4,000 connections at the same moment, again and again"],
  ["ends", "4,000 connections end at the same moment, again and again"],
  ["joins", "20 clients join and leave groups of ever new names, beside 57,600 memberships"],
  ["receipts", "5 clients want receipts for 255 receivers of nothing"],
  ["receipts-unknown", "20 clients want receipts for 255 receivers that are not there"],
  ["to-all", "5 clients send nothing to all 900, with receipts"],
  ["relays", "20 clients relay a byte to 255 receivers"],
  ["unread-receivers", "5 clients relay 100 KB to 20 that do not read"],
  ["hellos", "20 clients say hello without end, before 500 that want presence"],
  ["pings", "20 clients ping without end"],
  ["tokens", "200 at a time guess the token"],
  ["monitor-chunks", "4 bodies to monitoring in chunks of one byte"],
  ["monitor-clients", "4 connections ask monitoring for 900 clients, pipelined"],
  ["monitor-tokens", "4 connections guess the token at monitoring, pipelined"],
];

async function measureAttack(name: string, what: string, lastsSeconds: number): Promise<void> {
  const hub = await CommandHub.start(name.endsWith("tokens"));
  const user = await User.connect(hub.port);
  await user.measure(1);
  const rest = summary(await user.measure(3));
  const restBytes = hub.residentBytes;
  const attacker = fork(ATTACKER, [name, String(hub.port), String(hub.monitorPort)]);
  try {
    // The attacker must not lack CPU time; only root may raise its priority.
    setPriority(attacker.pid!, -15);
  } catch {}
  await once(attacker, "message");
  const before = await asked(attacker);
  const times: number[] = [];
  const rates: number[] = [];
  let mostBytes = 0;
  let written = before;
  const cpuBefore = hub.cpuSeconds;
  for (let second = 0; second < lastsSeconds; second += 1) {
    times.push(...(await user.measure(1)));
    mostBytes = Math.max(mostBytes, hub.residentBytes);
    const now = await asked(attacker);
    rates.push((now.bytesWritten - written.bytesWritten) / 1e6);
    written = now;
  }
  const cpu = (hub.cpuSeconds - cpuBefore) / lastsSeconds;
  attacker.send("end");
  await once(attacker, "exit");
  const endedMs = performance.now();
  let backSeconds = Number.NaN;
  while (performance.now() - endedMs < 1_000 * MEMORY_BACK_SECONDS) {
    if (hub.residentBytes < restBytes + MEMORY_BACK_BYTES) {
      backSeconds = (performance.now() - endedMs) / 1_000;
      break;
    }
    await user.measure(0.2);
  }
  console.log(
    [
      `${name}: ${what}`,
      `   user: ${summary(times)}; at rest ${rest}${user.lost > 0 ? `; ${user.lost} lost` : ""}`,
      `   hub: ${mib(restBytes)} at rest, ${mib(mostBytes)} at most, back in ${backSeconds.toFixed(1)} s; ${Math.round(100 * cpu)} % CPU; ${hub.logLines} lines logged`,
      `   attacker: ${rates[0]!.toFixed(1)} MB/s at first, ${rates.at(-1)!.toFixed(1)} MB/s at last; ${written.connections} connections, ${written.closed} closed`,
    ].join("\n"),
  );
  user.close();
  await hub.stop();
}

interface Asked {
  readonly bytesWritten: number;
  readonly connections: number;
  readonly closed: number;
}

async function asked(attacker: ChildProcess): Promise<Asked> {
  attacker.send("state");
  return ((await once(attacker, "message")) as [Asked])[0];
}

/** A hub as its command starts it, watched from outside. */
class CommandHub {
  logLines = 0;
  readonly port: number;
  readonly monitorPort: number;
  readonly #child: ChildProcess;

  private constructor(port: number, monitorPort: number, child: ChildProcess) {
    this.port = port;
    this.monitorPort = monitorPort;
    this.#child = child;
  }

  static async start(withToken: boolean): Promise<CommandHub> {
    const args = [
      ...(process.env.HUB_NODE_ARGS?.split(" ") ?? []),
      "bin/run.js",
      "hub",
      "start",
      "--port",
      "0",
      "--monitor-port",
      "0",
      "--no-mdns",
      "--json",
      "--log-format",
      "json",
    ];
    if (withToken) {
      const file = join(mkdtempSync(join(tmpdir(), "abuse-hub-")), "token");
      writeFileSync(file, TOKEN);
      args.push("--token-file", file);
    }
    // Before Node: a priority, or a profiler.
    const under = process.env.HUB_UNDER?.split(" ") ?? [];
    const [program, ...rest] = [...under, process.execPath, ...args];
    const cwd = new URL("../", import.meta.url);
    const child = spawn(program!, rest, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const { address, monitorUrl } = JSON.parse(line) as { address: string; monitorUrl: string };
    const hub = new CommandHub(Number(address.split(":").at(-1)), Number(new URL(monitorUrl).port), child);
    let last = "";
    child.stderr.on("data", (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 10) hub.logLines += 1;
      last = chunk.toString().slice(-2_000);
    });
    child.once("exit", (code) => {
      if (code !== 0) console.error(`the hub ended with ${code}: ${last}`);
    });
    return hub;
  }

  /** Linux. */
  get residentBytes(): number {
    return 1_024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))![1]);
  }

  /** Linux, with its usual 100 ticks a second. */
  get cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await once(this.#child, "exit");
  }
}

/** Two clients: what one sends to the other. */
class User {
  lost = 0;
  #number = 0;

  readonly #sender: RawClient;
  readonly #receiver: RawClient;
  readonly #id: number;

  private constructor(sender: RawClient, receiver: RawClient, id: number) {
    this.#sender = sender;
    this.#receiver = receiver;
    this.#id = id;
  }

  static async connect(port: number): Promise<User> {
    const sender = await RawClient.connect(port);
    const receiver = await RawClient.connect(port);
    for (const client of [sender, receiver]) {
      client.send(hello("user", { token: TOKEN }));
      await client.next();
    }
    const user = new User(sender, receiver, await receiver.identity());
    for (const client of [sender, receiver]) client.socket.on("data", () => user.#answerPings(client));
    return user;
  }

  /** @returns for each message how long it took from when it was due, ms */
  async measure(lastsSeconds: number): Promise<number[]> {
    const dueMs = new Map<number, number>();
    const times: number[] = [];
    const take = (): void => {
      const nowMs = performance.now();
      for (const { type, body } of this.#receiver.frames.splice(0)) {
        if (type !== 17) continue;
        const number = Number(body.readBigUInt64BE(8));
        times.push(nowMs - dueMs.get(number)!);
        dueMs.delete(number);
      }
    };
    this.#receiver.socket.on("data", take);
    const beganMs = performance.now();
    for (let n = 0; n < lastsSeconds * MESSAGES_PER_SECOND; n += 1) {
      const atMs = beganMs + (1_000 * n) / MESSAGES_PER_SECOND;
      const waitMs = atMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      this.#number += 1;
      dueMs.set(this.#number, Math.max(atMs, beganMs));
      const payload = Buffer.concat([u64(this.#number), Buffer.alloc(PAYLOAD_BYTES - 8)]);
      this.#sender.send(frame(17, Buffer.of(0), u64(0), Buffer.of(1), u64(this.#id), payload));
    }
    for (const giveUpMs = performance.now() + 20_000; dueMs.size > 0 && performance.now() < giveUpMs; )
      await new Promise((resolve) => setTimeout(resolve, 5));
    this.#receiver.socket.off("data", take);
    this.lost += dueMs.size;
    return times;
  }

  #answerPings(client: RawClient): void {
    for (const { type, body } of client.frames) if (type === 24) client.send(frame(25, body));
    if (client === this.#sender) client.frames.length = 0;
  }

  close(): void {
    this.#sender.close();
    this.#receiver.close();
  }
}

function summary(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

const [seconds = "10", ...only] = process.argv.slice(2);
for (const [name, what] of ATTACKS) {
  if (only.length === 0 || only.includes(name)) await measureAttack(name, what, Number(seconds));
}
