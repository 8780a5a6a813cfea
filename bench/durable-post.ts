// Single posts a second that a node takes in memory and with a data directory, and lines a second in bulk.
// npm run build && node bench/durable-post.ts [seconds per run] [directory]        (needs wrk: apt-get install wrk)
// Read: with a data directory every answer waits for a sync of the disk, and 64 connections share one; the ratio says
// what durability costs on this disk. Node and load are two processes; runs alternate.
import { execFileSync, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectToNode } from "../build/src/node/client.js";
import { startNode } from "../build/src/node/index.js";

const RAW = "announcement ".repeat(20).slice(0, 256);
const SIGNATURE = createHash("md5").update(RAW).digest("hex");
const BULK_LINES = 50_000;
const WRK_SCRIPT = `
local count = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, '{"id":"' .. count .. '","raw":"${RAW}","signature":"${SIGNATURE}"}')
end
`;

const [first = "4", second = tmpdir()] = process.argv.slice(2);
if (first === "node") await serve(second);
else await compare(Number(first), second);

async function compare(seconds: number, parent: string): Promise<void> {
  const root = mkdtempSync(join(parent, "hubcast-bench-"));
  const script = join(root, "post.lua");
  writeFileSync(script, WRK_SCRIPT);
  for (let run = 1; run <= 3; run++) {
    for (const dir of ["", join(root, `data-${run}`)]) {
      const node = fork(import.meta.filename, ["node", dir]);
      const [url] = (await once(node, "message")) as [string];
      const output = execFileSync(
        "wrk",
        ["-t1", "-c64", `-d${seconds}s`, "--latency", "-s", script, `${url}/v1/items`],
        { encoding: "utf8" },
      );
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
      const p99 = /99%\s+(\S+)/.exec(output)?.[1];
      const bulkRate = await bulk(url);
      const where = dir ? "disk  " : "memory";
      console.log(
        `run ${run} ${where} ${Math.round(rate)} posts/s, p99 ${p99}; bulk ${Math.round(bulkRate)} lines/s`,
      );
      if (/Non-2xx/.test(output)) console.log(output);
      node.disconnect();
      await once(node, "exit");
    }
  }
  rmSync(root, { recursive: true });
}

async function bulk(url: string): Promise<number> {
  const remote = await connectToNode(url);
  const drafts = Array.from({ length: BULK_LINES }, (_, line) => ({
    id: `bulk-${line}`,
    raw: RAW,
    signature: SIGNATURE,
  }));
  const start = performance.now();
  let accepted = 0;
  for await (const { status } of remote.postMany(drafts)) if (status === "accepted") accepted++;
  const rate = accepted / ((performance.now() - start) / 1000);
  await remote.close();
  return rate;
}

async function serve(dataDir: string): Promise<void> {
  const node = await startNode({
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    http: { port: 0 },
    ...(dataDir && { dataDir }),
  });
  process.send!(node.url);
  process.once("disconnect", () => void node.close());
}
