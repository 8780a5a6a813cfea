import { Histogram } from "../../core/histogram.js";
import type { Snapshot } from "./options.js";
import {
  type HubGauge,
  type HubLoad,
  type Share,
  WorkerPool,
  type WorkerProgress,
  type WorkerResult,
} from "./processes.js";
import { type Proof, prove } from "./proof/proof.js";
import { type Busy, type Moment, TimeSeries } from "./proof/statistics.js";
import { nowUs } from "./traffic.js";

/** All workers receive the command before the run starts. */
const HEAD_START_US = 50_000;
const LOOK_MS = 50;
const TELL_MS = 100;

/** One load: senders, receivers, and messages. */
export type Load = Omit<Share, "first" | "end"> & {
  readonly workers: number;
  readonly timeoutMs: number;
  readonly run: Snapshot["run"];
  /** The protocol returns messages to their sender too. */
  readonly echoes: boolean;
};

/** The result of one load. */
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
  /** The longest that a client could not write because the hub did not read. */
  readonly pauseMaxMs: number;
  readonly moments: readonly Moment[];
  readonly workers: readonly Busy[];
  /** CPU seconds of all workers. */
  readonly workerCpuS: number;
  readonly hub?: { readonly before: HubLoad; readonly after: HubLoad };
}

/**
 * Connects all clients, lets them send, and checks what arrived. Leaves no process behind. @throws unreachable, ...
 */
export async function runLoad(
  load: Load,
  hub: HubGauge | undefined,
  onProgress: (snapshot: Snapshot) => void,
  signal: AbortSignal,
): Promise<LoadResult> {
  signal.throwIfAborted();
  const progress = new Progress(load.workers);
  let startUs = nowUs();
  const pool = new WorkerPool(sharesOf(load), (worker, report) =>
    progress.add(worker, report, (nowUs() - startUs) / 1_000),
  );
  let phase: Snapshot["phase"] = "connecting";
  const teller = setInterval(() => onProgress(snapshot(load, phase, progress, startUs, hub)), TELL_MS);
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });

  const work = async (): Promise<LoadResult> => {
    const ids = await pool.open();
    phase = "meeting";
    await pool.meet(ids);
    const before = await hub?.freshLoad();
    phase = "running";
    startUs = nowUs() + HEAD_START_US;
    pool.go(startUs);
    await untilQuiet(progress, load, () => (nowUs() - startUs) / 1_000);
    const after = await hub?.freshLoad();
    const busy = busyOf(progress);
    phase = "finishing";
    const results = await pool.finish();
    // A hub that hangs reports nothing new.
    const use = before && after && before !== after ? { before, after } : undefined;
    return resultOf(load, progress, results, busy, use);
  };
  const stops = [pool.failed(), aborted.promise, ...(hub ? [hub.lost] : [])];
  for (const stop of stops) stop.catch(() => {});
  try {
    return await Promise.race([work(), ...stops]);
  } finally {
    clearInterval(teller);
    signal.removeEventListener("abort", onAbort);
    await pool.stop();
  }
}

/** Clients in order, split as evenly as possible. */
function sharesOf(load: Load): Share[] {
  const { workers, timeoutMs: _, run: __, echoes: ___, ...share } = load;
  return Array.from({ length: workers }, (_, index) => ({
    ...share,
    first: Math.floor((index * load.clients) / workers),
    end: Math.floor(((index + 1) * load.clients) / workers),
  }));
}

/** Resolves when everything has arrived, or nothing has moved for long. */
async function untilQuiet(progress: Progress, load: Load, elapsedMs: () => number): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (progress.allSent && progress.allReceived) return;
    // Between two scheduled messages nothing moves.
    const patienceMs = load.timeoutMs + (progress.allSent ? 0 : load.intervalUs / 1_000);
    if (elapsedMs() - Math.max(0, progress.movedAtMs) > patienceMs) return;
  }
}

function busyOf(progress: Progress): Busy[] {
  return progress.reports.map(({ cpuUs, activeMs, wallMs }) => ({
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
    workerCpuS: progress.reports.reduce((sum, { cpuUs }) => sum + cpuUs, 0) / 1e6,
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

/** Rates are shown over the last second. */
const RECENT_MS = 1_000;

interface Recent {
  readonly fromMs: number;
  readonly atMs: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly latency: Histogram;
}

/** Sums the reports of all workers during a run. */
class Progress {
  readonly #reports: (WorkerProgress | undefined)[];
  readonly #reportAtMs: number[] = [];
  readonly #series = new TimeSeries();
  #recent: Recent[] = [];
  /** When something was last sent or received. */
  movedAtMs = 0;

  constructor(workers: number) {
    this.#reports = new Array<WorkerProgress | undefined>(workers).fill(undefined);
  }

  /** @param atMs from the start of the run */
  add(worker: number, report: WorkerProgress, atMs: number): void {
    const before = this.#reports[worker];
    this.#reports[worker] = report;
    const deliveries = report.deliveries - (before?.deliveries ?? 0);
    const bytes = report.deliveredBytes - (before?.deliveredBytes ?? 0);
    const latency = new Histogram(report.latency.counts, report.latency.max);
    if (deliveries > 0 || report.sent !== before?.sent) this.movedAtMs = atMs;
    const fromMs = Math.max(0, this.#reportAtMs[worker] ?? 0);
    if (deliveries > 0 && atMs > fromMs) this.#series.add(fromMs, atMs, { deliveries, bytes, latency });
    this.#reportAtMs[worker] = atMs;
    this.#recent.push({ fromMs, atMs, deliveries, bytes, latency });
    this.#recent = this.#recent.filter((recent) => recent.atMs > atMs - RECENT_MS);
  }

  get reports(): readonly WorkerProgress[] {
    return this.#reports.filter((report) => report !== undefined);
  }

  total(field: "sent" | "sentBytes" | "deliveries" | "deliveredBytes" | "closed"): number {
    return this.reports.reduce((sum, report) => sum + report[field], 0);
  }

  get allSent(): boolean {
    return this.#reports.every((report) => report?.allSent);
  }

  get allReceived(): boolean {
    return this.#reports.every((report) => report?.allReceived);
  }

  moments(): Moment[] {
    return this.#series.moments();
  }

  recently(): { deliveriesPerSecond: number; bytesPerSecond: number; p50Ms: number; p99Ms: number } {
    const latency = new Histogram();
    for (const recent of this.#recent) latency.add(recent.latency);
    const fromMs = Math.min(...this.#recent.map((recent) => recent.fromMs));
    const toMs = Math.max(...this.#recent.map((recent) => recent.atMs));
    // A starved worker reports more than a second at once.
    const spanS = toMs > fromMs ? (toMs - fromMs) / 1_000 : 1;
    return {
      deliveriesPerSecond: sum(this.#recent.map(({ deliveries }) => deliveries)) / spanS,
      bytesPerSecond: sum(this.#recent.map(({ bytes }) => bytes)) / spanS,
      p50Ms: latency.quantile(0.5) / 1_000,
      p99Ms: latency.quantile(0.99) / 1_000,
    };
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
