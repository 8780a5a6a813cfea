// How long a node's storage takes to start with many items, and what that costs in memory.
// npm run build && node --expose-gc bench/storage-load.ts [count] [directory]
// Read: `load` is everything between an opened directory and a filled set; `anonymous` is memory of this process
// alone, `file` is the mapped database, which the system takes back when it needs to. Without a fsync to speak of
// (tmpfs) `fill` is the speed of the storage, with a disk under it that of the disk.
import { readFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Holdings } from "../dist/node/protocol/holdings.js";
import { type Item, withDigest } from "../dist/node/protocol/item.js";
import { integritySignature } from "../dist/node/protocol/signature.js";
import { openLmdbStorage } from "../dist/node/storage/lmdb/index.js";
import { databaseFault } from "../dist/node/storage/lmdb/pages.js";

const count = Number(process.argv[2] ?? 1_000_000);
const dir = join(await mkdtemp(join(process.argv[3] ?? tmpdir(), "hubcast-bench-")), "data");
const options = { cluster: "bench", logger: { debug() {}, info() {}, warn() {}, error: console.error } };
const BATCH = 500;

if (process.argv[4]) await load(process.argv[4]);
else await main();

async function main(): Promise<void> {
  await fill();
  console.log(
    `database                ${Math.round((await stat(join(dir, "items.mdb"))).size / 2 ** 20)} MiB`,
  );
  await timed("page walk", () => databaseFault(join(dir, "items.mdb")));
  await load(dir);
  await rm(join(dir, ".."), { recursive: true });
}

async function fill(): Promise<void> {
  const storage = await openLmdbStorage(dir, options);
  await timed(`fill, batches of ${BATCH}`, async () => {
    const commits: Promise<void>[] = [];
    for (let at = 0; at < count; at += BATCH) {
      commits.push(storage.commit({ add: makeItems(at), remove: [] }));
      if (commits.length === 8) await Promise.all(commits.splice(0));
    }
    await Promise.all(commits);
  });
  await storage.close();
}

async function load(from: string): Promise<void> {
  const before = memory();
  const opened = performance.now();
  const storage = await openLmdbStorage(from, options);
  report("open, with the walk", opened);
  const holdings = new Holdings();
  let peak = before;
  await timed("load", async () => {
    for await (const items of storage.load()) {
      for (const item of items) holdings.add(item);
      peak = {
        anonymous: Math.max(peak.anonymous, memory().anonymous),
        file: Math.max(peak.file, memory().file),
      };
    }
  });
  globalThis.gc?.();
  const after = memory();
  console.log(`items                   ${holdings.size}`);
  console.log(
    `anonymous, MiB          ${before.anonymous} before, ${peak.anonymous} at most, ${after.anonymous} after`,
  );
  console.log(`file, MiB               ${before.file} before, ${peak.file} at most, ${after.file} after`);
  await storage.close();
}

function makeItems(first: number): Item[] {
  return Array.from({ length: Math.min(BATCH, count - first) }, (_, index) => {
    const raw = `${first + index} `.padEnd(200, "announcement ");
    const timestampMs = 1_790_000_000_000 + Math.floor(((first + index) / count) * 86_400_000);
    return withDigest({ id: `item-${first + index}`, raw, signature: integritySignature(raw), timestampMs });
  });
}

async function timed(what: string, work: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  await work();
  report(what, start);
}

function report(what: string, startMs: number): void {
  const seconds = (performance.now() - startMs) / 1000;
  console.log(
    `${what.padEnd(23)} ${seconds.toFixed(2)} s, ${Math.round(count / seconds).toLocaleString("en")} items/s`,
  );
}

/** MiB. */
function memory(): { anonymous: number; file: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return { anonymous: of("RssAnon"), file: of("RssFile") };
}
