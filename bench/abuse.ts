// The service of a node to others while somebody abuses it: how long /readyz and single posts take (p50, p99, most),
// and what the node's memory grows to, at rest, with this user alone, and under
// - 10,000 connections that send nothing, opened anew as the node closes them,
// - 1,000 subscribers of events that do not read,
// - one member that gossips 10 MB/s of items that fail their signatures, unsigned and signed ones, and comes back,
// - one member that gossips what is held already, again and again in another order, as fast as it is read,
// - HTTP that costs more than it weighs: chunks of one byte, refused bodies, short lines, answers that nobody reads
//   (bench/abuse-http.ts),
// - 2,000 requests that come a byte a second; connections that come and go, to the API and to the port for peers,
// - one member that sends frames of one kind without end, each well-formed, as fast as they are read.
// npm run build && node bench/abuse.ts [SECONDS of each] [ATTACK]
// Read: /readyz and the p99 of posts must stay under 100 ms, and the attacker must be held up or cut within 5 s: perSecond
// gives what it got through in the 1st, the 5th and the last second. The first 2 s, in which its connections come, are told
// apart. Where "at rest" and "after it" are bad too, it is the machine: give node
// and measurement a real-time priority, NODE_UNDER="chrt -r 5" chrt -R -r 6 node bench/abuse.ts. 50 posts a second of 1 KB are
// due whether or not the ones before are answered; latency counts from when a post was due. Node, attacker and measurement
// are processes of their own, on this machine.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";

const { CommandNode } = (await import(
  new URL("command-node.ts", import.meta.url).href
)) as typeof import("./command-node.js");

const POSTS_PER_SECOND = 50;
const PROBES_PER_SECOND = 10;
/** While the attacker's connections come, new ones of others stand behind them where the kernel queues both. */
const ARRIVAL_SECONDS = 2;
const CLUSTER = "abuse";
const MEMORY_BACK_SECONDS = 60;
/** Above a node that only its user used for as long: a heap that the collector has not looked at since. */
const MEMORY_BACK_BYTES = 64 * 1_048_576;
/** Kinds of frames, and of what they carry (bench/abuse-attacker.ts). Those that name others come for 2 s. */
const FRAMES = [
  ...[
    "refer",
    "records",
    "members",
    "ping",
    "pong",
    "summary",
    "have",
    "want",
    "roundDone",
    "announce",
    "graft",
  ],
  ...[
    "gone",
    "prune",
    "roster",
    "news",
    "question",
    "count",
    "answers",
    "reconcile",
    "ranges",
    "longRanges",
    "large",
    "small",
  ],
];
/** Of a node that asks for one; the attacker has none. */
const TOKEN = "secret";
const ATTACKER = fileURLToPath(new URL("abuse-attacker.ts", import.meta.url));

const [seconds = "10", only] = process.argv.slice(2);
await measureAll(Number(seconds), only);

async function measureAll(seconds: number, only?: string): Promise<void> {
  const userBytes = await residentOfUser(ARRIVAL_SECONDS + seconds + MEMORY_BACK_SECONDS);
  console.log(`memory with the user alone, for as long as a row takes: ${mib(userBytes)}`);
  for (const [name, ...attack] of [
    ["10,000 connections that send nothing", "connections", "10000"],
    ["1,000 subscribers that do not read", "subscribers", "1000"],
    ["2,000 heads of requests, a byte a second", "slow", "heads"],
    ["2,000 bodies, a byte a second", "slow", "bodies"],
    ["2,000 bulk bodies, a byte a second", "slow", "bulk"],
    [
      "200 connections at a time that come, ask, and leave",
      "churn",
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ["200 connections at a time that come, send nonsense, and leave", "churn", "nonsense\r\n\r\n"],
    ["2,000 connections of peers that send nothing", "peers", "silent"],
    ["200 connections of peers at a time that send nonsense", "peers", "nonsense"],
    ["200 connections of peers at a time that begin a handshake, and leave", "peers", "handshakes"],
    ["200 connections of peers at a time that name protocols without end", "peers", "lines"],
    ["10 MB/s of gossip with bad digests", "flood", "sha256"],
    ["10 MB/s of gossip with forged authors", "flood", "ed25519"],
    ["gossip of what is held, without end", "repeat", ""],
    ...FRAMES.map((kind) => [`${kind} frames without end`, "frames", kind] as const),
    ["a body in chunks of one byte", "http", "chunks"],
    ["a bulk body in chunks of one byte", "http", "chunks-bulk"],
    ["50 bulk bodies in chunks of one byte", "http", "chunks-many"],
    ["a bulk body in chunks of one byte with an extension", "http", "chunks-extended"],
    ["chunks of one byte from a foreign origin", "http", "chunks-foreign-origin"],
    ["chunks of one byte for a foreign host", "http", "chunks-foreign-host"],
    ["4 bodies in chunks of one byte without the token", "http", "chunks-no-token", TOKEN],
    ["4 bodies in chunks of one byte that no call reads", "http", "chunks-unasked"],
    ["chunks of one byte on ever new connections", "http", "chunks-anew"],
    ["bodies in TCP segments of one byte", "http", "segments"],
    ["empty lines in bulk", "http", "empty-lines"],
    ["bad lines in bulk", "http", "bad-lines"],
    ["short lines in bulk", "http", "short-lines"],
    ["3,000,000 lines that are each answered in full", "http", "lines-full"],
    ["4 items of 6 MB of brackets", "http", "structure"],
    ["60 connections that ask for a large item, pipelined, and do not read", "http", "unread"],
    ["wrong tokens, pipelined", "http", "wrong-tokens", TOKEN],
    ["probes, pipelined", "http", "pipelined"],
    ["requests of 1,900 headers", "http", "headers"],
  ] as readonly (readonly [string, string, string, string?])[]) {
    if (only !== undefined && !attack.slice(0, 2).includes(only)) continue;
    const node = await CommandNode.start(["--cluster", CLUSTER], attack[2]);
    await measure("warm-up", node, 3, true);
    await measure("at rest", node, 3);
    const restBytes = node.residentBytes;
    const attacker = fork(ATTACKER, [
      attack[0],
      attack[1],
      new URL(node.api.url).port,
      node.id,
      node.peerAddresses[0]!,
    ]);
    try {
      // The attacker must not lack CPU time; only root may raise its priority.
      setPriority(attacker.pid!, -15);
    } catch {}
    const said: unknown[] = [];
    attacker.on("message", (message) => void said.push(message));
    await once(attacker, "message");
    const [connectsAtRest, cpuAtRestMs, linesAtRest] = [activeOpens(), node.cpuMs, node.logLines];
    await measure(`${name}, first ${ARRIVAL_SECONDS} s`, node, ARRIVAL_SECONDS);
    await measure(`${name}, then`, node, seconds);
    const percent = Math.round((node.cpuMs - cpuAtRestMs) / 10 / (ARRIVAL_SECONDS + seconds));
    console.log(
      `   meanwhile: ${percent} % of a core, ${activeOpens() - connectsAtRest} connects on this host, ${node.logLines - linesAtRest} lines logged`,
    );
    attacker.send("end");
    await once(attacker, "exit");
    const endedMs = performance.now();
    console.log(`   attacker: ${JSON.stringify(said.at(-1))}`);
    const connectsBefore = activeOpens();
    const cpuBeforeMs = node.cpuMs;
    await measure("after it", node, 3);
    console.log(
      `   3 s after it: ${Math.round((node.cpuMs - cpuBeforeMs) / 30)} % of a core, ${activeOpens() - connectsBefore} connects`,
    );
    let waitedSeconds = 3;
    for (; waitedSeconds < MEMORY_BACK_SECONDS; waitedSeconds = (performance.now() - endedMs) / 1_000) {
      // Valid items, which some attacks post, are held.
      const { bytes } = await node.api.status();
      if (node.residentBytes < userBytes + bytes + MEMORY_BACK_BYTES) break;
      await measure("", node, 1, true);
    }
    console.log(
      `   memory: ${mib(restBytes)} at rest, ${mib(node.residentBytes)} after ${waitedSeconds.toFixed(0)} s`,
    );
    const { gossip, peers } = await node.api.status();
    console.log(
      `   node: ${peers} peers, ${gossip.rejected} batches rejected, ${gossip.duplicates} items known, ${gossip.heldUp} times held up`,
    );
    await node.stop();
  }
}

/** The posts of the user make the heap of a node grow, too, by some 25 MiB in the first minute. */
async function residentOfUser(seconds: number): Promise<number> {
  const node = await CommandNode.start(["--cluster", CLUSTER]);
  await measure("", node, seconds, true);
  const bytes = node.residentBytes;
  await node.stop();
  return bytes;
}

async function measure(
  what: string,
  node: Awaited<ReturnType<typeof CommandNode.start>>,
  seconds: number,
  silent = false,
) {
  const agent = new http.Agent({ keepAlive: true });
  const posts: number[] = [];
  const probes: number[] = [];
  const pending: Promise<void>[] = [];
  const faults = new Map<string, number>();
  const beginMs = performance.now();
  let mostBytes = 0;
  const due = (times: number[], method: string, path: string, body: () => string) => {
    const dueMs = performance.now();
    pending.push(
      ask(node.api.url, agent, method, path, body()).then(
        (status) => {
          if (status < 300) times.push(performance.now() - dueMs);
          else faults.set(`${path} ${status}`, (faults.get(`${path} ${status}`) ?? 0) + 1);
        },
        (error: NodeJS.ErrnoException) => {
          faults.set(`${path} ${error.code}`, (faults.get(`${path} ${error.code}`) ?? 0) + 1);
        },
      ),
    );
  };
  for (let n = 0; n < seconds * POSTS_PER_SECOND; n++) {
    const waitMs = beginMs + (n * 1_000) / POSTS_PER_SECOND - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    due(posts, "POST", "/v1/items", () => JSON.stringify({ raw: `${what} ${n} `.padEnd(1_000, ".") }));
    if (n % (POSTS_PER_SECOND / PROBES_PER_SECOND) === 0) due(probes, "GET", "/readyz", () => "");
    if (n % POSTS_PER_SECOND === 0) mostBytes = Math.max(mostBytes, node.residentBytes);
  }
  await Promise.all(pending);
  agent.destroy();
  if (silent) return;
  console.log(
    `${what}: posts ${summary(posts)}; /readyz ${summary(probes)}; ${mib(mostBytes)}${faults.size ? `; ${JSON.stringify([...faults])}` : ""}`,
  );
}

function ask(url: string, agent: http.Agent, method: string, path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${TOKEN}`,
      ...(body && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
    };
    const request = http.request(`${url}${path}`, { method, agent, headers }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode!));
      response.once("error", reject);
    });
    request.once("error", reject);
    request.end(body);
  });
}

/** TCP connects since this host, or its network namespace, is up: `unshare -n` keeps others out of the count. */
function activeOpens(): number {
  const [names, values] = /^Tcp: .*\nTcp: .*$/m.exec(readFileSync("/proc/net/snmp", "utf8"))![0].split("\n");
  return Number(values!.split(" ")[names!.split(" ").indexOf("ActiveOpens")]);
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function summary(times: number[]): string {
  times.sort((a, b) => a - b);
  const at = (share: number) =>
    (times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms`;
}
