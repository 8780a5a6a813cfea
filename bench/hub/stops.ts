// One client stops reading. What do the others notice of it? Runs with it and without it, in turns.
import type { Load, LoadResult } from "../../src/hub/simulate/load.js";
import type { Scenario } from "./scenario.ts";

const from = async (path: string) =>
  await import(new URL(`../../build/src/hub/simulate/${path}.js`, import.meta.url).href);
const { runLoad } = (await from("load")) as typeof import("../../src/hub/simulate/load.js");
const { OwnHub } = (await from("processes")) as typeof import("../../src/hub/simulate/processes.js");

interface Run {
  readonly stops: boolean;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** The longest that a sender could not write. */
  readonly pauseMaxMs: number;
  readonly seconds: number;
  readonly faults: number;
  readonly peakMb: number;
  /** By the hub's own account: its frames and queues. */
  readonly budgetMb: number;
  readonly closed: Readonly<Record<string, number>>;
}

/** Prints each run, the ratio of the medians, and that of the best: other work on the machine only makes runs worse. */
export async function compareStops(scenario: Scenario, rounds: number, json: boolean, signal: AbortSignal) {
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // A change of the machine meanwhile hits both.
    for (const stops of round % 2 === 0 ? [false, true] : [true, false]) {
      runs.push(await measure(scenario, stops, signal));
    }
  }
  const median = (stops: boolean, field: "p99Ms" | "pauseMaxMs"): number => {
    const values = runs.filter((run) => run.stops === stops).map((run) => run[field]);
    return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
  };
  const ratio = median(true, "p99Ms") / median(false, "p99Ms");
  const pauseMs = median(true, "pauseMaxMs") - median(false, "pauseMaxMs");
  const best = (stops: boolean) =>
    Math.min(...runs.filter((run) => run.stops === stops).map((run) => run.p99Ms));
  const bestRatio = best(true) / best(false);
  if (json)
    console.log(
      JSON.stringify({ scenario, runs, p99Ratio: ratio, p99BestRatio: bestRatio, morePauseMs: pauseMs }),
    );
  else print(scenario, runs, ratio, bestRatio, pauseMs);
}

async function measure(scenario: Scenario, stops: boolean, signal: AbortSignal): Promise<Run> {
  const { clients, messages, size, intervalMs } = scenario;
  const hub = await OwnHub.start({ clientsMax: clients });
  const load: Load = {
    ...{ addresses: [{ host: "127.0.0.1", port: hub.port }], workers: 1, timeoutMs: 15_000, run: "load" },
    ...{ clients, messages, size, intervalUs: intervalMs * 1_000, tag: 1, lists: "same", echoes: false },
    roles: Array.from({ length: clients }, (_, index) => (index === clients - 1 ? "staller" : "healthy")),
    chaosOn: stops,
  };
  try {
    await runLoad({ ...load, messages: Math.ceil(messages / 20), chaosOn: false }, hub, () => {}, signal);
    return asRun(stops, await runLoad(load, hub, () => {}, signal));
  } finally {
    await hub.stop();
  }
}

function asRun(stops: boolean, result: LoadResult): Run {
  const { intended, pauseMaxMs, seconds, proof } = result;
  const { before, after } = result.hub!;
  // The clients of the warm-up have left.
  const closed = { ...(after.closed as Record<string, number>) };
  for (const [reason, count] of Object.entries(before.closed)) closed[reason]! -= count;
  return {
    ...{ stops, pauseMaxMs, seconds },
    p50Ms: intended.quantile(0.5) / 1_000,
    p99Ms: intended.quantile(0.99) / 1_000,
    maxMs: intended.max / 1_000,
    faults: proof.lost + proof.duplicated + proof.outOfOrder + proof.corrupt + proof.unsent,
    peakMb: after.rssPeakBytes / 2 ** 20,
    budgetMb: after.budgetPeakBytes / 2 ** 20,
    closed: Object.fromEntries(Object.entries(closed).filter(([, count]) => count > 0)),
  };
}

function print(
  scenario: Scenario,
  runs: readonly Run[],
  ratio: number,
  bestRatio: number,
  pauseMs: number,
): void {
  console.log(`\n${scenario.name}: ${scenario.title}`);
  for (const { stops, p50Ms, p99Ms, maxMs, pauseMaxMs, seconds, faults, peakMb, budgetMb, closed } of runs) {
    console.log(
      `${stops ? "stops" : "reads"}  ${seconds.toFixed(1)} s  p50 ${p50Ms.toFixed(2)}  p99 ${p99Ms.toFixed(2)}  max ${maxMs.toFixed(1)}` +
        `  longest pause ${pauseMaxMs.toFixed(0)} ms  faults ${faults}  peak ${peakMb.toFixed(0)} MB` +
        `  queues ${budgetMb.toFixed(0)} MB  closed ${JSON.stringify(closed)}`,
    );
  }
  console.log(
    `medians: p99 ${ratio.toFixed(2)} times that without, longest pause ${pauseMs.toFixed(0)} ms more; ` +
      `best of each: p99 ${bestRatio.toFixed(2)} times`,
  );
}
