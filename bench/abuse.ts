// What a node still does for others while somebody abuses it: how long /readyz and single posts take (p50, p99, most),
// and what the node's memory grows to, at rest and under
// - 10,000 connections that send nothing, opened anew as the node closes them,
// - 1,000 subscribers of events that do not read,
// - one member that gossips 10 MB/s of items that fail their signatures, unsigned and signed ones, and comes back.
// npm run build && node bench/abuse.ts [SECONDS of each]
// Read: /readyz and the p99 of posts must stay under 100 ms, and the flooder must be cut. 200 posts a second of 1 KB
// are due whether or not the ones before are answered; latency counts from when a post was due. Node, attacker and
// measurement are processes of their own, on this machine.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openLibp2pCluster } from "../dist/node/cluster/libp2p/index.js";
import { encodeBatch } from "../dist/node/protocol/batch.js";
import { withDigest } from "../dist/node/protocol/item.js";

const POSTS_PER_SECOND = 200;
const PROBES_PER_SECOND = 20;
const FLOOD_BYTES_PER_SECOND = 10_000_000;
const CLUSTER = "abuse";

const [first = "10", ...rest] = process.argv.slice(2);
const ATTACKS: Record<string, (what: string, port: string, id: string, address: string) => Promise<void>> = {
  connections: hold,
  subscribers: subscribe,
  flood,
};
if (ATTACKS[first]) await ATTACKS[first](...(rest as [string, string, string, string]));
else await measureAll(Number(first));

async function measureAll(seconds: number): Promise<void> {
  for (const [name, ...attack] of [
    ["10,000 connections that send nothing", "connections", "10000"],
    ["1,000 subscribers that do not read", "subscribers", "1000"],
    ["10 MB/s of gossip with bad digests", "flood", "sha256"],
    ["10 MB/s of gossip with forged authors", "flood", "ed25519"],
  ] as const) {
    const node = await startNode();
    await measure("warm-up", node, 3, true);
    await measure("at rest", node, 3);
    const attacker = fork(import.meta.filename, [...attack, node.port, node.peerId, node.peerAddress]);
    const said: unknown[] = [];
    attacker.on("message", (message) => void said.push(message));
    await once(attacker, "message");
    await measure(name, node, seconds);
    attacker.send("end");
    await once(attacker, "exit");
    console.log(`   attacker: ${JSON.stringify(said.at(-1))}`);
    const { gossip, peers } = (await (await fetch(`${node.url}/v1/status`)).json()) as {
      peers: number;
      gossip: { rejected: number };
    };
    console.log(`   node: ${peers} peers, ${gossip.rejected} gossip messages rejected`);
    node.child.kill();
    await once(node.child, "exit");
  }
}

async function startNode() {
  const run = fileURLToPath(new URL("../bin/run.js", import.meta.url));
  const flags = ["--port", "0", "--p2p-host", "127.0.0.1", "--no-mdns", "--cluster", CLUSTER, "--json"];
  const child = spawn(process.execPath, [run, "broadcast", "start", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  const { url, id, peerAddresses } = JSON.parse(value as string);
  return { child, url, port: new URL(url).port, peerId: id, peerAddress: peerAddresses[0] } as const;
}

async function measure(
  what: string,
  { url, child }: { url: string; child: ChildProcess },
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
      ask(url, agent, method, path, body()).then(
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
    if (n % POSTS_PER_SECOND === 0) mostBytes = Math.max(mostBytes, residentBytes(child.pid!));
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

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;
}

/** Keeps so many connections open on which nothing is sent. */
async function hold(count: string, port: string): Promise<void> {
  let open = 0;
  let opened = 0;
  let stopped = false;
  const add = () => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.once("connect", () => {
      open++;
      opened++;
    });
    socket.on("error", () => {});
    socket.resume();
    socket.once("close", () => {
      open--;
      if (!stopped) setTimeout(add, 10);
    });
  };
  for (let n = 0; n < Number(count); n++) {
    add();
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await report(() => ({ open, opened }));
  stopped = true;
}

/** Follows events so many times, and reads none. */
async function subscribe(count: string, port: string): Promise<void> {
  const sockets: Socket[] = [];
  let closed = 0;
  for (let n = 0; n < Number(count); n++) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.once("close", () => closed++);
    socket.pause();
    socket.write("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    sockets.push(socket);
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await report(() => ({ subscribed: sockets.length - closed }));
}

/** Gossips items that fail their signatures, whenever it is let in. */
async function flood(scheme: string, _port: string, id: string, address: string): Promise<void> {
  let isUp = false;
  let sentBytes = 0;
  let messages = 0;
  const reasons = new Map<string, number>();
  const cluster = await openLibp2pCluster({
    cluster: CLUSTER,
    listen: { hosts: ["127.0.0.1"] },
    listener: {
      peerUp: () => {
        isUp = true;
      },
      peerDown: (_, reason) => {
        isUp = false;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      },
      frame: () => {},
      gossip: (message) => message.settle("ignore"),
    },
  });
  cluster.dial({ id, addresses: [address] });
  const signature =
    scheme === "sha256" ? `sha256:${"0".repeat(64)}` : `ed25519:${"ab".repeat(32)}:${"0".repeat(128)}`;
  const batch = encodeBatch(
    Array.from({ length: 120 }, (_, n) =>
      withDigest({ id: `${n}`, raw: "x".repeat(400), signature, timestampMs: Date.now() }),
    ),
  );
  const beginMs = performance.now();
  setInterval(() => {
    const wanted = ((performance.now() - beginMs) / 1_000) * FLOOD_BYTES_PER_SECOND;
    for (; isUp && sentBytes < wanted; sentBytes += batch.length) {
      // Another text each time, or it would be a message that was seen before.
      batch.write(String(++messages).padStart(10, "0"), batch.length - 20);
      cluster.publish(Uint8Array.from(batch));
    }
    if (!isUp) sentBytes = wanted;
  }, 10);
  await report(() => ({
    messages,
    megabytes: Math.round(messages * batch.length) / 1e6,
    cutFor: [...reasons],
  }));
}

/** Says how it goes, until it is told to end. */
async function report(state: () => object): Promise<void> {
  process.send!(state());
  await once(process, "message");
  process.send!(state(), () => process.exit());
}
