// How fast items enter and leave the ordered set, and what a replica's items weigh in memory.
// npm run build && node --expose-gc bench/item-set.ts [count]
// Read: inserts/s must stay above 200,000; rss is the whole process with the set, its index by digest, and the view.
import { createHash, randomUUID } from "node:crypto";
import { Holdings } from "../build/src/node/replica/holdings.js";
import { type Item, withDigest } from "../build/src/node/replica/item.js";
import { ItemSet } from "../build/src/node/replica/item-set/item-set.js";

const count = Number(process.argv[2] ?? 1_000_000);
const startMs = Date.UTC(2026, 0, 1);
const retentionMs = 24 * 3_600_000;

/** As they come from a peer: strings of their own, 200 B of raw. */
function makeItems(): Item[] {
  return Array.from({ length: count }, (_, index) => {
    const raw = Buffer.from(`${index} `.padEnd(200, "announcement ")).toString();
    const signature = Buffer.from(`sha256:${createHash("sha256").update(raw).digest("hex")}`).toString();
    const timestampMs = startMs + Math.floor((index / count) * retentionMs);
    return withDigest({ id: randomUUID(), raw, signature, timestampMs });
  });
}

/** Fisher-Yates with a fixed seed. */
function shuffled(items: readonly Item[]): Item[] {
  const result = [...items];
  let state = 1;
  for (let at = result.length - 1; at > 0; at--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = state % (at + 1);
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}

function report(what: string, operations: number, work: () => void): void {
  const start = performance.now();
  work();
  const seconds = (performance.now() - start) / 1000;
  console.log(`${what.padEnd(28)} ${Math.round(operations / seconds).toLocaleString("en")}/s`);
}

function residentMiB(): number {
  globalThis.gc?.();
  return Math.round(process.memoryUsage().rss / 1024 ** 2);
}

let items = makeItems();
const random = shuffled(items);
const withItemsMiB = residentMiB();

let set = new ItemSet();
report("insert, random order", count, () => {
  for (const item of random) set.insert(item);
});
console.log(`the tree alone               ${residentMiB() - withItemsMiB} MiB for ${set.size} items`);
const probes = random.slice(0, 20_000);
report("has", probes.length, () => {
  for (const item of probes) set.has(item);
});
report("rank", probes.length, () => {
  for (const item of probes) set.rank(item);
});
report("fingerprint of a range", probes.length, () => {
  for (let at = 0; at + 1 < probes.length; at++) set.fingerprint(probes[at], probes[at + 1]);
});
report("delete, random order", count, () => {
  for (const item of random) set.delete(item);
});

set = new ItemSet();
report("insert, ascending", count, () => {
  for (const item of items) set.insert(item);
});
report("delete the lowest", count / 2, () => {
  for (let left = count / 2; left > 0; left--) set.delete(set.first()!);
});

set = new ItemSet();
let holdings = new Holdings([1, 2]);
report("held, random order", count, () => {
  for (const item of random) holdings.add(item);
});
report("found by digest", count, () => {
  for (const { digest } of random) if (!holdings.has(digest)) throw new Error("lost");
});
report("removed, random order", count, () => {
  for (const item of random) holdings.remove(item);
});
holdings = new Holdings([1, 2]);
for (const item of items) holdings.add(item);
items = [];
random.length = 0;
probes.length = 0;
console.log(
  `held                         ${residentMiB()} MiB rss (${holdings.size}, ${holdings.view.size})`,
);
