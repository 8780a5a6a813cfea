// The cost of gossip and membership in clusters of 3, 10 and 30 nodes, each a process of its own on loopback.
// npm run build && node bench/cluster.ts [nodes...]
// Read: join is from the moment when the last node listens until all rosters are full. Visible is from before the post
// to the item's event in each other process (one machine, one clock), at 10 posts a second. CPU is that of all processes
// together, by post and node, above what they use idle. Copies are those received of each batch. Burst is from the first
// post until all hold all; its sync share is what reconciliation brought. Each process compiles its code anew, which the
// first thousands of posts pay for: so CPU is compared for a first and a second burst of 5,000, as many in each cluster. The
// table at the end was measured with GossipSub, and its bursts were of 20,000 with 3 and 10 nodes.
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
/** Posts of each burst; the last one, where few nodes make it short. */
const BURSTS = [5_000, 5_000, 20_000];
const MANY_NODES = 30;
let asked = 0;
const now = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Order {
  readonly question: number;
  readonly do: "look" | "post" | "tell" | "await";
  readonly ids: readonly string[];
  readonly items: number;
}

interface Look {
  readonly status: NodeStatus;
  readonly cpuMs: number;
}

if (process.argv[2] === "node") await serve();
else {
  const given = process.argv.slice(2).map(Number);
  const counts = given.length > 0 ? given : [3, 10, MANY_NODES];
  const costs: Record<string, number>[] = [];
  for (const count of counts) costs.push(await measure(count));
  if (counts.length > 1) {
    console.log(`CPU per post and node, ${counts.at(-1)} nodes to ${counts[0]}`);
    for (const [what, us] of Object.entries(costs.at(-1)!))
      if (costs[0]![what] !== undefined) console.log(`  ${what}: ${(us / costs[0]![what]).toFixed(2)}`);
  }
  console.log(BEFORE);
}

/** @returns CPU us per post and node, of each kind of load */
async function measure(count: number): Promise<Record<string, number>> {
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

    const costs: Record<string, number> = {};
    const cost = (what: string, { cpuMs, tookMs }: { cpuMs: number; tookMs: number }, posts: number) => {
      costs[what] = ((cpuMs - idleCpuPerMs * tookMs) * 1_000) / posts / count;
      return `${costs[what].toFixed(0)} us of CPU per post and node`;
    };
    const copies = (from: ReturnType<typeof sum>, to: ReturnType<typeof sum>) =>
      `${((to.copies - from.copies) / (to.batches - from.batches)).toFixed(2)} copies of a batch`;
    console.log(`${count} nodes
  join ${joinMs.toFixed(0)} ms, idle ${((100 * idleCpuPerMs) / count).toFixed(2)} % of a core a node
  visible p50 ${at(0.5)} p99 ${at(0.99)} ms; heard ${((100 * delays.length) / POSTS / count).toFixed(1)} %
  single posts: ${cost("single posts", singles, POSTS)}, ${copies(before, after)}`);
    let posted = POSTS;
    for (const [index, burst] of BURSTS.slice(0, count < MANY_NODES ? 3 : 2).entries()) {
      const from = sum(await looks());
      posted += burst;
      const run = await cpuOf(looks, async () => {
        const ids = Array.from({ length: burst }, (_, n) => `burst-${index}-${n}`);
        // Each waits for its own events: to ask 30 nodes for their status meanwhile costs as much as the posts.
        const held = nodes.map((node) => ask(node, { do: "await", items: posted }));
        await ask(nodes[0]!, { do: "post", ids });
        await Promise.race([Promise.all(held), pause(120_000)]);
      });
      const to = sum(await looks());
      const bySync = (100 * (to.synced - from.synced)) / burst / (count - 1);
      console.log(
        `  burst ${index + 1} of ${burst}: ${((1_000 * burst) / run.tookMs).toFixed(0)} posts/s until all hold all; ` +
          `${cost(`burst ${index + 1}`, run, burst)}, ${copies(from, to)}, ${bySync.toFixed(2)} % by sync, ` +
          `${((to.bytes - from.bytes) / burst / (count - 1)).toFixed(0)} wire bytes per post and receiver`,
      );
    }
    return costs;
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
  let items = 0;
  let awaited = { items: Number.POSITIVE_INFINITY, come: () => {} };
  void (async () => {
    for await (const event of node.events()) {
      if (event.type !== "item") continue;
      if (event.item.id.startsWith("single")) seen.push({ id: event.item.id, atMs: now() });
      if (++items >= awaited.items) awaited.come();
    }
  })();
  process.on("message", async (order: Order) => {
    const atMs = now();
    if (order.do === "await" && items < order.items)
      await new Promise<void>((come) => {
        awaited = { items: order.items, come };
      });
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
