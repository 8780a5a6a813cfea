// The cost of `hubcast broadcast list` for many items: user CPU of the command, as text and as JSON. Given the root of
// another built checkout, it takes turns with that one, so that whatever else the machine does meets both.
//
//   npm run build && node bench/list.ts [OTHER_CHECKOUT] [ROUNDS] [ITEMS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const [other, rounds = "9", count = "100000"] = process.argv.slice(2);
const here = fileURLToPath(new URL("..", import.meta.url));

/** Nine of ten are ASCII; the tenth has letters of other scripts and a line break. */
const items = Array.from({ length: Number(count) }, (_, index) => {
  const other = `Türen öffnen um neun, 九時に開く ${index}\nmore`;
  const raw = index % 10 === 0 ? other : `doors open at nine, ${"x".repeat(200)}`;
  const signature = `sha256:${String(index).padStart(64, "0")}`;
  return { id: `notice-${index}`, raw, signature, timestampMs: 1_800_000_000_000 + index, digest: "00" };
});
const STATUS = { name: "n", id: "1", cluster: "c", version: "0", fingerprint: "00" };

/** Lists page by page, as a node does. */
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url!, "http://127.0.0.1");
  const start = Number(searchParams.get("cursor") ?? 0);
  const end = start + Number(searchParams.get("limit") ?? items.length);
  const page = {
    items: items.slice(start, end),
    ...(end < items.length && { nextCursor: String(end) }),
  };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(pathname === "/v1/items" ? page : STATUS));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** User CPU of one process, in ms, as bash reads it from the kernel. */
async function userMs(checkout: string, ...flags: readonly string[]): Promise<number> {
  const args = [join(checkout, "bin/run.js"), "broadcast", "list", "--url", url, ...flags];
  const script = 'TIMEFORMAT=%3U; { time "$0" "$@" >/dev/null 2>&1; } 2>&1';
  const child = spawn("bash", ["-c", script, process.execPath, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return Number((await text(child.stdout)).trim()) * 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

for (const flags of [[], ["--json"]]) {
  const checkouts = other === undefined ? [here] : [here, other];
  const measured = checkouts.map(() => [] as number[]);
  for (const checkout of checkouts) await userMs(checkout, ...flags); // fills the compile cache
  for (let round = 0; round < Number(rounds); round++) {
    for (const [index, checkout] of checkouts.entries())
      measured[index]!.push(await userMs(checkout, ...flags));
  }
  const [ours, theirs] = measured.map(median);
  const ratio =
    theirs === undefined ? "" : `, there ${theirs.toFixed(0)} ms: ${(ours! / theirs).toFixed(3)} x`;
  console.log(`list ${flags.join(" ").padEnd(7)} ${count} items: ${ours!.toFixed(0)} ms user CPU${ratio}`);
}
server.close();
