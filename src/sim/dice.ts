import type { Random } from "../core/machine.js";
import { seededRandom } from "../core/random.js";

/** A random source made from a seed. Each part of a world has its own, so that a draw in one part does not change the others. */
export class Dice {
  readonly random: Random;

  constructor(private readonly seed: string) {
    this.random = seededRandom(seed);
  }

  /** Another source from the same seed. @param name of the decisions that it makes */
  named(name: string): Dice {
    return new Dice(`${this.seed}/${name}`);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.random() < probability;
  }

  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.random() * (to - from + 1));
  }

  /** @returns undefined only for an empty list */
  pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.random() * list.length)];
  }

  shuffled<T>(list: readonly T[]): T[] {
    const copy = [...list];
    for (let last = copy.length - 1; last > 0; last--) {
      const other = this.whole(0, last);
      [copy[last], copy[other]] = [copy[other]!, copy[last]!];
    }
    return copy;
  }
}
