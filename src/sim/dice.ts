import type { Random } from "../core/machine.js";
import { pick } from "../core/random.js";

/**
 * A random source made from a seed. Each part of a world has its own, so that a draw in one part does not change the
 * others.
 */
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
    return pick(list, this.random);
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

/**
 * A seeded source of numbers in [0, 1): the same seed gives the same numbers on every machine. Not for secrets.
 * @param seed any text; seeds that differ in one character give unrelated numbers
 * @see https://pracrand.sourceforge.net (sfc32), seeded through a 32-bit hash
 */
export function seededRandom(seed: string): Random {
  const word = hashedWords(seed);
  let [a, b, c, counter] = [word(), word(), word(), 1];
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  // The first few numbers still depend visibly on the seed.
  for (let round = 0; round < 12; round++) next();
  return next;
}

/** A stream of 32-bit words from a text (xmur3). */
function hashedWords(text: string): () => number {
  let state = 1_779_033_703 ^ text.length;
  for (let index = 0; index < text.length; index++) {
    state = Math.imul(state ^ text.charCodeAt(index), 3_432_918_353);
    state = (state << 13) | (state >>> 19);
  }
  return () => {
    state = Math.imul(state ^ (state >>> 16), 2_246_822_507);
    state = Math.imul(state ^ (state >>> 13), 3_266_489_909);
    state ^= state >>> 16;
    return state;
  };
}
