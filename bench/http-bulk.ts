// CPU that the HTTP API spends on a bulk post of 100,000 items of 256 B, beside a bare loop over the same lines that
// parses JSON and takes MD5 of raw and SHA-256 of the item.
// npm run build && node bench/http-bulk.ts [items]
// Read: the service behind the API does what the bare loop does after parsing, so the ratio less 1 is the price of
// HTTP. A whole node may cost 4. The client runs in its own process; best of five, runs alternate.
import { fork } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { connectToNode } from "../dist/node/client.js";
import { openHttpApi } from "../dist/node/http/index.js";
import { type Item, type ItemDraft, withDigest } from "../dist/node/protocol/item.js";
import type { NodeService } from "../dist/node/service.js";

const RAW = "announcement ".repeat(20).slice(0, 240);
const drafts = (count: number) =>
  Array.from({ length: count }, (_, index) => {
    const raw = `${RAW}${index}`.padEnd(256, ".");
    return { id: `item-${index}`, raw, signature: hash("md5", raw) };
  });

const [first = "100000", countText = "100000"] = process.argv.slice(2);
if (first === "bare") bare(Number(countText));
else if (first === "api") await serve();
else await compare(Number(first));

async function compare(count: number): Promise<void> {
  const costs: Record<string, number[]> = { bare: [], api: [] };
  for (let run = 0; run < 5; run++) {
    const loop = fork(import.meta.filename, ["bare", String(count)]);
    costs.bare!.push(((await once(loop, "message")) as [number])[0]);
    await once(loop, "exit");

    const server = fork(import.meta.filename, ["api"]);
    const [url] = (await once(server, "message")) as [string];
    const node = await connectToNode(url);
    const items = drafts(count);
    let accepted = 0;
    for await (const { status } of node.postMany(items)) if (status === "accepted") accepted++;
    server.send("done");
    costs.api!.push(((await once(server, "message")) as [number])[0]);
    if (accepted !== count) console.log(`only ${accepted} of ${count} were accepted`);
    await node.close();
    await once(server, "exit");
  }
  console.log(`CPU ms for ${count} items`, costs);
  console.log(`ratio of the best: ${(Math.min(...costs.api!) / Math.min(...costs.bare!)).toFixed(2)}`);
}

function bare(count: number): void {
  const lines = drafts(count).map((draft) => JSON.stringify(draft));
  const held = new Map<string, Item>();
  const before = process.cpuUsage();
  for (const line of lines) take(JSON.parse(line) as ItemDraft, held);
  process.send!(cpuMs(before));
  process.disconnect();
}

async function serve(): Promise<void> {
  const held = new Map<string, Item>();
  const service = {
    async postMany(batch: readonly ItemDraft[]) {
      for (const draft of batch) take(draft, held);
      return batch.map(({ id }) => ({ id, status: "accepted" }));
    },
    status: () => ({ name: "n", id: "i", cluster: "c", version: "v", fingerprint: "f" }),
  } as unknown as NodeService;
  const api = await openHttpApi({ service, port: 0 });
  process.send!(api.url);
  const before = process.cpuUsage();
  await once(process, "message");
  process.send!(cpuMs(before));
  await api.close();
  process.disconnect();
}

function take(draft: ItemDraft, held: Map<string, Item>): void {
  const { id = "", raw, signature = "" } = draft;
  if (hash("md5", raw) !== signature) throw new Error("bad signature");
  held.set(id, withDigest({ id, raw, signature, timestampMs: 1_800_000_000_000 }));
}

function cpuMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return Math.round((user + system) / 1000);
}
