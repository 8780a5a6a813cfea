import { pick, type Random } from "../core/machine.js";

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

type Action = () => void;

/**
 * Virtual time: actions in order of their instant, those of one instant in the order they were asked for. Time has
 * whole milliseconds, so many actions share an instant.
 */
export class Timeline {
  readonly #actions = new Map<number, Action[]>();

  constructor(public nowMs: number) {}

  /** @param atMs a whole number; in the past means now */
  at(atMs: number, action: Action): void {
    const instant = Math.max(atMs, this.nowMs);
    const actions = this.#actions.get(instant);
    if (actions) actions.push(action);
    else this.#actions.set(instant, [action]);
  }

  after(delayMs: number, action: Action): void {
    this.at(this.nowMs + delayMs, action);
  }

  /** Advances time and runs all due actions, including those that they schedule on the way. */
  runUntil(untilMs: number): void {
    for (let instant = this.nowMs; instant <= untilMs; instant++) {
      this.nowMs = instant;
      const actions = this.#actions.get(instant) ?? [];
      // The list may grow meanwhile: an action may schedule another at this same instant.
      for (let index = 0; index < actions.length; index++) actions[index]!();
      this.#actions.delete(instant);
    }
  }
}
