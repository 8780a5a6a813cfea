import { DNSSD } from "./limits.js";

interface Attempt {
  atMs: number;
  count: number;
  lastMs: number;
}

/** When to ask about things that are not complete: after 20 ms, then after 1, 2, 4 ... s, a bounded number of times. */
export class ResolvePlan<Thing> {
  readonly #attempts = new Map<Thing, Attempt>();
  #nextAtMs = Number.POSITIVE_INFINITY;

  get nextAtMs(): number {
    return this.#nextAtMs;
  }

  /** The thing was heard of and lacks something. Given up on, it gets a new round once a minute at most. */
  need(thing: Thing, nowMs: number): void {
    const before = this.#attempts.get(thing);
    if (before && (before.atMs < Number.POSITIVE_INFINITY || nowMs - before.lastMs < DNSSD.askIntervalMsMax))
      return;
    this.#attempts.set(thing, { atMs: nowMs + DNSSD.resolveDelayMs, count: 0, lastMs: nowMs });
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs + DNSSD.resolveDelayMs);
  }

  /** It lacks nothing, or is gone. */
  done(thing: Thing): void {
    this.#attempts.delete(thing);
  }

  /** Takes at most `max` things to ask about now; more stay due. */
  takeDue(max: number, nowMs: number): readonly Thing[] {
    if (nowMs < this.#nextAtMs) return [];
    const due: Thing[] = [];
    this.#nextAtMs = Number.POSITIVE_INFINITY;
    for (const [thing, attempt] of this.#attempts) {
      if (attempt.atMs <= nowMs && due.length < max) {
        due.push(thing);
        attempt.count++;
        attempt.lastMs = nowMs;
        attempt.atMs =
          attempt.count < DNSSD.resolveAttemptsMax
            ? nowMs + DNSSD.askIntervalMsMin * 2 ** (attempt.count - 1)
            : Number.POSITIVE_INFINITY;
      } else if (attempt.atMs <= nowMs) {
        attempt.atMs = nowMs + DNSSD.resolveDelayMs;
      }
      this.#nextAtMs = Math.min(this.#nextAtMs, attempt.atMs);
    }
    return due;
  }
}
