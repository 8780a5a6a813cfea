/** Calls a bounded number of callbacks in one turn of the event loop, in order, so that other work runs in between. */
export class PacedCalls {
  #waiting: (() => void)[] = [];
  #next = 0;
  /** This turn has begun. */
  #taken = false;

  /** @param yields whether this turn is for others; asked once in each turn after the first */
  constructor(
    private readonly perTurn: number,
    private readonly yields: () => boolean = () => false,
  ) {}

  /** The first of this turn are called at once. */
  add(callbacks: readonly (() => void)[]): void {
    this.#waiting.push(...callbacks);
    if (!this.#taken) this.#turn();
  }

  readonly #turn = (): void => {
    if (this.#taken && this.yields()) {
      setImmediate(this.#turn);
      return;
    }
    const end = Math.min(this.#next + this.perTurn, this.#waiting.length);
    this.#taken = end > this.#next;
    if (this.#taken) setImmediate(this.#turn);
    while (this.#next < end) this.#waiting[this.#next++]!();
    if (this.#next < this.#waiting.length) return;
    this.#waiting = [];
    this.#next = 0;
  };
}
