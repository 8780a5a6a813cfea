// Two nodes that meet at a NATS server with JetStream on this machine: post to visible, and a bulk post that lasts.
// npm run build && node bench/nats.ts [posts] [seconds of bulk] [disk]       (apt-get install nats-server)
// With `disk` both nodes have a data directory.
// Read: post to visible counts from before the HTTP request at one node to the item's event in the other process (one
// clock, one machine); wanted is a p99 under 20 ms. The bulk post sends NDJSON to one node for so many seconds, as fast
// as it takes it, and then waits until both nodes hold the same; wanted are 20,000 items/s over all of that time.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectToNode } from "../build/src/node/client.js";
import { startNode } from "../build/src/node/index.js";

const PORT = 20_000 + (process.pid % 20_000);
const ENGINE = `nats://127.0.0.1:${PORT}`;
const now = () => performance.timeOrigin + performance.now();
type Client = Awaited<ReturnType<typeof connectToNode>>;

if (process.argv[2] === "node") await node();
else
  await measure(Number(process.argv[2] ?? 1_000), Number(process.argv[3] ?? 10), process.argv[4] === "disk");

async function measure(posts: number, seconds: number, disk: boolean): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "hubcast-bench-nats-"));
  const server = spawn("nats-server", ["-js", "-sd", dir, "-a", "127.0.0.1", "-p", String(PORT)], {
    stdio: "ignore",
  });
  const children: ChildProcess[] = [];
  const start = async () => {
    const child = fork(import.meta.filename, ["node"], {
      env: { ...process.env, ENGINE, ...(disk && { DATA: join(dir, `node-${children.length}`) }) },
    });
    children.push(child);
    const [{ url }] = (await once(child, "message")) as [{ url: string }];
    return await connectToNode(url);
  };
  try {
    await until(
      async () =>
        await fetch(`http://127.0.0.1:${PORT}`).then(
          () => true,
          ({ cause }) => cause?.code !== "ECONNREFUSED",
        ),
    );
    const nodes = [await start(), await start()];
    await until(async () =>
      (await Promise.all(nodes.map((one) => one.status()))).every(({ peers }) => peers === 1),
    );
    await visible(nodes[0]!, children[1]!, posts);
    await bulk(nodes, seconds);
    await Promise.all(nodes.map((one) => one.close()));
  } finally {
    for (const child of [...children, server]) child.kill("SIGKILL");
    await once(server, "exit");
    rmSync(dir, { recursive: true, force: true });
  }
}

async function visible(client: Client, other: ChildProcess, posts: number): Promise<void> {
  const seenAtMs = new Map<string, number>();
  other.on("message", ({ id, atMs }: { id: string; atMs: number }) => seenAtMs.set(id, atMs));
  other.send("tell");
  const delays: number[] = [];
  const answers: number[] = [];
  for (let n = 0; n < posts; n++) {
    const id = `post-${n}`;
    const sentAtMs = now();
    await client.post({ id, raw: `news ${n}` });
    answers.push(now() - sentAtMs);
    await until(async () => seenAtMs.has(id), 2);
    delays.push(seenAtMs.get(id)! - sentAtMs);
  }
  other.send("be quiet");
  report(`post to visible on the other node, ${posts} posts:`, delays);
  report("post to its answer (JetStream has acknowledged):", answers);
}

async function bulk(nodes: readonly Client[], seconds: number): Promise<void> {
  const before = (await nodes[0]!.status()).items;
  let sent = 0;
  const beginMs = now();
  function* drafts() {
    while (now() - beginMs < seconds * 1_000) {
      const raw = `${sent} `.padEnd(200, ".");
      yield { id: `bulk-${sent++}`, raw, signature: createHash("md5").update(raw).digest("hex") };
    }
  }
  let accepted = 0;
  for await (const { status } of nodes[0]!.postMany(drafts())) if (status === "accepted") accepted++;
  const acceptedMs = now() - beginMs;
  const { fingerprintSinceMs: sinceMs } = await nodes[0]!.status();
  await until(async () => {
    const states = await Promise.all(nodes.map((one) => one.status({ sinceMs })));
    return states.every(
      ({ items, fingerprint }) => items === before + accepted && fingerprint === states[0]!.fingerprint,
    );
  });
  const equalMs = now() - beginMs;
  const rate = (ms: number) => `${Math.round((accepted / ms) * 1_000).toLocaleString("en")} items/s`;
  console.log(
    `bulk: ${accepted} of ${sent} items of 200 B accepted in ${(acceptedMs / 1_000).toFixed(1)} s, ${rate(acceptedMs)};`,
  );
  console.log(
    `      on both nodes, fingerprints equal, after ${(equalMs / 1_000).toFixed(1)} s, ${rate(equalMs)}`,
  );
}

async function node(): Promise<void> {
  const self = await startNode({
    ...{ cluster: "bench", engine: process.env.ENGINE!, mdns: false, http: { port: 0 } },
    ...(process.env.DATA && { dataDir: process.env.DATA }),
  });
  let telling: AbortController | undefined;
  process.on("message", async (order) => {
    telling?.abort();
    if (order !== "tell") return;
    telling = new AbortController();
    for await (const event of self.events({ signal: telling.signal })) {
      if (event.type === "item") process.send!({ id: event.item.id, atMs: now() });
    }
  });
  process.send!({ url: self.url });
}

async function until(holds: () => Promise<boolean>, pauseMs = 50): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error("not reached within 60 s");
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function report(what: string, sampleMs: number[]): void {
  const sorted = sampleMs.sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(1);
  console.log(`${what} p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
}
