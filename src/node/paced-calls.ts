/** Calls so many back in one turn of the event loop, in order: between two turns others are served. */
export class PacedCalls {
  #waiting: (() => void)[] = [];
  #next = 0;
  /** This turn has begun. */
  #taken = false;

  constructor(private readonly perTurn: number) {}

  /** The first of this turn are called at once. */
  add(callbacks: readonly (() => void)[]): void {
    this.#waiting.push(...callbacks);
    if (!this.#taken) this.#turn();
  }

  readonly #turn = (): void => {
    const end = Math.min(this.#next + this.perTurn, this.#waiting.length);
    this.#taken = end > this.#next;
    if (this.#taken) setImmediate(this.#turn);
    while (this.#next < end) this.#waiting[this.#next++]!();
    if (this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  };
}
