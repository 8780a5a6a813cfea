/**
 * Keeps order behind something slow: what comes later in the same lane waits for it. A lane with nothing slow in it
 * costs nothing: everything runs at once.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>();

  /** @param fact acted on when it is there and all before it in the lane were; one that rejects is left out */
  add<Fact>(lane: string, fact: Fact | Promise<Fact>, act: (fact: Fact) => void): void {
    const before = this.#tails.get(lane);
    if (!before && !(fact instanceof Promise)) {
      act(fact);
      return;
    }
    const tail = Promise.allSettled([fact, before]).then(([result]) => {
      if (this.#tails.get(lane) === tail) this.#tails.delete(lane);
      if (result.status === "fulfilled") act(result.value as Fact);
    });
    this.#tails.set(lane, tail);
  }
}
