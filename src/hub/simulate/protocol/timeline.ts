import { Histogram } from "../../../core/histogram.js";

/** What happened in one stretch of the run. */
export interface Moment {
  /** Where it begins, from the start, and how long it is. */
  readonly atMs: number;
  readonly lengthMs: number;
  readonly deliveries: number;
  readonly bytes: number;
  /** Of what was delivered in it, in ms; 0 without any. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Stretch {
  deliveries: number;
  bytes: number;
  readonly latency: Histogram;
}

/** Stretches that are kept. When there are more, neighbours are joined: a day of load takes no more than a minute. */
const STRETCHES_MAX = 240;

/** Throughput and latency over time. */
export class Timeline {
  #stretchMs = 100;
  #stretches: Stretch[] = [];

  /** What came between two times, ms from the start: spread evenly over the stretches that it touches. */
  add(fromMs: number, toMs: number, came: { deliveries: number; bytes: number; latency: Histogram }): void {
    const lengthMs = Math.max(1e-3, toMs - fromMs);
    while (toMs >= STRETCHES_MAX * this.#stretchMs) this.#halve();
    const last = Math.floor(toMs / this.#stretchMs);
    for (let next = this.#stretches.length; next <= last; next += 1) this.#stretches.push(nothing());
    for (let index = Math.floor(fromMs / this.#stretchMs); index <= last; index += 1) {
      const begin = Math.max(fromMs, index * this.#stretchMs);
      const share = (Math.min(toMs, (index + 1) * this.#stretchMs) - begin) / lengthMs;
      const stretch = this.#stretches[index]!;
      stretch.deliveries += came.deliveries * share;
      stretch.bytes += came.bytes * share;
      if (share > 0) stretch.latency.add(came.latency);
    }
  }

  moments(): Moment[] {
    return this.#stretches.map(({ deliveries, bytes, latency }, index) => ({
      atMs: index * this.#stretchMs,
      lengthMs: this.#stretchMs,
      deliveries: Math.round(deliveries),
      bytes: Math.round(bytes),
      p50Ms: latency.quantile(0.5) / 1_000,
      p99Ms: latency.quantile(0.99) / 1_000,
      maxMs: latency.max / 1_000,
    }));
  }

  #halve(): void {
    const old = this.#stretches;
    this.#stretchMs *= 2;
    this.#stretches = [];
    for (let index = 0; index < old.length; index += 2) {
      const joined = old[index]!;
      const second = old[index + 1];
      if (second) {
        joined.deliveries += second.deliveries;
        joined.bytes += second.bytes;
        joined.latency.add(second.latency);
      }
      this.#stretches.push(joined);
    }
  }
}

function nothing(): Stretch {
  return { deliveries: 0, bytes: 0, latency: new Histogram() };
}
