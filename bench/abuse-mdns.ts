// The service of a node while somebody on its network abuses multicast DNS: how long single posts take at 50 a
// second (p50, p99, most), the CPU of the node, its memory, its name, whether another node that starts meanwhile finds
// it, and whether CPU and memory are back once the attacker has left.
//   npm run build && node bench/abuse-mdns.ts [SECONDS of each] [ATTACK]
// Read: the p99 must stay under 100 ms, and CPU and memory must come back to what they were before, memory within 60 s.
// Linux, as root: node, attacker and victim are machines of their own, as network namespaces. They share the processors of
// this one: give node and user a real-time priority, and the newcomer a lower one, NODE_UNDER="chrt -r 5"
// NEWCOMER_UNDER="chrt -r 3", or what is measured is how the work of attacker and newcomer delays them.
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const { Lan, whyNoLan } = (await import(
  new URL("../test/fixtures/lan.ts", import.meta.url).href
)) as typeof import("../test/fixtures/lan.js");
const dnsPacket = createRequire(createRequire(import.meta.url).resolve("multicast-dns"))("dns-packet") as {
  encode(packet: object): Buffer;
  decode(bytes: Buffer): { type: string; answers: Heard[]; authorities: Heard[]; additionals: Heard[] };
};

interface Heard {
  readonly name: string;
  readonly type: string;
  readonly data: { readonly target?: string };
}

const TYPE = "_hubcast._tcp.local";
const GROUP = "224.0.0.251";
const PORT = 5_353;
const POSTS_PER_SECOND = 50;
const SELF = fileURLToPath(import.meta.url);
const ROOT = fileURLToPath(new URL("../", import.meta.url));
const VICTIM = "10.78.0.3";
/** Before the node and the user's program, and before the newcomer: a priority. */
const NODE_UNDER = process.env.NODE_UNDER?.split(" ") ?? [];
const NEWCOMER_UNDER = process.env.NEWCOMER_UNDER?.split(" ") ?? [];
const MEMORY_BACK_SECONDS = 60;
/** Above rest, a heap that the collector has not looked at since. */
const MEMORY_BACK_MIB = 64;
/** Senders of an attacker that speaks with many addresses. */
const SENDERS = 200;

/** The attacks, by name. Each sets up its timers and returns a counter of its packets. */
const ATTACKS: Readonly<
  Record<string, (say: (packet: Buffer, sender?: number) => void, on: Socket) => void>
> = {
  "nothing: the same load on another port": (say) =>
    flood(say, 2_000, (n) => dnsPacket.encode({ type: "response", answers: services(n * 30, 30) })),
  goodbyes: (say, socket) => onService(socket, ({ records }) => void each(50, () => say(records(0)))),
  conflicts: (say, socket) =>
    onPacket(socket, ({ type, answers, authorities }) => {
      const srv = [...answers, ...authorities].find(
        ({ type, data }) => type === "SRV" && isOurs(data.target),
      );
      if (srv)
        say(dnsPacket.encode({ type: "response", answers: [claim(srv.name, type === "query" ? 1 : 2)] }));
    }),
  ties: (say, socket) =>
    onPacket(socket, ({ type, authorities }) => {
      const srv = authorities.find(({ type, data }) => type === "SRV" && isOurs(data.target));
      const question = [{ name: srv?.name, type: "ANY" }];
      if (srv && type === "query")
        say(dnsPacket.encode({ type: "query", questions: question, authorities: [claim(srv.name, 65_535)] }));
    }),
  instances: (say) =>
    flood(say, 2_000, (n) => dnsPacket.encode({ type: "response", answers: services(n * 30, 30) })),
  "instances of 200 senders": (say) =>
    flood(say, 2_000, (n) => dnsPacket.encode({ type: "response", answers: services(n * 30, 30) }), SENDERS),
  pointers: (say) => flood(say, 200, pointers),
  counts: (say) =>
    flood(say, 10_000, () => Buffer.concat([Buffer.from([0, 0, 0x84, 0]), Buffer.alloc(8, 0xff)])),
  "texts of empty strings": (say) =>
    flood(say, 2_000, (n) =>
      dnsPacket.encode({
        type: "response",
        answers: [...services(n % 1_000, 1).filter(({ type }) => type !== "TXT"), emptyTexts(n % 1_000)],
      }),
    ),
  "changing addresses": (say) => {
    for (let n = 0; n < 30; n++)
      say(dnsPacket.encode({ type: "response", answers: services(n * 17, 17, "one") }));
    flood(say, 1_000, (n) => dnsPacket.encode({ type: "response", answers: addresses(n) }), SENDERS);
  },
  "short lives": (say) =>
    flood(
      say,
      2_000,
      (n) => {
        const answers = services(n * 30, 30).map((record) => ({ ...record, ttl: 1 }));
        return dnsPacket.encode({ type: "response", answers });
      },
      SENDERS,
    ),
  questions: (say) =>
    flood(say, 5_000, (n) => {
      const questions = Array.from({ length: 30 }, () => ({
        name: TYPE,
        type: "PTR",
        class: n % 2 ? "IN" : "ANY",
      }));
      return dnsPacket.encode({ type: "query", questions, answers: services(n, 20) });
    }),
  "known answers of long names": (say) => flood(say, 33, knownAnswers),
  victim: (say) =>
    flood(
      say,
      200,
      (n) => dnsPacket.encode({ type: "response", answers: services((n * 10) % 1_000, 10, "victim") }),
      SENDERS,
    ),
};

const [role = "10", ...rest] = process.argv.slice(2);
if (role === "attack") await attack(rest[0]!);
else if (role === "use") await use(rest[0]!, Number(rest[1]));
else await measureAll(Number(role), rest[0]);

async function measureAll(seconds: number, only?: string): Promise<void> {
  const reason = whyNoLan();
  if (reason) throw new Error(reason);
  await using lan = await Lan.open(4, 0);
  const [here, there, victim, other] = lan.machines;
  // The attacker's addresses lie in the subnet that all share.
  const batch = Array.from({ length: SENDERS }, (_, n) => `addr add 10.78.9.${n + 1}/16 dev eth0\n`).join("");
  const adding = spawn("ip", ["-n", there!.namespace, "-batch", "-"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  adding.stdin.end(batch);
  await once(adding, "exit");
  for (const name of Object.keys(ATTACKS)) {
    if (only !== undefined && only !== name) continue;
    const node = await start(here!.under, NODE_UNDER, "kitchen");
    const user = (length: number) =>
      json(run([...here!.under, ...NODE_UNDER], ["use", node.url, String(length)]));
    await user(3);
    const restCpu = await cpuOf(node.child, () => pause(3_000));
    const calm = await user(4);
    const calmMib = residentMib(node.child);
    const attacker = run(there!.under, ["attack", name]);
    await once(attacker.stdout!, "data");
    const segments = segmentsAt(victim!.under);
    const startedMs = performance.now();
    const newcomer = await start(other!.under, NEWCOMER_UNDER, "attic");
    const found = metAfter(newcomer, startedMs);
    const before = await segments;
    let attacked: Summary | undefined;
    const cpu = await cpuOf(node.child, async () => {
      attacked = await user(seconds);
    });
    const mib = residentMib(node.child);
    const dialled = (await segmentsAt(victim!.under)) - before;
    const foundMs = await found;
    attacker.kill("SIGTERM");
    await once(attacker, "exit");
    const endedMs = performance.now();
    const afterSeconds = () => (performance.now() - endedMs) / 1_000;
    while (afterSeconds() < MEMORY_BACK_SECONDS) {
      if (residentMib(node.child) < calmMib + MEMORY_BACK_MIB) break;
      await pause(1_000);
    }
    const [backMib, backSeconds] = [residentMib(node.child), afterSeconds()];
    // The last services heard of are resolved by now, or given up.
    await pause(10_000 - 1_000 * backSeconds);
    const afterCpu = await cpuOf(node.child, () => pause(10_000));
    const names = new Set(
      [...node.lines, ...newcomer.lines].flatMap((line) => /called (.*)$/.exec(line)?.[1] ?? []),
    );
    console.log(
      `${name}: posts ${show(attacked!)} (calm ${show(calm)}); CPU ${cpu.toFixed(1)} % (at rest ${restCpu.toFixed(1)}, 10 s after ${afterCpu.toFixed(1)}); ${mib} MiB (at rest ${calmMib}, ${backMib} after ${backSeconds.toFixed(0)} s); names taken ${names.size}${names.size ? ` (${[...names].at(-1)})` : ""}; lines logged ${node.lines.length}; newcomer met after ${foundMs === undefined ? "never" : `${Math.round(foundMs)} ms`}; segments to the victim ${(dialled / seconds).toFixed(0)}/s`,
    );
    for (const each of [node, newcomer]) {
      each.child.kill("SIGTERM");
      await once(each.child, "exit");
    }
  }
}

interface Summary {
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
  readonly failed: number;
}

interface StartedNode {
  readonly child: ChildProcess;
  readonly url: string;
  readonly under: readonly string[];
  /** Its log lines. */
  readonly lines: string[];
}

async function start(
  under: readonly string[],
  priority: readonly string[],
  name: string,
): Promise<StartedNode> {
  const flags = ["broadcast", "start", "--json", "--port", "0", "--cluster", "abuse", "--name", name];
  const [program, ...args] = [...under, ...priority, process.execPath, `${ROOT}bin/run.js`, ...flags];
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  createInterface(child.stderr!).on("line", (line) => lines.push(line));
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  return { child, url: (JSON.parse(line) as { url: string }).url, under, lines };
}

/** Milliseconds until a node has a peer; undefined after 20 s. */
async function metAfter({ under, url }: StartedNode, startedMs: number): Promise<number | undefined> {
  while (performance.now() - startedMs < 20_000) {
    const [program, ...args] = [...under, "curl", "-s", `${url}/v1/status`];
    const status = (await json(spawn(program!, args)).catch(() => ({}))) as { peers?: number };
    if ((status.peers ?? 0) > 0) return performance.now() - startedMs;
    await pause(100);
  }
  return undefined;
}

function run(under: readonly string[], args: readonly string[]): ChildProcess {
  const [program, ...words] = [...under, process.execPath, SELF, ...args];
  return spawn(program!, words, { stdio: ["ignore", "pipe", "inherit"] });
}

async function json(child: ChildProcess): Promise<Summary> {
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(child, "close");
  return JSON.parse(text) as Summary;
}

/** TCP segments that a machine has received. */
async function segmentsAt(under: readonly string[]): Promise<number> {
  const [program, ...args] = [...under, "cat", "/proc/net/snmp"];
  const child = spawn(program!, args);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(child, "close");
  const [, values] = text.split("\n").filter((line) => line.startsWith("Tcp:"));
  return Number(values!.split(" ")[10]);
}

/** Percent of one processor. */
async function cpuOf({ pid }: ChildProcess, during: () => Promise<void>): Promise<number> {
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  };
  const [before, beganMs] = [ticks(), performance.now()];
  await during();
  return (1_000 * (ticks() - before)) / (performance.now() - beganMs);
}

function residentMib({ pid }: ChildProcess): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1_024);
}

/** Posts 50 items a second; latency counts from when a post was due. */
async function use(url: string, seconds: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true });
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  let failed = 0;
  const beganMs = performance.now();
  for (let n = 0; n < seconds * POSTS_PER_SECOND; n++) {
    const dueMs = beganMs + (n * 1_000) / POSTS_PER_SECOND;
    await pause(Math.max(0, dueMs - performance.now()));
    const body = JSON.stringify({ raw: `${process.pid} ${n} `.padEnd(200, ".") });
    pending.push(
      new Promise((resolve) => {
        const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        const request = http.request(`${url}/v1/items`, { method: "POST", agent, headers }, (response) => {
          response.resume().once("end", () => {
            if (response.statusCode === 201) times.push(performance.now() - dueMs);
            else failed++;
            resolve();
          });
        });
        request.once("error", () => {
          failed++;
          resolve();
        });
        request.end(body);
      }),
    );
  }
  await Promise.all(pending);
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0;
  console.log(JSON.stringify({ p50: at(0.5), p99: at(0.99), most: at(1), failed }));
}

function show({ p50, p99, most, failed }: Summary): string {
  const times = `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, most ${most.toFixed(1)} ms`;
  return failed > 0 ? `${times}, ${failed} failed` : times;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// The attacker.

async function attack(name: string): Promise<void> {
  const many = [...Array(SENDERS).keys()].map((n) => `10.78.9.${n + 1}`);
  const sockets = await Promise.all([undefined, ...many].map(openSender));
  const on = sockets[0]!;
  let sent = 0;
  ATTACKS[name]!((packet, sender = 0) => {
    sent++;
    sockets[sender % sockets.length]!.send(packet, name.startsWith("nothing") ? PORT + 1 : PORT, GROUP);
  }, on);
  on.send(dnsPacket.encode({ type: "query", questions: [{ name: TYPE, type: "PTR" }] }), PORT, GROUP);
  console.log("begun");
  await once(process, "SIGTERM");
  console.error(`   ${name}: ${sent} packets sent`);
  process.exit();
}

async function openSender(address: string | undefined): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("error", () => {});
  // The first one hears the group.
  await new Promise<void>((resolve) => socket.bind(PORT, address ?? GROUP, resolve));
  socket.setMulticastInterface(address ?? "10.78.0.2");
  socket.setMulticastTTL(255);
  if (address === undefined) socket.addMembership(GROUP, "10.78.0.2");
  socket.setSendBufferSize(1_000_000);
  return socket;
}

function flood(
  say: (packet: Buffer, sender: number) => void,
  perSecond: number,
  make: (n: number) => Buffer,
  senders = 1,
): void {
  const beganMs = performance.now();
  let n = 0;
  each(5, () => {
    const due = ((performance.now() - beganMs) * perSecond) / 1_000;
    // Where this machine is too slow the rate is what it is.
    for (let burst = 0; n < due && burst < 200; n++, burst++)
      say(make(n), senders > 1 ? 1 + (n % senders) : 0);
  });
}

function each(ms: number, call: () => void): void {
  setInterval(call, ms);
}

function onPacket(socket: Socket, hear: (packet: ReturnType<typeof dnsPacket.decode>) => void): void {
  socket.on("message", (bytes, from) => {
    if (from.address.startsWith("10.78.9.") || from.address === "10.78.0.2") return;
    try {
      hear(dnsPacket.decode(bytes));
    } catch {
      // The packet is not DNS.
    }
  });
}

/** The records of the first service heard, to be said again with another life. */
function onService(socket: Socket, hear: (service: { records(ttl: number): Buffer }) => void): void {
  let isHeard = false;
  onPacket(socket, ({ type, answers }) => {
    if (isHeard || type !== "response" || !answers.some(({ name }) => name.endsWith(TYPE))) return;
    isHeard = true;
    hear({
      records: (ttl) => dnsPacket.encode({ type: "response", answers: answers.map((a) => ({ ...a, ttl })) }),
    });
  });
}

function isOurs(target: string | undefined): boolean {
  return target !== undefined && target !== "liar.local";
}

/** 32 equal questions for the names of the node, and 470 known answers of a long name that takes long to fold. */
function knownAnswers(): Buffer {
  const nameOf = (...labels: readonly string[]) =>
    Buffer.concat([
      ...labels.flatMap((label) => [Buffer.of(Buffer.byteLength(label)), Buffer.from(label)]),
      Buffer.of(0),
    ]);
  const header = Buffer.alloc(12);
  header.writeUInt16BE(32, 4);
  header.writeUInt16BE(470, 6);
  const anyIn = Buffer.from([0, 255, 0, 1]);
  const question = Buffer.concat([Buffer.from([0xc0, 12]), anyIn]);
  const questions = [nameOf("_hubcast", "_tcp", "local"), anyIn, ...Array<Buffer>(31).fill(question)];
  const label = "A\u00e9".repeat(20);
  const long = nameOf(label, label, label, label);
  const at = header.length + Buffer.concat(questions).length;
  const pointer = Buffer.from([0xc0 | (at >> 8), at & 255]);
  const answers = Array.from({ length: 470 }, (_, n) => [
    n === 0 ? long : pointer,
    Buffer.from([0, 1, 0, 1, 0, 0, 0x11, 0x94, 0, 4, 10, 0, n >> 8, n & 255]),
  ]);
  return Buffer.concat([header, ...questions, ...answers.flat()]);
}

function claim(name: string, port: number): object {
  return { name, type: "SRV", ttl: 120, flush: true, data: { port, target: "liar.local" } };
}

interface Said {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly data: unknown;
}

/** @param kind `one`: 16 each at one host. `victim`: all at one address */
function services(first: number, count: number, kind: "own" | "one" | "victim" = "own"): Said[] {
  return Array.from({ length: count }, (_, index) => {
    const n = first + index;
    const name = `n${n}.${TYPE}`;
    const host = kind === "one" ? `h${n >> 4}.local` : `hubcast-I${n}.local`;
    const address = kind === "victim" ? VICTIM : `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
    const txt = ["txtvers=1", `id=I${n}`, "cluster=abuse", "p2p=4001", "v=1"];
    return [
      { name: TYPE, type: "PTR", ttl: 4_500, data: name },
      { name, type: "SRV", ttl: 120, flush: true, data: { port: 4_001 + (n % 1_000), target: host } },
      { name, type: "TXT", ttl: 4_500, flush: true, data: txt },
      { name: host, type: "A", ttl: 120, flush: true, data: address },
    ];
  }).flat();
}

function emptyTexts(n: number): Said {
  return { name: `n${n}.${TYPE}`, type: "TXT", ttl: 4_500, data: Array<string>(8_000).fill("") };
}

function addresses(n: number): Said[] {
  return Array.from({ length: 32 }, (_, host) => {
    return { name: `h${host}.local`, type: "A", ttl: 120, data: `10.${host}.${(n >> 8) & 255}.${n & 255}` };
  });
}

/** 500 records with two names of 126 labels each: 30 ms to decode. */
function pointers(): Buffer {
  const header = Buffer.from([0, 0, 0x84, 0, 0, 0, 1, 0xf4, 0, 0, 0, 0]);
  const head = [0, 12, 0, 1, 0, 0, 0, 120, 0, 2, 0xc0, 12];
  const name = Buffer.concat([Buffer.alloc(252, "\x01a"), Buffer.of(0)]);
  const more = Buffer.concat(Array<Buffer>(499).fill(Buffer.from([0xc0, 12, ...head])));
  return Buffer.concat([header, name, Buffer.from(head), more]);
}
