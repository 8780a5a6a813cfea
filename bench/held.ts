// The cost of items as plain objects in two Maps, by digest and by id, and in the ordered set, beside that of a node's way
// (Holdings: records outside of the heap, decision 10; two tables, the same set). Each in a process of its own, one after the other.
//
//   npm run build && node bench/held.ts [COUNT] [BYTES]
// Read: `added` is memory of the process that the items have added, `at most` with what inserting took besides; `collection`
// is one full collection of garbage, in which nothing else runs. Both it and an insert are time of processor; `longest` the longest that 1,000 inserts held up the rest.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Holdings } from "../build/src/node/replica/holdings.js";
import { type Item, withDigest } from "../build/src/node/replica/item.js";
import { ItemSet } from "../build/src/node/replica/item-set/item-set.js";
import { integritySignature } from "../build/src/node/replica/signature.js";

const count = Number(process.argv[2] ?? 1_000_000);
const bytes = Number(process.argv[3] ?? 200);
const BATCH = 1_000;

const WAYS: Readonly<Record<string, () => (item: Item) => void>> = {
  "objects in Maps": () => {
    const byDigest = new Map<string, Item>();
    const byId = new Map<string, Item>();
    const set = new ItemSet();
    return (item) => {
      set.insert(item);
      byDigest.set(item.digest, item);
      byId.set(item.id, item);
    };
  },
  Holdings: () => {
    const holdings = new Holdings();
    return (item) => void holdings.add(item);
  },
};

const way = process.argv[4];
if (way === undefined) {
  for (const each of Object.keys(WAYS)) {
    const args = ["--expose-gc", fileURLToPath(import.meta.url), String(count), String(bytes), each];
    spawnSync(process.execPath, args, { stdio: "inherit" });
  }
} else measure(WAYS[way]!());

function measure(add: (item: Item) => void): void {
  collect();
  const before = residentMiB();
  let [insertMs, longestMs] = [0, 0];
  for (let first = 0; first < count; first += BATCH) {
    const items = itemsFrom(first);
    const startMs = performance.now();
    const before = process.cpuUsage();
    for (const item of items) add(item);
    const { user, system } = process.cpuUsage(before);
    const ms = performance.now() - startMs;
    insertMs += (user + system) / 1_000;
    longestMs = Math.max(longestMs, ms);
  }
  const most = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1_024;
  collect();
  const collectionMs = Math.min(collect(), collect(), collect());
  console.log(
    `${way!.padEnd(16)} ${count} items of ${bytes} B: added ${Math.round(residentMiB() - before)} MiB (at most ${Math.round(most)}); ` +
      `${((insertMs / count) * 1_000).toFixed(1)} us an insert, longest ${longestMs.toFixed(0)} ms; collection ${collectionMs.toFixed(0)} ms`,
  );
}

/** As they come from a peer: texts of their own, not parts of a larger one. */
function itemsFrom(first: number): Item[] {
  return Array.from({ length: Math.min(BATCH, count - first) }, (_, index) => {
    const raw = Buffer.from(`${first + index} `.padEnd(bytes, "announcement ")).toString("utf8");
    const id = Buffer.from(`item-${first + index}`).toString("utf8");
    return withDigest({ id, raw, signature: integritySignature(raw), timestampMs: Date.now() });
  });
}

/** @returns ms of processor, of all threads */
function collect(): number {
  const before = process.cpuUsage();
  globalThis.gc!();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function residentMiB(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1_024;
}
