// The cost of the dashboard with 10 nodes that take 1,000 items a second: CPU of its process and bytes written per
// refresh, on a terminal of 120 x 40 (util-linux's `script`), in each view. The nodes are stand-ins
// that answer at once with figures that change, so that only the dashboard is measured.
//
//   npm run build && node bench/top.ts [SECONDS]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { NodeStatus, Peer } from "../src/node/broadcast.ts";
import { nodeStatus, peer } from "../test/fixtures/node-answers.ts";

const seconds = Number(process.argv[2] ?? 20);
const NODES = 10;
const ITEMS_PER_SECOND = 1_000;
const REFRESHES_PER_SECOND = 4;
const TICKS_PER_SECOND = 100;
const run = fileURLToPath(new URL("../bin/run.js", import.meta.url));
const startMs = Date.now();
const subscribers = new Set<ServerResponse>();
let posted = 0;

const hex = (text: string) => createHash("sha256").update(text).digest("hex");

function status(index: number): NodeStatus {
  const items = posted + index;
  const usual = nodeStatus();
  return {
    ...usual,
    ...{ name: `node-${index}`, id: `id-${index}`, uptimeMs: Date.now() - startMs },
    ...{ items, bytes: items * 200, posted: index ? 0 : posted },
    ...{ fingerprint: hex(String(items)).slice(0, 32), fingerprintSinceMs: startMs },
    ...{ peers: NODES - 1, links: 6, members: NODES },
    gossip: {
      ...usual.gossip,
      ...{ batchesReceived: posted / 10, copiesReceived: posted / 10, batchesSent: posted / 10 },
      ...{ itemsReceived: index ? posted : 0, itemsSent: index ? 0 : posted },
    },
    process: { rssBytes: 150_000_000 + posted, eventLoopDelayMs: (posted % 100) / 10 },
  };
}

function peers(index: number): readonly Peer[] {
  return Array.from({ length: NODES }, (_, other) =>
    peer(`node-${other}`, {
      ...{ id: `id-${other}`, sinceMs: startMs, roundTripMs: 0.5 },
      summary: { items: posted, fingerprint: "0".repeat(32), fingerprintSinceMs: startMs, ageMs: 100 },
    }),
  ).filter((_, other) => other !== index);
}

const urls = await Promise.all(
  Array.from({ length: NODES }, async (_, index) => {
    const server = createServer((request, response) => {
      if (request.url!.startsWith("/v1/events")) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.flushHeaders();
        subscribers.add(response);
        return;
      }
      const body = request.url!.startsWith("/v1/items")
        ? { items: [] }
        : request.url!.startsWith("/v1/peers")
          ? peers(index)
          : status(index);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(body));
    });
    server.unref();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }),
);

const ticking = setInterval(() => {
  let events = "";
  for (let n = 0; n < ITEMS_PER_SECOND / TICKS_PER_SECOND; n++) {
    const digest = hex(String(++posted));
    const item = { id: digest.slice(0, 36), raw: `item ${posted} `.repeat(8), signature: `sha256:${digest}` };
    const event = {
      type: "item",
      eventId: `e-${posted}`,
      item: { ...item, timestampMs: Date.now(), digest },
    };
    events += `id: ${event.eventId}\nevent: item\ndata: ${JSON.stringify(event)}\n\n`;
  }
  for (const subscriber of subscribers) subscriber.write(events);
}, 1000 / TICKS_PER_SECOND);

const words = [
  process.execPath,
  run,
  "top",
  "--mdns-interface",
  "127.0.0.1",
  ...urls.flatMap((url) => ["--url", url]),
];
const shell = `stty cols 120 rows 40; echo pid=$$; exec ${words.map((word) => `'${word}'`).join(" ")}`;
const top = spawn("script", ["-qefc", shell, "/dev/null"], {
  env: { ...process.env, TERM: "xterm", CI: "" },
});
let bytes = 0;
let head = "";
top.stdout.on("data", (chunk: Buffer) => {
  bytes += chunk.length;
  if (head.length < 20_000) head += chunk.toString();
});

const passed = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
await passed(5_000);
const pid = Number(/pid=(\d+)/.exec(head)![1]);
if (!head.includes(`node-${NODES - 1}`))
  throw new Error("the dashboard shows no node: it does not take these answers");
for (const [key, view] of [
  ["1", "cluster"],
  ["2", "items"],
  ["3", "hubs"],
  ["4", "events"],
] as const) {
  top.stdin.write(key);
  await passed(3_000);
  const before = { cpu: cpuSeconds(pid), bytes, atMs: performance.now() };
  await passed(seconds * 1_000);
  const lengthS = (performance.now() - before.atMs) / 1_000;
  const cpu = ((cpuSeconds(pid) - before.cpu) / lengthS) * 100;
  const perRefresh = (bytes - before.bytes) / lengthS / REFRESHES_PER_SECOND;
  console.log(`${view}: ${cpu.toFixed(1)} % of a core, ${Math.round(perRefresh)} bytes a refresh`);
}
top.stdin.write("q");
clearInterval(ticking);
for (const subscriber of subscribers) subscriber.end();

/** User and system time of a process, from /proc: fields 14 and 15, in hundredths. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
