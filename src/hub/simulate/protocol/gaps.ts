/** Sequence numbers that were skipped, as ranges in order: a lost second of traffic is one range. */
export class Gaps {
  readonly #ranges: [from: number, to: number][] = [];
  count = 0;

  /** All from `from` to before `to`, which are beyond all skipped so far. */
  skip(from: number, to: number): void {
    this.#ranges.push([from, to]);
    this.count += to - from;
  }

  /** @returns false when that number was not missing */
  fill(sequence: number): boolean {
    const index = this.#ranges.findLastIndex(([from]) => from <= sequence);
    const range = this.#ranges[index];
    if (range === undefined || sequence >= range[1]) return false;
    const [from, to] = range;
    const rest: [number, number][] = [
      [from, sequence],
      [sequence + 1, to],
    ];
    this.#ranges.splice(index, 1, ...rest.filter(([first, end]) => first < end));
    this.count -= 1;
    return true;
  }
}
