// Durable posts by the library beside JetStream: one node beside one server, and three nodes that all hold an item
// (`wait: 2`) beside three servers (3 replicas). Both sides sync before they acknowledge (`sync_interval: always`).
// npm run build && node bench/durable-jetstream.ts [seconds per run] [rounds] [directory] [filter, such as three]
// Needs nats-server 2.15 (`go install github.com/nats-io/nats-server/v2@latest`), named by NATS_SERVER, or in PATH.
// Read: ours / its of the rate, at least 0.8 with 64 posts in flight and 1 with one. A load generator, three nodes and
// three servers share the machine, one side at a time; runs alternate.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { connectToNode } from "../build/src/node/client.js";
import { startNode } from "../build/src/node/index.js";

const RAW = "announcement ".repeat(20).slice(0, 256);
const SUBJECT = "bench";
const BASE_PORT = 10_000 + (process.pid % 10_000);
const WARM_UP_MS = 1_000;
let lastId = 0;

/** Something that takes posts durably. */
interface Side {
  post(id: string): Promise<void>;
  close(): Promise<void>;
}

if (process.argv[2] === "node") await serve(process.argv[3]!, process.argv[4]!);
else await compare(process.argv.slice(2));

async function compare([
  seconds = "4",
  rounds = "3",
  parent = tmpdir(),
  filter = "",
]: string[]): Promise<void> {
  const root = mkdtempSync(join(parent, "hubcast-bench-"));
  const rows = [
    { name: "one, 1 in flight", count: 1, inFlight: 1 },
    { name: "one, 64 in flight", count: 1, inFlight: 64 },
    { name: "three, 1 in flight", count: 3, inFlight: 1 },
    { name: "three, 64 in flight", count: 3, inFlight: 64 },
  ].filter(({ name }) => name.includes(filter));
  try {
    for (let round = 1; round <= Number(rounds); round++) {
      for (const { name, count, inFlight } of rows) {
        const rates: number[] = [];
        for (const [who, open] of [
          ["hubcast", openNodes],
          ["JetStream", openServers],
        ] as const) {
          const dir = mkdtempSync(join(root, `${who}-`));
          const side = await open(count, dir);
          try {
            await load(side, inFlight, WARM_UP_MS);
            const { rate, p50, p99 } = await load(side, inFlight, Number(seconds) * 1_000);
            rates.push(rate);
            console.log(
              `${name}: ${who.padEnd(9)} ${Math.round(rate)} posts/s, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
            );
          } finally {
            await side.close();
            rmSync(dir, { recursive: true, force: true });
          }
        }
        console.log(`${name}: ours / its ${(rates[0]! / rates[1]!).toFixed(2)}`);
      }
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function load(
  side: Side,
  inFlight: number,
  ms: number,
): Promise<{ rate: number; p50: number; p99: number }> {
  const beganMs = performance.now();
  const tookMs: number[] = [];
  const poster = async () => {
    while (performance.now() - beganMs < ms) {
      const sentMs = performance.now();
      await side.post(`post-${++lastId}`);
      tookMs.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, poster));
  const rate = (tookMs.length / (performance.now() - beganMs)) * 1_000;
  tookMs.sort((a, b) => a - b);
  const at = (share: number) => tookMs[Math.floor(share * tookMs.length)]!;
  return { rate, p50: at(0.5), p99: at(0.99) };
}

async function openNodes(count: number, dir: string): Promise<Side> {
  const children: ChildProcess[] = [];
  const urls: string[] = [];
  let peer = "";
  for (let n = 0; n < count; n++) {
    const child = fork(import.meta.filename, ["node", join(dir, String(n)), peer]);
    children.push(child);
    const [said] = (await once(child, "message")) as [{ url: string; peer: string }];
    urls.push(said.url);
    peer ||= said.peer;
  }
  const client = await connectToNode(urls[0]!);
  for (const url of urls) await until(async () => await hasPeers(url, count - 1));
  const options = count > 1 ? { wait: count - 1, timeoutMs: 30_000 } : {};
  return {
    post: async (id) => {
      const { receipt } = await client.post({ id, raw: RAW }, options);
      if (receipt && !receipt.complete) throw new Error(`${id} is not held by ${count - 1} more`);
    },
    close: async () => {
      await client.close();
      await Promise.all(children.map(stop));
    },
  };
}

async function hasPeers(url: string, count: number): Promise<boolean> {
  const client = await connectToNode(url);
  const { peers, state } = await client.status();
  await client.close();
  return peers === count && state !== "starting";
}

async function openServers(count: number, dir: string): Promise<Side> {
  const ports = Array.from({ length: count }, (_, n) => BASE_PORT + n);
  const routes = ports.map((port) => `nats://127.0.0.1:${port + 10_000}`).join(",");
  const children = ports.map((port, n) => {
    const config = join(dir, `${n}.conf`);
    const cluster =
      count > 1 ? `cluster { name: bench, listen: "127.0.0.1:${port + 10_000}", routes: [${routes}] }` : "";
    writeFileSync(
      config,
      `listen: "127.0.0.1:${port}"\nserver_name: n${n}\n${cluster}
jetstream { store_dir: "${join(dir, String(n))}", sync_interval: always }\n`,
    );
    return spawn(process.env.NATS_SERVER ?? "nats-server", ["-c", config], { stdio: "ignore" });
  });
  for (const port of ports) await until(() => accepts(port));
  const connection = await connect({ servers: `127.0.0.1:${ports[0]}` });
  await until(async () => {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({
      ...{ name: "bench", subjects: [SUBJECT], num_replicas: count, storage: StorageType.File },
    });
    return true;
  });
  const stream = jetstream(connection);
  return {
    post: async (id) => {
      // The id in front, as an item has it.
      await stream.publish(SUBJECT, `${id} ${RAW}`, { timeout: 30_000 });
    },
    close: async () => {
      await connection.close();
      await Promise.all(children.map(stop));
    },
  };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connectTcp(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

async function serve(dataDir: string, peer: string): Promise<void> {
  process.once("disconnect", () => process.exit());
  const node = await startNode({
    ...{ cluster: "bench", mdns: false, p2p: { hosts: ["127.0.0.1"] }, http: { port: 0 }, dataDir },
    ...(peer && { peers: [peer] }),
  });
  process.send!({ url: node.url, peer: node.peerAddresses[0] });
}

/** @param holds a failure counts as no */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 30_000;
  for (;;) {
    const is = await holds().catch((error: Error) => error);
    if (is === true) return;
    if (performance.now() > endMs) throw is instanceof Error ? is : new Error("not reached within 30 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
