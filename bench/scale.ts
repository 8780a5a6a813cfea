// One hub alone, then 1 to 8 hubs on one nats-server, under the same load: deliveries/s, latency, and what each costs.
// node bench/scale.ts [--hubs 1,2,3,4,8] [--clients 64] [--size 1024] [--json]; under 90 s; see bench/README.md
import { join } from "node:path";
import type { Load, LoadResult } from "../src/hub/simulate/load.js";
import type { HubGauge } from "../src/hub/simulate/processes.js";
import { type Server, startServer } from "./hub/server.ts";
import { SumGauge } from "./hub/sum-gauge.ts";

const { runLoad } = (await import(
  new URL("../build/src/hub/simulate/load.js", import.meta.url).href
)) as typeof import("../src/hub/simulate/load.js");

/** One load; it takes a second or two. */
const RUN_MS_MAX = 20_000;
const MESSAGES = { warmUp: 10, full: 100, paced: 40 };
/** Of the paced load: 20 messages a second from each client. */
const PACED_MS = 50;

interface Row {
  readonly hubs: number;
  readonly engine: "local" | "nats";
  readonly perSecond: number;
  /** Per delivery: all hubs, and the nats-server. */
  readonly hubCpuUs: number;
  readonly natsCpuUs: number;
  /** Of the paced load, against when each message was due. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly pacedPerSecond: number;
  readonly faults: number;
}

const args = process.argv.slice(2);
const option = (name: string, fallback: string): string =>
  args.includes(name) ? args[args.indexOf(name) + 1]! : fallback;
const counts = option("--hubs", "1,2,3,4,8").split(",").map(Number);
const clients = Number(option("--clients", "64"));
const size = Number(option("--size", "1024"));

const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => stopped.abort(new Error(signal)));

const rows = [await alone()];
for (const count of counts) rows.push(await onNats(count));
if (args.includes("--json")) console.log(JSON.stringify({ clients, size, rows }));
else print();

async function alone(): Promise<Row> {
  const hub = await startServer("hubcast");
  try {
    return await measure([hub], undefined);
  } finally {
    await hub.stop();
  }
}

async function onNats(count: number): Promise<Row> {
  const config = (directory: string): string =>
    `jetstream { store_dir: ${JSON.stringify(join(directory, "store"))} }`;
  const nats = await startServer("nats-server", { config });
  const hubs: Server[] = [];
  try {
    for (let number = 1; number <= count; number += 1) {
      const hub = { engine: `nats://127.0.0.1:${nats.port}`, name: `hub-${number}` };
      hubs.push(await startServer("hubcast", { hub }));
    }
    return await measure(hubs, nats);
  } finally {
    for (const server of [...hubs, nats]) await server.stop();
  }
}

async function measure(hubs: readonly Server[], nats: Server | undefined): Promise<Row> {
  const gauge = new SumGauge(hubs);
  await load(hubs, gauge, MESSAGES.warmUp, 0);
  const natsBeforeUs = nats?.gauge.load?.cpuUs ?? 0;
  const full = await load(hubs, gauge, MESSAGES.full, 0);
  const natsCpuUs = (nats?.gauge.load?.cpuUs ?? 0) - natsBeforeUs;
  const paced = await load(hubs, gauge, MESSAGES.paced, PACED_MS);
  const { before, after } = full.hub!;
  return {
    hubs: hubs.length,
    engine: nats === undefined ? "local" : "nats",
    perSecond: full.deliveries / full.seconds,
    hubCpuUs: (after.cpuUs - before.cpuUs) / full.deliveries,
    natsCpuUs: natsCpuUs / full.deliveries,
    p50Ms: paced.intended.quantile(0.5) / 1_000,
    p99Ms: paced.intended.quantile(0.99) / 1_000,
    pacedPerSecond: paced.deliveries / paced.seconds,
    faults: faults(full) + faults(paced),
  };
}

/** All to all, every delivery checked; clients are on the hubs in turn. */
async function load(
  hubs: readonly Server[],
  gauge: HubGauge,
  messages: number,
  intervalMs: number,
): Promise<LoadResult> {
  const all: Load = {
    addresses: hubs.map(({ port }) => ({ host: "127.0.0.1", port })),
    ...{ workers: 1, timeoutMs: 15_000, run: "load", tag: 1, echoes: false },
    ...{ clients, messages, size, intervalUs: intervalMs * 1_000 },
    ...{ roles: new Array(clients).fill("healthy"), chaosOn: false, lists: "same" },
  };
  const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(RUN_MS_MAX)]);
  return await runLoad(all, gauge, () => {}, signal);
}

function faults({ proof }: LoadResult): number {
  return proof.lost + proof.duplicated + proof.outOfOrder + proof.corrupt + proof.unsent;
}

function print(): void {
  console.log(`${clients} clients in all, ${size} B, all to all; then 20 messages a second from each`);
  const head = ["hubs", "engine", "deliveries/s", "of one", "CPU us/delivery: hubs", "nats-server"].concat([
    "paced/s",
    "p50 ms",
    "p99 ms",
    "faults",
  ]);
  const lines = rows.map((row) => [
    ...[String(row.hubs), row.engine, Math.round(row.perSecond).toLocaleString("en")],
    ...[(row.perSecond / rows[0]!.perSecond).toFixed(2), row.hubCpuUs.toFixed(2), row.natsCpuUs.toFixed(2)],
    ...[Math.round(row.pacedPerSecond).toLocaleString("en"), row.p50Ms.toFixed(2), row.p99Ms.toFixed(2)],
    String(row.faults),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column]!.length)),
  );
  for (const line of [head, ...lines])
    console.log(line.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
}
