import type { NodeStatus } from "../node/broadcast.js";
import type { NodeRates, Rate } from "./snapshot.js";

const BARS = "▁▂▃▄▅▆▇█";

/** A line of bars, the newest at the right; a blank is 0. @param top value of the highest bar */
export function sparkline(history: readonly number[], columns: number, top: number): string {
  const values = history.slice(-columns);
  const bars = values.map((value) =>
    value > 0 ? BARS[Math.min(7, Math.ceil((value / top) * 8) - 1)]! : " ",
  );
  return bars.join("").padStart(columns);
}

/**
 * Value of the highest bar, equal for all lines that are seen together so that they compare: the highest rate, rounded up
 * to 1, 2, 5, 10, 20 and so on, so that it seldom changes.
 */
export function topOf(rates: readonly (Rate | undefined)[]): number {
  const highest = Math.max(1, ...rates.flatMap((rate) => rate?.history ?? []));
  const decade = 10 ** Math.floor(Math.log10(highest));
  return decade * [1, 2, 5, 10].find((step) => step * decade >= highest)!;
}

/** Six columns at most: `0`, `7.5`, `812`, `12.3k`, `4.1M`. */
export function count(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value < 10) return Number.isInteger(value) ? String(value) : value.toFixed(1);
  if (value < 10_000) return String(Math.round(value));
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  if (value < 1e9) return `${(value / 1e6).toFixed(1)}M`;
  return `${(value / 1e9).toFixed(1)}G`;
}

/** Six columns at most: `812B`, `1.5K`, `64M`, in powers of 1024. */
export function size(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let value = bytes;
  let unit = "B";
  for (const larger of ["K", "M", "G", "T"]) {
    if (value < 1000) break;
    value /= 1024;
    unit = larger;
  }
  return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)}${unit}`;
}

export function perSecond(rate: Rate | undefined): string {
  return rate ? count(Math.round(rate.perSecond * 10) / 10) : "-";
}

/** Milliseconds in six columns at most. */
export function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms < 100 ? `${ms.toFixed(1)}ms` : ms < 10_000 ? `${Math.round(ms)}ms` : `${Math.round(ms / 1000)}s`;
}

/** `14:05:09`, local time. @param atMs epoch ms */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((value) => String(value).padStart(2, "0"))
    .join(":");
}

/** Figures a second that a sparkline can show. */
const HISTORY_LENGTH = 60;
/** Counters are looked at four times a second: over one second a figure is calm enough to be read. */
const WINDOW_MS = 1_000;

/** Turns a counter that only grows into a rate and its history. */
export class RateMeter {
  #samples: { atMs: number; count: number }[] = [];
  #history: number[] = [];
  #historyAtMs = Number.NEGATIVE_INFINITY;
  #perSecond = 0;

  /** @param count a smaller one than before means that the server started again */
  record(count: number, atMs: number): void {
    const last = this.#samples.at(-1);
    if (last && (count < last.count || atMs <= last.atMs)) this.#samples = [];
    this.#samples.push({ atMs, count });
    while (this.#samples.length > 2 && atMs - this.#samples[1]!.atMs >= WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0]!;
    this.#perSecond = atMs > first.atMs ? ((count - first.count) * 1000) / (atMs - first.atMs) : 0;
    if (atMs - this.#historyAtMs < WINDOW_MS) return;
    this.#historyAtMs = atMs;
    this.#history = [...this.#history, this.#perSecond].slice(-HISTORY_LENGTH);
  }

  get rate(): Rate {
    return { perSecond: this.#perSecond, history: this.#history };
  }
}

/** The rates of one node, from one status after the other. */
export class NodeMeter {
  readonly #posts = new RateMeter();
  readonly #gossipIn = new RateMeter();
  readonly #gossipOut = new RateMeter();

  record({ posted, gossip }: NodeStatus, atMs: number): void {
    this.#posts.record(posted, atMs);
    this.#gossipIn.record(gossip.itemsReceived, atMs);
    this.#gossipOut.record(gossip.batchesSent, atMs);
  }

  get rates(): NodeRates {
    return { posts: this.#posts.rate, gossipIn: this.#gossipIn.rate, gossipOut: this.#gossipOut.rate };
  }
}
