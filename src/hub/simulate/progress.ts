import { Histogram } from "../../core/histogram.js";
import type { Beat } from "./orders.js";
import { type Moment, Timeline } from "./protocol/timeline.js";

/** Beats of the last second make the rates that are shown. */
const RECENT_MS = 1_000;

interface Recent {
  readonly fromMs: number;
  readonly atMs: number;
  readonly deliveries: number;
  readonly bytes: number;
  readonly latency: Histogram;
}

/** Adds up what all workers say while a run lasts. */
export class Progress {
  readonly #beats: (Beat | undefined)[];
  readonly #beatAtMs: number[] = [];
  readonly #timeline = new Timeline();
  #recent: Recent[] = [];
  /** When something was last sent or received. */
  movedAtMs = 0;

  constructor(workers: number) {
    this.#beats = new Array<Beat | undefined>(workers).fill(undefined);
  }

  /** @param atMs from the start of the run */
  add(worker: number, beat: Beat, atMs: number): void {
    const before = this.#beats[worker];
    this.#beats[worker] = beat;
    const deliveries = beat.deliveries - (before?.deliveries ?? 0);
    const bytes = beat.deliveredBytes - (before?.deliveredBytes ?? 0);
    const latency = new Histogram(beat.latency.counts, beat.latency.max);
    if (deliveries > 0 || beat.sent !== before?.sent) this.movedAtMs = atMs;
    const fromMs = Math.max(0, this.#beatAtMs[worker] ?? 0);
    if (deliveries > 0 && atMs > fromMs) this.#timeline.add(fromMs, atMs, { deliveries, bytes, latency });
    this.#beatAtMs[worker] = atMs;
    this.#recent.push({ fromMs, atMs, deliveries, bytes, latency });
    this.#recent = this.#recent.filter((recent) => recent.atMs > atMs - RECENT_MS);
  }

  get beats(): readonly Beat[] {
    return this.#beats.filter((beat) => beat !== undefined);
  }

  total(field: "sent" | "sentBytes" | "deliveries" | "deliveredBytes" | "closed"): number {
    return this.beats.reduce((sum, beat) => sum + beat[field], 0);
  }

  get allSent(): boolean {
    return this.#beats.every((beat) => beat?.allSent);
  }

  get allReceived(): boolean {
    return this.#beats.every((beat) => beat?.allReceived);
  }

  moments(): Moment[] {
    return this.#timeline.moments();
  }

  recently(): { deliveriesPerSecond: number; bytesPerSecond: number; p50Ms: number; p99Ms: number } {
    const latency = new Histogram();
    for (const recent of this.#recent) latency.add(recent.latency);
    const fromMs = Math.min(...this.#recent.map((recent) => recent.fromMs));
    const toMs = Math.max(...this.#recent.map((recent) => recent.atMs));
    // A worker that had no time to speak tells of more than a second at once.
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
