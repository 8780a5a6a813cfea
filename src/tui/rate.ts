import type { Rate } from "./snapshot.js";

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
