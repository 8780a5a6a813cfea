import { setImmediate } from "node:timers/promises";
import { formatDuration } from "../core/units.js";
import { type Progress, type Report, type SimulationOptions, simulate } from "../sim/index.js";
import type { Output } from "./output.js";

const NOTE_EVERY_MS = 1_000;
/** Work between two looks at what else happens in this process, such as Ctrl-C. */
const SLICE_MS = 50;

/** A report, and what it cost to make it. */
export interface SimulationRun {
  readonly report: Report;
  readonly tookMs: number;
  /** Resident, bytes. */
  readonly memoryBytes: number;
}

/** Runs a world to its end, with a line of progress a second on stderr. */
export async function runSimulation(options: SimulationOptions, output: Output): Promise<SimulationRun> {
  const startedAtMs = performance.now();
  const world = simulate(options);
  let notedAtMs = startedAtMs;
  let memoryBytes = 0;
  for (let sliceEndsMs = startedAtMs + SLICE_MS; ; ) {
    const step = world.next();
    const nowMs = performance.now();
    if (step.done) return { report: step.value, tookMs: nowMs - startedAtMs, memoryBytes };
    if (nowMs < sliceEndsMs) continue;
    if (nowMs - notedAtMs >= NOTE_EVERY_MS) {
      notedAtMs = nowMs;
      output.note(progressLine(step.value, options));
    }
    memoryBytes = Math.max(memoryBytes, process.memoryUsage.rss());
    await setImmediate();
    sliceEndsMs = performance.now() + SLICE_MS;
  }
}

function progressLine(progress: Progress, { items, nodes }: SimulationOptions): string {
  const { phase, elapsedMs, posted, living, agreeing } = progress;
  const head = `virtual ${formatDuration(elapsedMs).padEnd(7)}`;
  return phase === "faults"
    ? `${head} ${posted} of ${items} items posted, ${living} of ${nodes} nodes up`
    : `${head} healing: ${agreeing} of ${living} nodes hold the same`;
}
