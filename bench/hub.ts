// Our hub and, where installed, nats-server, redis-server and mosquitto under the same load, one after the other.
// npm run bench:hub -- [SCENARIO...] [--quick | --full] [--only SERVER] [--repeat N] [--prof DIR] [--json]; see bench/README.md
import { spawn } from "node:child_process";
import { once } from "node:events";
import { freemem } from "node:os";
import type { Load, LoadResult } from "../src/hub/simulate/load.js";
import { type Scenario, scenarios } from "./hub/scenario.ts";
import { isInstalled, SERVER_NAMES, type Server, type ServerName, startServer } from "./hub/server.ts";
import { compareStops } from "./hub/stops.ts";

const { runLoad } = (await import(
  new URL("../build/src/hub/simulate/load.js", import.meta.url).href
)) as typeof import("../src/hub/simulate/load.js");

/** One run, with its warm-up; longer ones are given up. */
const RUN_MS_MAX = 180_000;

interface Figures {
  readonly server: string;
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly mbPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly peakMb: number;
  readonly idleKb: number;
  readonly faults: number;
}

/** Ctrl-C must leave no server behind. */
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => stopped.abort(new Error(signal)));

const args = process.argv.slice(2);
const flag = (name: string): boolean => args.includes(name) && args.splice(args.indexOf(name), 1).length > 0;
const option = (name: string): string | undefined =>
  args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : undefined;
const size = flag("--quick") ? "quick" : flag("--full") ? "full" : "usual";
const repeat = Number(option("--repeat") ?? (size === "quick" ? 1 : 3));
const only = option("--only");
const profile = option("--prof");
const json = flag("--json");

for (const scenario of scenarios(size)) {
  if (args.length > 0 && !args.includes(scenario.name)) continue;
  if (scenario.stops) await compareStops(scenario, repeat, json, stopped.signal);
  else await compare(scenario);
}

async function compare(scenario: Scenario): Promise<void> {
  const rows: Figures[] = [];
  for (const name of SERVER_NAMES) {
    if (scenario.without?.includes(name) || (only !== undefined && only !== name)) continue;
    const obstacle = isInstalled(name) ? tooLarge(scenario, name) : "is not installed";
    if (obstacle) {
      console.error(`${scenario.name}: ${name} ${obstacle}, left out`);
      continue;
    }
    const runs: Figures[] = [];
    for (let round = 0; round < (scenario.idle ? 1 : repeat); round += 1) {
      try {
        runs.push(await measure(scenario, name));
      } catch (error) {
        console.error(`${scenario.name}, ${name}: ${(error as Error).message}`);
        if (stopped.signal.aborted) process.exit(130);
      }
    }
    if (runs.length > 0) rows.push(best(runs));
  }
  const copied = scenario.besideCopyLoop ? await copyLoop(scenario) : undefined;
  if (json) console.log(JSON.stringify({ scenario, rows, copyLoopMbPerSecond: copied }));
  else print(scenario, rows, copied);
}

/** Redis has no back-pressure: what its clients have not read yet, up to all of a run, is in its memory. */
function tooLarge({ clients, messages, size: bytes }: Scenario, name: ServerName): string | undefined {
  const wanted = clients * clients * messages * bytes * 1.2;
  if (name !== "redis-server" || wanted < freemem() / 2) return undefined;
  return `may need ${Math.round(wanted / 2 ** 30)} GiB of memory`;
}

async function measure(scenario: Scenario, name: ServerName): Promise<Figures> {
  const server = await startServer(name, { profile: name === "hubcast" ? profile : undefined });
  try {
    if (scenario.idle) return await measureIdle(scenario, name, server);
    // Compilers of servers that have one have done their work before the clock starts.
    const warmUp = Math.ceil(scenario.messages / 10);
    await run({ ...scenario, messages: warmUp, intervalMs: 0 }, server);
    return figures(name, await run(scenario, server));
  } finally {
    await server.stop();
  }
}

async function run(scenario: Scenario, server: Server): Promise<LoadResult> {
  const { clients, messages, size: bytes, intervalMs } = scenario;
  const load: Load = {
    ...{
      addresses: [{ host: "127.0.0.1", port: server.port }],
      workers: scenario.workers ?? 1,
      timeoutMs: 15_000,
      run: "load",
    },
    ...{ clients, messages, size: bytes, intervalUs: intervalMs * 1_000, tag: 1 },
    ...{ roles: new Array(clients).fill("healthy"), chaosOn: false, lists: scenario.lists ?? "same" },
    ...(server.wireUrl && { wireUrl: server.wireUrl }),
    echoes: server.echoes,
  };
  const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(RUN_MS_MAX)]);
  return await runLoad(load, server.gauge, () => {}, signal);
}

function figures(name: string, result: LoadResult): Figures {
  const { proof, deliveries, seconds, intended, deliveredBytes } = result;
  const { before, after } = result.hub!;
  return {
    server: name,
    cpuUs: (after.cpuUs - before.cpuUs) / deliveries,
    perSecond: deliveries / seconds,
    mbPerSecond: deliveredBytes / seconds / 1e6,
    p50Ms: intended.quantile(0.5) / 1_000,
    p99Ms: intended.quantile(0.99) / 1_000,
    peakMb: after.rssPeakBytes / 2 ** 20,
    idleKb: 0,
    faults: proof.lost + proof.duplicated + proof.outOfOrder + proof.corrupt + proof.unsent,
  };
}

/** The memory of a connection that is open and silent: the growth of the server's memory. */
async function measureIdle(scenario: Scenario, name: string, server: Server): Promise<Figures> {
  const before = await server.gauge.freshLoad();
  const { hub } = await run(scenario, server);
  const idleKb = (hub!.after.rssBytes - before!.rssBytes) / 1_024 / scenario.clients;
  const none = { cpuUs: 0, perSecond: 0, mbPerSecond: 0, p50Ms: 0, p99Ms: 0, faults: 0 };
  return { server: name, ...none, peakMb: hub!.after.rssPeakBytes / 2 ** 20, idleKb };
}

/** Other programs on the machine only make a figure worse: the best of all runs is the nearest to the truth. */
function best(runs: readonly Figures[]): Figures {
  const least = (field: "cpuUs" | "p50Ms" | "p99Ms" | "peakMb" | "idleKb"): number =>
    Math.min(...runs.map((figure) => figure[field]));
  return {
    server: runs[0]!.server,
    cpuUs: least("cpuUs"),
    perSecond: Math.max(...runs.map(({ perSecond }) => perSecond)),
    mbPerSecond: Math.max(...runs.map(({ mbPerSecond }) => mbPerSecond)),
    p50Ms: least("p50Ms"),
    p99Ms: least("p99Ms"),
    peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
    idleKb: least("idleKb"),
    faults: Math.max(...runs.map(({ faults }) => faults)),
  };
}

async function copyLoop({ clients, messages, size: bytes, workers = 1 }: Scenario): Promise<number> {
  const path = new URL("./hub/copy-loop.ts", import.meta.url).pathname;
  const writes = messages * (clients - 1);
  const copy = JSON.stringify({ sockets: clients, bytes, writes, readers: workers });
  const child = spawn(process.execPath, [path, copy], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: RUN_MS_MAX,
  });
  const [line] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer];
  const { seconds } = JSON.parse(line.toString()) as { seconds: number };
  return (clients * bytes * writes) / seconds / 1e6;
}

function print(scenario: Scenario, rows: readonly Figures[], copied: number | undefined): void {
  console.log(`\n${scenario.name}: ${scenario.title}`);
  const ours = rows.find(({ server }) => server === "hubcast");
  const ratio = (field: "cpuUs" | "perSecond" | "p99Ms" | "peakMb" | "idleKb", row: Figures): string =>
    ours && row !== ours && row[field] > 0 ? (ours[field] / row[field]).toFixed(2) : "";
  const head = scenario.idle
    ? ["server", "KB a client", "ours/its", "peak MB"]
    : ["server", "CPU us/delivery", "ours/its", "deliveries/s", "ours/its", "MB/s", "p50 ms"].concat([
        "p99 ms",
        "ours/its",
        "peak MB",
        "ours/its",
        "faults",
      ]);
  const lines = rows.map((row) =>
    scenario.idle
      ? [row.server, row.idleKb.toFixed(1), ratio("idleKb", row), row.peakMb.toFixed(0)]
      : [
          ...[row.server, row.cpuUs.toFixed(3), ratio("cpuUs", row)],
          ...[Math.round(row.perSecond).toLocaleString("en"), ratio("perSecond", row)],
          ...[row.mbPerSecond.toFixed(0), row.p50Ms.toFixed(2), row.p99Ms.toFixed(2), ratio("p99Ms", row)],
          ...[row.peakMb.toFixed(0), ratio("peakMb", row), String(row.faults)],
        ],
  );
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => line[column]!.length)),
  );
  for (const line of [head, ...lines]) {
    console.log(line.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
  }
  if (copied !== undefined) {
    const share = ours ? `, of which the hub reaches ${(ours.mbPerSecond / copied).toFixed(2)}` : "";
    console.log(`a bare net loop copies ${copied.toFixed(0)} MB/s${share}`);
  }
}
