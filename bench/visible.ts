// How soon a post is visible on other nodes, and how soon a starting node finds its first peer: processes on loopback.
// npm run build && node bench/visible.ts [posts] [starts] [nodes] [disk]
// Read: post to visible counts from before the HTTP request to the item's event in each other process (one clock, one
// machine); wanted are p50 under 15 ms and p99 under 60 ms on 11 nodes, 2 and 6 ms on 3. Polled: until a client that asks
// each other node every ms is answered with the item; wanted on 3 nodes are 4.7 and 8 ms. First peer counts from the call of
// startNode to the first connected peer in the node's own list; wanted is a median under 1 s. With `disk` each node has a
// data directory.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectToNode } from "../build/src/node/client.js";
import { startNode } from "../build/src/node/index.js";

const NODES = Number(process.argv[4] ?? 11);
const DISK = process.argv[5] === "disk" ? mkdtempSync(join(tmpdir(), "hubcast-bench-")) : undefined;
const PAUSE_MS = 40;
const now = () => performance.timeOrigin + performance.now();

if (process.argv[2] === "node") await node(process.argv[3]!, process.env.DATA);
else await measure(Number(process.argv[2] ?? 200), Number(process.argv[3] ?? 10));

async function measure(posts: number, starts: number): Promise<void> {
  const cluster = `bench-${process.pid}`;
  const children: ChildProcess[] = [];
  const seenAtMs = new Map<string, number[]>();
  const start = async () => {
    const data = DISK && join(DISK, String(children.length));
    const child = fork(import.meta.filename, ["node", cluster], {
      env: { ...process.env, ...(data && { DATA: data }) },
    });
    children.push(child);
    const [{ url, firstPeerMs }] = (await once(child, "message")) as [{ url: string; firstPeerMs: number }];
    child.on("message", ({ id, atMs }: { id: string; atMs: number }) => {
      seenAtMs.set(id, [...(seenAtMs.get(id) ?? []), atMs]);
    });
    return { child, url, firstPeerMs };
  };
  try {
    const first = start();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const found: number[] = [];
    const urls: string[] = [];
    for (let n = 1; n < NODES; n++) {
      const { url, firstPeerMs } = await start();
      urls.push(url);
      found.push(firstPeerMs);
    }
    for (let n = NODES - 1; n < starts; n++) {
      const extra = await start();
      found.push(extra.firstPeerMs);
      extra.child.kill();
      await once(extra.child, "exit");
    }
    report("first peer after", found);

    const client = await connectToNode((await first).url);
    while ((await client.status()).peers < NODES - 1) await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const delays: number[] = [];
    for (let n = 0; n < posts; n++) {
      const id = `post-${n}`;
      const sentAtMs = now();
      await client.post({ id, raw: `news ${n}` });
      const endMs = now() + 10_000;
      while ((seenAtMs.get(id)?.length ?? 0) < NODES && now() < endMs)
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      // The node that took the post tells its own event first.
      const others = (seenAtMs.get(id) ?? []).sort((a, b) => a - b).slice(1);
      if (others.length < NODES - 1)
        console.log(`${id} reached only ${others.length} of ${NODES - 1} other nodes`);
      delays.push(...others.map((atMs) => atMs - sentAtMs));
    }
    report(`post to visible, ${posts} posts on ${NODES - 1} other nodes,`, delays);
    const readers = await Promise.all(urls.map((url) => connectToNode(url)));
    const polled: number[] = [];
    for (let n = 0; n < posts; n++) {
      const id = `polled-${n}`;
      const sentAtMs = now();
      const found = readers.map(async (reader) => {
        while (!(await reader.get(id))) await new Promise((resolve) => setTimeout(resolve, 1));
        polled.push(now() - sentAtMs);
      });
      await client.post({ id, raw: `news ${n}` });
      await Promise.all(found);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    report(`post to visible, polled each ms on ${NODES - 1} other nodes,`, polled);
    await Promise.all([client, ...readers].map((one) => one.close()));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    if (DISK) rmSync(DISK, { recursive: true, force: true });
  }
}

async function node(cluster: string, dataDir: string | undefined): Promise<void> {
  process.once("disconnect", () => process.exit());
  const startedAtMs = now();
  const self = await startNode({
    cluster,
    mdns: { interfaces: ["127.0.0.1"] },
    p2p: { hosts: ["127.0.0.1"] },
    http: { port: 0 },
    ...(dataDir && { dataDir }),
  });
  const events = self.events();
  const endMs = now() + 1_500;
  while (now() < endMs && !(await self.peers()).some(({ state }) => state === "connected")) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  process.send!({ url: self.url, firstPeerMs: now() - startedAtMs });
  for await (const event of events) {
    if (event.type === "item") process.send!({ id: event.item.id, atMs: now() });
  }
}

function report(what: string, sampleMs: number[]): void {
  const sorted = sampleMs.sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1);
  console.log(`${what} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
}
