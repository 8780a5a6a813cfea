// How long a node's storage takes to start with many items, and what that costs in memory.
// npm run build && node --expose-gc bench/storage-load.ts [count] [directory]
// Read: `load` is everything between an opened directory and a filled set; `anonymous` is memory of this process
// alone, `file` is mapped files. Without a fsync to speak of (tmpfs) `fill` is the speed of the storage, with a disk under
// it that of the disk; wanted are 50,000 items/s on disk. Wanted is a start with 1,000,000 items within 15 s.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Holdings } from "../build/src/node/replica/holdings.js";
import { type Item, withDigest } from "../build/src/node/replica/item.js";
import { integritySignature } from "../build/src/node/replica/signature.js";
import { openSqliteStorage } from "../build/src/node/storage/sqlite.js";

const count = Number(process.argv[2] ?? 1_000_000);
const dir = join(await mkdtemp(join(process.argv[3] ?? tmpdir(), "hubcast-bench-")), "data");
const options = { cluster: "bench", logger: { debug() {}, info() {}, warn() {}, error: console.error } };
const BATCH = 1_000;
/** None expires before the node is up. */
const oldestMs = Date.now() - 43_200_000;

if (process.argv[4]) await load(process.argv[4]);
else await main();

async function main(): Promise<void> {
  await fill();
  console.log(
    `database                ${Math.round((await stat(join(dir, "items.sqlite"))).size / 2 ** 20)} MiB`,
  );
  await load(dir);
  await start();
  await rm(join(dir, ".."), { recursive: true });
}

async function fill(): Promise<void> {
  const storage = await openSqliteStorage(dir, options);
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

/** `hubcast broadcast start` on that directory, in a process of its own. */
async function start(): Promise<void> {
  const startedMs = performance.now();
  const run = fileURLToPath(new URL("../bin/run.js", import.meta.url));
  const flags = [
    "--data-dir",
    dir,
    "--cluster",
    "bench",
    "--port",
    "0",
    "--p2p-host",
    "127.0.0.1",
    "--no-mdns",
  ];
  const child = spawn(process.execPath, [run, "broadcast", "start", ...flags, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { url } = JSON.parse(line) as { url: string };
    const readyMs = performance.now();
    // utime and stime, in hundredths of a second; the memory it has at most had.
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1];
    console.log(
      `start, to its line      ${((readyMs - startedMs) / 1000).toFixed(2)} s; ` +
        `CPU ${((Number(fields[11]) + Number(fields[12])) / 100).toFixed(2)} s; at most ${Math.round(Number(peak) / 1024)} MiB`,
    );
    const page = await fetch(`${url}/v1/items?limit=100`);
    await page.json();
    const { items } = (await (await fetch(`${url}/v1/status`)).json()) as { items: number };
    console.log(`list, its first page    ${Math.round(performance.now() - readyMs)} ms; ${items} items held`);
    break;
  }
  child.kill();
  await once(child, "exit");
}

async function load(from: string): Promise<void> {
  const before = memory();
  const opened = performance.now();
  const used = process.cpuUsage();
  const storage = await openSqliteStorage(from, options);
  report("open, with its check", opened, used);
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
    const timestampMs = oldestMs + Math.floor(((first + index) / count) * 43_200_000);
    return withDigest({ id: `item-${first + index}`, raw, signature: integritySignature(raw), timestampMs });
  });
}

async function timed(what: string, work: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  const used = process.cpuUsage();
  await work();
  report(what, start, used);
}

function report(what: string, startMs: number, before: NodeJS.CpuUsage): void {
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  console.log(
    `${what.padEnd(23)} ${seconds.toFixed(2)} s, ${Math.round(count / seconds).toLocaleString("en")} items/s; ` +
      `CPU ${((user + system) / 1_000_000).toFixed(2)} s`,
  );
}

/** MiB. */
function memory(): { anonymous: number; file: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return { anonymous: of("RssAnon"), file: of("RssFile") };
}
