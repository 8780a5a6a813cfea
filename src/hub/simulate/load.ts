import { Histogram } from "../../core/histogram.js";
import { nowUs } from "./clock.js";
import { Crew } from "./crew.js";
import type { Share, WorkerResult } from "./orders.js";
import type { HubGauge, HubLoad } from "./own-hub.js";
import { Progress } from "./progress.js";
import { type Proof, prove } from "./protocol/proof.js";
import type { Moment } from "./protocol/timeline.js";
import type { Busy } from "./protocol/verdict.js";
import type { Snapshot } from "./snapshot.js";

/** Everybody gets the order to go before it is time to. */
const HEAD_START_US = 50_000;
const LOOK_MS = 50;
const TELL_MS = 100;

/** One load: who sends what to whom. */
export type Load = Omit<Share, "first" | "end"> & {
  readonly workers: number;
  readonly timeoutMs: number;
  readonly run: Snapshot["run"];
  /** Of the protocol: senders get their own messages too. */
  readonly echoes: boolean;
};

/** What one load did. */
export interface LoadResult {
  /** Clients that take part; with chaos, fewer than all. */
  readonly healthy: number;
  readonly proof: Proof;
  readonly seconds: number;
  readonly sent: number;
  readonly sentBytes: number;
  readonly deliveries: number;
  readonly deliveredBytes: number;
  readonly intended: Histogram;
  readonly actual: Histogram;
  readonly lag: Histogram;
  /** The longest that a client could not write what it had to send. */
  readonly pauseMaxMs: number;
  readonly moments: readonly Moment[];
  readonly workers: readonly Busy[];
  /** Seconds of processor of all workers. */
  readonly workerCpuS: number;
  readonly hub?: { readonly before: HubLoad; readonly after: HubLoad };
}

/** Connects all clients, lets them send, and proves what arrived. Leaves no process behind. @throws unreachable, ... */
export async function runLoad(
  load: Load,
  hub: HubGauge | undefined,
  onProgress: (snapshot: Snapshot) => void,
  signal: AbortSignal,
): Promise<LoadResult> {
  signal.throwIfAborted();
  const progress = new Progress(load.workers);
  let startUs = nowUs();
  const crew = new Crew(sharesOf(load), (worker, beat) =>
    progress.add(worker, beat, (nowUs() - startUs) / 1_000),
  );
  let phase: Snapshot["phase"] = "connecting";
  const teller = setInterval(() => onProgress(snapshot(load, phase, progress, startUs, hub)), TELL_MS);
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });

  const work = async (): Promise<LoadResult> => {
    const ids = await crew.open();
    phase = "meeting";
    await crew.meet(ids);
    const before = await hub?.freshLoad();
    phase = "running";
    startUs = nowUs() + HEAD_START_US;
    crew.go(startUs);
    await untilQuiet(progress, load, () => (nowUs() - startUs) / 1_000);
    const after = await hub?.freshLoad();
    const busy = busyOf(progress);
    phase = "finishing";
    const results = await crew.finish();
    return resultOf(load, progress, results, busy, before && after && { before, after });
  };
  const stops = [crew.failed(), aborted.promise, ...(hub ? [hub.lost] : [])];
  for (const stop of stops) stop.catch(() => {});
  try {
    return await Promise.race([work(), ...stops]);
  } finally {
    clearInterval(teller);
    signal.removeEventListener("abort", onAbort);
    await crew.stop();
  }
}

/** Clients side by side, as even as it goes. */
function sharesOf(load: Load): Share[] {
  const { workers, timeoutMs: _, run: __, echoes: ___, ...share } = load;
  return Array.from({ length: workers }, (_, index) => ({
    ...share,
    first: Math.floor((index * load.clients) / workers),
    end: Math.floor(((index + 1) * load.clients) / workers),
  }));
}

/** Resolves when everything has come, or nothing has moved for long. */
async function untilQuiet(progress: Progress, load: Load, elapsedMs: () => number): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (progress.allSent && progress.allReceived) return;
    // Between two messages that are due, nothing moves and nothing is wrong.
    const patienceMs = load.timeoutMs + (progress.allSent ? 0 : load.intervalUs / 1_000);
    if (elapsedMs() - Math.max(0, progress.movedAtMs) > patienceMs) return;
  }
}

function busyOf(progress: Progress): Busy[] {
  return progress.beats.map(({ cpuUs, activeMs, wallMs }) => ({
    loop: activeMs / wallMs,
    cpu: cpuUs / 1_000 / wallMs,
  }));
}

function resultOf(
  load: Load,
  progress: Progress,
  results: readonly WorkerResult[],
  workers: readonly Busy[],
  hub: LoadResult["hub"],
): LoadResult {
  const healthy = load.roles.filter((role) => role === "healthy").length;
  const proof = prove(results, { ...load, healthy });
  const firstUs = Math.min(...results.map(({ firstSentUs }) => firstSentUs));
  const lastUs = Math.max(...results.map(({ lastDeliveryUs }) => lastDeliveryUs));
  return {
    healthy,
    proof,
    seconds: Math.max(0, lastUs - firstUs) / 1e6 || 0,
    sent: progress.total("sent"),
    sentBytes: progress.total("sentBytes"),
    deliveries: progress.total("deliveries"),
    deliveredBytes: progress.total("deliveredBytes"),
    intended: joined(results.map(({ intended }) => intended)),
    actual: joined(results.map(({ actual }) => actual)),
    lag: joined(results.map(({ lag }) => lag)),
    pauseMaxMs: Math.max(...results.map(({ pauseMaxUs }) => pauseMaxUs)) / 1_000,
    moments: progress.moments(),
    workers,
    workerCpuS: progress.beats.reduce((sum, { cpuUs }) => sum + cpuUs, 0) / 1e6,
    ...(hub && { hub }),
  };
}

function joined(parts: readonly { readonly counts: Float64Array; readonly max: number }[]): Histogram {
  const all = new Histogram();
  for (const { counts, max } of parts) all.add(new Histogram(counts, max));
  return all;
}

function snapshot(
  load: Load,
  phase: Snapshot["phase"],
  progress: Progress,
  startUs: number,
  hub: HubGauge | undefined,
): Snapshot {
  const healthy = load.roles.filter((role) => role === "healthy").length;
  const use = hub?.load;
  return {
    run: load.run,
    phase,
    elapsedMs: Math.max(0, (nowUs() - startUs) / 1_000),
    clients: load.clients,
    sent: progress.total("sent"),
    toSend: healthy * load.messages,
    deliveries: progress.total("deliveries"),
    expected: healthy * (healthy - (load.echoes ? 0 : 1)) * load.messages,
    ...progress.recently(),
    closed: progress.total("closed"),
    ...(use && { hub: { rssBytes: use.rssBytes, loop: use.activeMs / use.wallMs } }),
  };
}
