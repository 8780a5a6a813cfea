// CPU that a node spends on a bulk post of 100,000 items of 256 B, beside a bare loop over the same lines that parses
// JSON and takes MD5 of raw and SHA-256 of the item: the HTTP API alone, a whole node, a node with two peers.
// npm run build && node bench/bulk.ts [items] [runs]
// Read: a node may cost 4 times the loop, and 7 times with two peers, until all three hold everything. Each program
// is a process of its own and runs alternate; CPU is counted from the first line to agreement, reading included.
import { type ChildProcess, fork } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { connectToNode } from "../build/src/node/client.js";
import { openHttpApi } from "../build/src/node/http/index.js";
import type { ServedNode } from "../build/src/node/http/options.js";
import { startNode } from "../build/src/node/index.js";
import { type Item, type ItemDraft, withDigest } from "../build/src/node/replica/item.js";

const RAW = "announcement ".repeat(20).slice(0, 240);
const drafts = (count: number) =>
  Array.from({ length: count }, (_, index) => {
    const raw = `${RAW}${index}`.padEnd(256, ".");
    return { id: `item-${index}`, raw, signature: hash("md5", raw) };
  });

const [first = "100000", second = "3"] = process.argv.slice(2);
if (first === "bare") bare(Number(second));
else if (first === "api") await serveApi();
else if (first === "node") await serveNode(second);
else await compare(Number(first), Number(second));

async function compare(count: number, runs: number): Promise<void> {
  const cpu: Record<string, number[]> = { bare: [], api: [], node: [], "node with 2 peers": [] };
  for (let run = 0; run < runs; run++) {
    cpu.bare!.push(await loop(count));
    cpu.api!.push((await bulk("api", 0, count)).cpuMs);
    cpu.node!.push((await bulk("node", 0, count)).cpuMs);
    const withPeers = await bulk("node", 2, count);
    cpu["node with 2 peers"]!.push(withPeers.cpuMs);
    console.log(
      `run ${run + 1}: ${count} items on all three nodes after ${withPeers.seconds} s, equal fingerprints`,
    );
  }
  console.log(`CPU ms for ${count} items`, cpu);
  for (const [name, costs] of Object.entries(cpu)) {
    console.log(
      `${name}: ${(Math.min(...costs) / Math.min(...cpu.bare!)).toFixed(2)} times the bare loop (best of each)`,
    );
  }
}

async function loop(count: number): Promise<number> {
  const child = fork(import.meta.filename, ["bare", String(count)]);
  const [cpuMs] = (await once(child, "message")) as [number];
  await once(child, "exit");
  return cpuMs;
}

async function bulk(
  role: "api" | "node",
  peerCount: number,
  count: number,
): Promise<{ cpuMs: number; seconds: string }> {
  const children: ChildProcess[] = [];
  const start = async (args: string[]) => {
    const child = fork(import.meta.filename, args);
    children.push(child);
    return ((await once(child, "message")) as [{ url: string; peer: string }])[0];
  };
  const { url, peer } = await start([role]);
  const urls = [url];
  for (let n = 0; n < peerCount; n++) urls.push((await start(["node", peer])).url);
  const nodes = await Promise.all(urls.map((at) => connectToNode(at)));
  if (role === "node") await until(async () => (await nodes[0]!.status()).peers === peerCount);

  const items = drafts(count);
  children[0]!.send("begin");
  const beginMs = performance.now();
  let accepted = 0;
  for await (const { status } of nodes[0]!.postMany(items)) if (status === "accepted") accepted++;
  if (accepted !== count) console.log(`only ${accepted} of ${count} were accepted`);
  if (role === "node") await until(async () => (await fingerprints(nodes, count)).size === 1);
  const seconds = ((performance.now() - beginMs) / 1000).toFixed(1);

  children[0]!.send("cpu");
  const [cpuMs] = (await once(children[0]!, "message")) as [number];
  await Promise.all(nodes.map((node) => node.close()));
  await Promise.all(
    children.map((child) => {
      child.kill();
      return once(child, "exit");
    }),
  );
  return { cpuMs, seconds };
}

/** One when all hold everything, and the same. */
async function fingerprints(
  nodes: Awaited<ReturnType<typeof connectToNode>>[],
  count: number,
): Promise<Set<string>> {
  const { fingerprintSinceMs: sinceMs } = await nodes[0]!.status();
  const states = await Promise.all(nodes.map((node) => node.status({ sinceMs })));
  return new Set(states.map(({ fingerprint, items }) => (items === count ? fingerprint : `only ${items}`)));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error("not reached within 60 s");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function bare(count: number): void {
  const lines = drafts(count).map((draft) => JSON.stringify(draft));
  const held = new Map<string, Item>();
  const before = process.cpuUsage();
  for (const line of lines) take(JSON.parse(line) as ItemDraft, held);
  process.send!(cpuMsSince(before));
  process.disconnect();
}

async function serveApi(): Promise<void> {
  const held = new Map<string, Item>();
  const node = {
    async acceptMany(batch: readonly ItemDraft[]) {
      for (const draft of batch) take(draft, held);
      return batch.map(({ id }) => ({ id, status: "accepted" }));
    },
    statusNow: () => ({ name: "n", id: "i", cluster: "c", version: "v", fingerprint: "f" }),
  } as unknown as ServedNode;
  await account((await openHttpApi({ node, port: 0 })).url, "");
}

async function serveNode(peer: string): Promise<void> {
  const node = await startNode({
    cluster: "bench",
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    http: { port: 0 },
    peers: peer.startsWith("/") ? [peer] : [],
  });
  await account(node.url!, node.peerAddresses[0]!);
}

async function account(url: string, peer: string): Promise<void> {
  process.send!({ url, peer });
  await once(process, "message");
  const before = process.cpuUsage();
  await once(process, "message");
  process.send!(cpuMsSince(before));
}

function take(draft: ItemDraft, held: Map<string, Item>): void {
  const { id = "", raw, signature = "" } = draft;
  if (hash("md5", raw) !== signature) throw new Error("bad signature");
  held.set(id, withDigest({ id, raw, signature, timestampMs: 1_800_000_000_000 }));
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return Math.round((user + system) / 1000);
}
