/** One thing that must be over in time. */
export interface Deadline {
  readonly atMs: number;
  readonly expire: () => void;
}

/**
 * Many deadlines of one length, on one timer: a timer of its own for each request costs as much as parsing its JSON
 * (bench/http-post.ts). They expire in the order in which they were set.
 */
export class Deadlines {
  readonly #lengthMs: number;
  readonly #pending = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  /** @param expire called once when the time is over, unless the deadline is met before */
  set(expire: () => void): Deadline {
    const deadline = { atMs: performance.now() + this.#lengthMs, expire };
    this.#pending.add(deadline);
    this.#timer ??= setTimeout(() => this.#sweep(), this.#lengthMs).unref();
    return deadline;
  }

  meet(deadline: Deadline): void {
    this.#pending.delete(deadline);
  }

  #sweep(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const deadline of this.#pending) {
      if (deadline.atMs > nowMs) {
        this.#timer = setTimeout(() => this.#sweep(), deadline.atMs - nowMs).unref();
        return;
      }
      this.#pending.delete(deadline);
      deadline.expire();
    }
  }
}
