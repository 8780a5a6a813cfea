import { arch, availableParallelism, cpus, release, totalmem, type } from "node:os";
import type { Histogram } from "../../core/histogram.js";
import { hostAndPort } from "../../core/hosts.js";
import { VERSION } from "../../core/version.js";
import type { LoadResult } from "./load.js";
import type { CompleteSimulateOptions } from "./options.js";
import type { Proof } from "./proof/proof.js";
import { type Moment, type Verdict, verdict } from "./proof/statistics.js";

/** In ms. */
export interface Quantiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

/** The output of `hub simulate --json`. */
export interface SimulationReport {
  readonly type: "simulation";
  /** The start of the run, epoch ms. */
  readonly startedAtMs: number;
  readonly versions: { readonly hubcast: string; readonly node: string };
  /** The machine that the generator ran on, and the hub where one was started for the run. */
  readonly machine: {
    readonly system: string;
    readonly processors: number;
    /** Model of the processors; empty where the system does not say. */
    readonly model: string;
    readonly memoryBytes: number;
  };
  /** Addresses of the hubs; absent when one was started for the run. */
  readonly hubs?: readonly string[];
  readonly clients: number;
  readonly messages: number;
  readonly size: number;
  readonly intervalMs: number;
  readonly workers: number;
  /** The time from the first message sent to the last delivery. */
  readonly seconds: number;
  readonly sent: Traffic;
  readonly received: Traffic;
  readonly deliveriesPerSecond: number;
  readonly payloadBytesPerSecond: number;
  /** `intended`: from when a message was due; `actual`: from when it was written. Without a schedule they are one. */
  readonly latency: { readonly intended: Quantiles; readonly actual: Quantiles };
  /** The rate of the schedule, and how much of it was reached; absent without a schedule. */
  readonly schedule?: {
    readonly askedPerSecond: number;
    readonly donePerSecond: number;
    /** `donePerSecond / askedPerSecond`; 1 at most. */
    readonly kept: number;
  };
  /** How late messages were written, against the schedule. */
  readonly lateness?: Quantiles;
  /** The longest that a client could not write, because the hub did not read from it. */
  readonly pauseMaxMs: number;
  readonly proof: Proof;
  readonly bottleneck: Verdict;
  /** The hub's process, if it was started for the run. */
  readonly hubProcess?: {
    readonly cpuSeconds: number;
    readonly cpuUsPerDelivery: number;
    /** Share of the time that its event loop worked. */
    readonly loop: number;
    readonly memoryPeakBytes: number;
    readonly closed: Readonly<Record<string, number>>;
  };
  readonly generator: {
    readonly cpuSeconds: number;
    readonly workers: readonly { readonly loop: number; readonly cpu: number }[];
  };
  readonly timeline: readonly Moment[];
  /** Latencies against the intended send time: `[from, to, deliveries]`, in microseconds. */
  readonly histogram: readonly (readonly [fromUs: number, toUs: number, deliveries: number])[];
  readonly chaos?: Isolation;
}

/** Messages and bytes, in all and for one client on average. Sent bytes count whole frames, received ones payloads. */
export interface Traffic {
  readonly messages: number;
  readonly bytes: number;
  readonly messagesPerClient: number;
  readonly bytesPerClient: number;
}

/** The cost of misbehaving clients for the others. */
export interface Isolation {
  readonly share: number;
  readonly healthy: number;
  readonly chaotic: number;
  /** The same load while all behave. */
  readonly p99MsWithout: number;
  readonly p99MsWith: number;
  /** `p99MsWith / p99MsWithout`: 1 is perfect. */
  readonly score: number;
  /** The account of the run while all behave. */
  readonly proofWithout: Proof;
}

export function reportOf(
  startedAtMs: number,
  options: CompleteSimulateOptions,
  load: LoadResult,
  baseline: LoadResult | undefined,
): SimulationReport {
  const { addresses, clients, messages, size, intervalMs, workers, chaos } = options;
  const { seconds, deliveries, healthy } = load;
  const rate = seconds > 0 ? deliveries / seconds : 0;
  const hubBusy = load.hub && busyBetween(load.hub);
  const asked = (load.proof.expected / messages) * (1_000 / intervalMs);
  const kept = Math.min(1, rate / asked);
  const paced = intervalMs > 0 && { kept, lateMs: load.lag.quantile(0.99) / 1_000 };
  return {
    type: "simulation",
    startedAtMs,
    versions: { hubcast: VERSION, node: process.versions.node },
    machine: {
      system: `${type()} ${release()} ${arch()}`,
      processors: availableParallelism(),
      model: cpus()[0]?.model.trim() ?? "",
      memoryBytes: totalmem(),
    },
    ...(addresses.length > 0 && { hubs: addresses.map(hostAndPort) }),
    ...{ clients, messages, size, intervalMs, workers, seconds },
    sent: traffic(load.sent, load.sentBytes, healthy),
    received: traffic(deliveries, load.deliveredBytes, healthy),
    deliveriesPerSecond: rate,
    payloadBytesPerSecond: seconds > 0 ? load.deliveredBytes / seconds : 0,
    latency: { intended: quantiles(load.intended), actual: quantiles(load.actual) },
    ...(paced && { schedule: { askedPerSecond: asked, donePerSecond: rate, kept } }),
    ...(paced && { lateness: quantiles(load.lag) }),
    pauseMaxMs: load.pauseMaxMs,
    proof: load.proof,
    bottleneck: verdict(load.workers, hubBusy, paced || undefined, availableParallelism()),
    ...(load.hub && hubBusy && { hubProcess: hubUse(load.hub, hubBusy.loop, deliveries) }),
    generator: { cpuSeconds: load.workerCpuS, workers: load.workers },
    timeline: load.moments,
    histogram: load.intended.classes(),
    ...(baseline && { chaos: isolation(load, baseline, chaos, healthy, clients) }),
  };
}

function hubUse(
  { before, after }: NonNullable<LoadResult["hub"]>,
  loop: number,
  deliveries: number,
): NonNullable<SimulationReport["hubProcess"]> {
  const cpuUs = after.cpuUs - before.cpuUs;
  return {
    cpuSeconds: cpuUs / 1e6,
    cpuUsPerDelivery: deliveries > 0 ? cpuUs / deliveries : 0,
    loop,
    memoryPeakBytes: after.rssPeakBytes,
    closed: after.closed as Record<string, number>,
  };
}

function busyBetween({ before, after }: NonNullable<LoadResult["hub"]>): { loop: number; cpu: number } {
  const wallMs = after.wallMs - before.wallMs;
  return {
    loop: (after.activeMs - before.activeMs) / wallMs,
    cpu: (after.cpuUs - before.cpuUs) / 1_000 / wallMs,
  };
}

function isolation(
  load: LoadResult,
  baseline: LoadResult,
  share: number,
  healthy: number,
  clients: number,
): Isolation {
  const p99MsWithout = baseline.intended.quantile(0.99) / 1_000;
  const p99MsWith = load.intended.quantile(0.99) / 1_000;
  return {
    ...{ share, healthy, chaotic: clients - healthy, p99MsWithout, p99MsWith },
    score: p99MsWithout > 0 ? p99MsWith / p99MsWithout : 1,
    proofWithout: baseline.proof,
  };
}

function quantiles(histogram: Histogram): Quantiles {
  const at = (share: number): number => histogram.quantile(share) / 1_000;
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: histogram.max / 1_000 };
}

function traffic(messages: number, bytes: number, clients: number): Traffic {
  return { messages, bytes, messagesPerClient: messages / clients, bytesPerClient: bytes / clients };
}
