import { monitorEventLoopDelay } from "node:perf_hooks";
import type { ProcessFigures } from "./broadcast.js";

/** Wakes the process 50 times a second, which costs 0.1 % of a core. */
const RESOLUTION_MS = 20;
/** Delays are looked at in windows of this length; the figure is that of the window before. */
const WINDOW_MS = 2_000;

/** Measures the process from the first question on: a node that nobody watches does not pay for it. */
export class Vitals {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #windowAtMs = 0;
  #delayMs: number | undefined;

  figures(): ProcessFigures {
    return { rssBytes: process.memoryUsage.rss(), eventLoopDelayMs: this.#eventLoopDelayMs() };
  }

  close(): void {
    this.#histogram?.disable();
  }

  #eventLoopDelayMs(): number {
    if (!this.#histogram) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#histogram.enable();
      this.#windowAtMs = performance.now();
    }
    const nowMs = performance.now();
    if (this.#delayMs === undefined || nowMs - this.#windowAtMs >= WINDOW_MS) {
      // The histogram records the time between two wake-ups.
      const lateMs = this.#histogram.percentile(99) / 1e6 - RESOLUTION_MS;
      this.#delayMs = this.#histogram.count === 0 ? undefined : Math.max(0, Math.round(lateMs * 10) / 10);
      this.#histogram.reset();
      this.#windowAtMs = nowMs;
    }
    return this.#delayMs ?? 0;
  }
}
