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

/** @returns waits for a turn of the event loop: so many callers have theirs in one, and then none in so many */
export function turnsOf(perTurn: number, turnsBetween: number): () => Promise<void> {
  let yields = 0;
  const calls = new PacedCalls(perTurn, () => yields > 0 && yields-- > 0);
  return () =>
    new Promise((resolve) => {
      const pass = () => {
        yields = turnsBetween;
        resolve();
      };
      calls.add([pass]);
    });
}
