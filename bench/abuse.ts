// What a node still does for others while somebody abuses it: how long /readyz and single posts take (p50, p99, most),
// and what the node's memory grows to, at rest and under
// - 10,000 connections that send nothing, opened anew as the node closes them,
// - 1,000 subscribers of events that do not read,
// - one member that gossips 10 MB/s of items that fail their signatures, unsigned and signed ones, and comes back,
// - one member that gossips what is held already, again and again in another order, as fast as it is read.
// npm run build && node bench/abuse.ts [SECONDS of each] [ATTACK]
// Read: /readyz and the p99 of posts must stay under 100 ms, and the flooder must be cut. The first 2 s, in which the
// attacker's connections come, are told apart. 200 posts a second of 1 KB are due whether or not the ones before are
// answered; latency counts from when a post was due. Node, attacker and measurement are processes of their own, on this
// machine.
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";

const { CommandNode } = (await import(
  new URL("command-node.ts", import.meta.url).href
)) as typeof import("./command-node.js");

const POSTS_PER_SECOND = 200;
const PROBES_PER_SECOND = 20;
/** While the attacker's connections come, new ones of others stand behind them where the kernel queues both. */
const ARRIVAL_SECONDS = 2;
const CLUSTER = "abuse";
const ATTACKER = fileURLToPath(new URL("abuse-attacker.ts", import.meta.url));

const [seconds = "10", only] = process.argv.slice(2);
await measureAll(Number(seconds), only);

async function measureAll(seconds: number, only?: string): Promise<void> {
  for (const [name, ...attack] of [
    ["10,000 connections that send nothing", "connections", "10000"],
    ["1,000 subscribers that do not read", "subscribers", "1000"],
    ["10 MB/s of gossip with bad digests", "flood", "sha256"],
    ["10 MB/s of gossip with forged authors", "flood", "ed25519"],
    ["gossip of what is held, without end", "repeat", ""],
  ] as const) {
    if (only !== undefined && attack[0] !== only) continue;
    const node = await CommandNode.start(["--cluster", CLUSTER]);
    await measure("warm-up", node, 3, true);
    await measure("at rest", node, 3);
    const attacker = fork(ATTACKER, [...attack, new URL(node.api.url).port, node.id, node.peerAddresses[0]!]);
    const said: unknown[] = [];
    attacker.on("message", (message) => void said.push(message));
    await once(attacker, "message");
    await measure(`${name}, first ${ARRIVAL_SECONDS} s`, node, ARRIVAL_SECONDS);
    await measure(`${name}, then`, node, seconds);
    attacker.send("end");
    await once(attacker, "exit");
    console.log(`   attacker: ${JSON.stringify(said.at(-1))}`);
    const { gossip, peers } = await node.api.status();
    console.log(
      `   node: ${peers} peers, ${gossip.rejected} gossip messages rejected, ${gossip.duplicates} items known, ${gossip.heldUp} times held up`,
    );
    await node.stop();
  }
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
    `${what}: posts ${summary(posts)}; /readyz ${summary(probes)}; ${Math.round(mostBytes / 1_048_576)} MiB${faults.size ? `; ${JSON.stringify([...faults])}` : ""}`,
  );
}

function ask(url: string, agent: http.Agent, method: string, path: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = body
      ? { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
      : {};
    const request = http.request(`${url}${path}`, { method, agent, headers }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode!));
      response.once("error", reject);
    });
    request.once("error", reject);
    request.end(body);
  });
}

function summary(times: number[]): string {
  times.sort((a, b) => a - b);
  const at = (share: number) =>
    (times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)} ms`;
}
