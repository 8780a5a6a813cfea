// The cost of gossip and membership in clusters of 3, 10 and 30 nodes, each a process of its own on loopback.
// npm run build && node bench/cluster.ts [nodes...]
// Read: join is from the moment when the last node listens until all rosters are full. Visible is from before the post
// to the item's event in each other process (one machine, one clock), at 10 posts a second. CPU is that of all processes
// together, by post and node, above what they use idle. Copies are those received of each batch. Burst is from the first
// post until all hold all; its sync share is what reconciliation brought. The table below was measured with GossipSub.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { NodeStatus } from "../src/node/broadcast.js";

const BEFORE = `with GossipSub                   3 nodes   10 nodes   30 nodes
  CPU us per post and node, burst   43..58    63..100   187..224
  the same, single posts                70        115        406
  wire bytes per post and receiver     847      2,366      2,846
  burst, posts/s until all hold all 19,000      3,356        337
  post to visible p50 / p99 ms      5 / 18     9 / 37   32 / 169`;
const RAW = "x".repeat(256);
const POSTS = 200;
const POST_EVERY_MS = 100;
let asked = 0;
const now = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Look {
  readonly status: NodeStatus;
  readonly cpuMs: number;
}

if (process.argv[2] === "node") await serve();
else {
  for (const count of process.argv.slice(2).map(Number).filter(Boolean).length > 0
    ? process.argv.slice(2).map(Number)
    : [3, 10, 30])
    await measure(count);
  console.log(BEFORE);
}

async function measure(count: number): Promise<void> {
  const nodes: ChildProcess[] = [];
  const seen: { id: string; atMs: number }[] = [];
  try {
    const start = async (peers: readonly string[]) => {
      const child = fork(import.meta.filename, ["node", JSON.stringify(peers)]);
      nodes.push(child);
      child.setMaxListeners(0);
      const [{ addresses }] = (await once(child, "message")) as [{ addresses: string[] }];
      return addresses;
    };
    const [first] = await start([]);
    for (let n = 1; n < count; n++) await start([first!]);
    const listeningMs = now();
    const looks = () => Promise.all(nodes.map((node) => ask<Look>(node, { do: "look" })));
    while ((await looks()).some(({ status }) => status.members < count)) await pause(50);
    const joinMs = now() - listeningMs;
    await pause(3_000);
    const idle = await cpuOf(looks, () => pause(5_000));
    const idleCpuPerMs = idle.cpuMs / idle.tookMs;

    const before = sum(await looks());
    const postedAtMs = new Map<string, number>();
    const singles = await cpuOf(looks, async () => {
      for (let n = 0; n < POSTS; n++) {
        const id = `single-${n}`;
        const node = nodes[n % count]!;
        const dueMs = now() + POST_EVERY_MS;
        const { atMs } = await ask<{ atMs: number }>(node, { do: "post", ids: [id] });
        postedAtMs.set(id, atMs);
        await pause(Math.max(0, dueMs - now()));
      }
      await pause(300);
    });
    const after = sum(await looks());
    for (const node of nodes) seen.push(...(await ask<{ seen: typeof seen }>(node, { do: "tell" })).seen);
    const delays = seen
      .filter(({ id }) => postedAtMs.has(id))
      .map(({ id, atMs }) => atMs - postedAtMs.get(id)!);
    delays.sort((a, b) => a - b);
    const at = (part: number) => delays[Math.floor((delays.length - 1) * part)]!.toFixed(1);

    const burst = count >= 30 ? 5_000 : 20_000;
    const burstBefore = sum(await looks());
    const burstRun = await cpuOf(looks, async () => {
      const ids = Array.from({ length: burst }, (_, n) => `burst-${n}`);
      await ask(nodes[0]!, { do: "post", ids });
      const endMs = now() + 120_000;
      while ((await looks()).some(({ status }) => status.items < POSTS + burst) && now() < endMs)
        await pause(20);
    });
    const burstAfter = sum(await looks());
    const perNode = (cpuMs: number, tookMs: number, posts: number) =>
      (((cpuMs - idleCpuPerMs * tookMs) * 1_000) / posts / count).toFixed(0);
    console.log(`${count} nodes
  join ${joinMs.toFixed(0)} ms, idle ${((100 * idleCpuPerMs) / count).toFixed(2)} % of a core a node
  visible p50 ${at(0.5)} p99 ${at(0.99)} ms; heard ${((100 * delays.length) / POSTS / count).toFixed(1)} %
  CPU us per post and node: single ${perNode(singles.cpuMs, singles.tookMs, POSTS)}, burst ${perNode(burstRun.cpuMs, burstRun.tookMs, burst)}
  copies of a batch: single ${((after.copies - before.copies) / (after.batches - before.batches)).toFixed(2)}, burst ${((burstAfter.copies - burstBefore.copies) / (burstAfter.batches - burstBefore.batches)).toFixed(2)}
  burst of ${burst}: ${((1_000 * burst) / burstRun.tookMs).toFixed(0)} posts/s until all hold all; by sync ${((100 * (burstAfter.synced - burstBefore.synced)) / burst / (count - 1)).toFixed(2)} %
  wire bytes per post and receiver in the burst: ${((burstAfter.bytes - burstBefore.bytes) / burst / (count - 1)).toFixed(0)}`);
  } finally {
    for (const node of nodes) node.kill("SIGKILL");
  }
}

async function cpuOf(looks: () => Promise<Look[]>, work: () => Promise<unknown>) {
  const cpu = async () => (await looks()).reduce((total, { cpuMs }) => total + cpuMs, 0);
  const before = await cpu();
  const startMs = now();
  await work();
  const tookMs = now() - startMs;
  return { cpuMs: (await cpu()) - before, tookMs };
}

function sum(looks: readonly Look[]) {
  const total = (of: (status: NodeStatus) => number) =>
    looks.reduce((all, { status }) => all + of(status), 0);
  return {
    copies: total(({ gossip }) => gossip.copiesReceived),
    batches: total(({ gossip }) => gossip.batchesReceived),
    synced: total(({ sync }) => sync.itemsReceived),
    bytes: total(({ sync }) => sync.bytesReceived),
  };
}

async function ask<Answer>(node: ChildProcess, order: object): Promise<Answer> {
  const question = ++asked;
  node.send({ question, ...order });
  return await new Promise((resolve) => {
    const hear = (answer: Answer & { question?: number }) => {
      if (answer.question !== question) return;
      node.off("message", hear);
      resolve(answer);
    };
    node.on("message", hear);
  });
}

async function serve(): Promise<void> {
  const { startNode } = (await import(
    new URL("../build/src/node/index.js", import.meta.url).href
  )) as typeof import("../src/node/index.js");
  const node = await startNode({
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    peers: JSON.parse(process.argv[3]!) as string[],
  });
  const seen: { id: string; atMs: number }[] = [];
  void (async () => {
    for await (const event of node.events())
      if (event.type === "item" && event.item.id.startsWith("single"))
        seen.push({ id: event.item.id, atMs: now() });
  })();
  process.on("message", async (order: { question: number; do: string; ids: readonly string[] }) => {
    const atMs = now();
    if (order.do === "post")
      for (let at = 0; at < order.ids.length; at += 1_000)
        await Promise.all(order.ids.slice(at, at + 1_000).map((id) => node.post({ id, raw: RAW })));
    const { user, system } = process.cpuUsage();
    process.send!({
      question: order.question,
      atMs,
      ...(order.do === "tell" && { seen }),
      ...(order.do === "look" && { status: await node.status() }),
      cpuMs: (user + system) / 1_000,
    });
  });
  process.on("disconnect", () => process.exit());
  process.send!({ addresses: node.peerAddresses });
}
