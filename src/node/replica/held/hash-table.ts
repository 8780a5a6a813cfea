import { Segment } from "./segment.js";

/**
 * Values found by a key that is part of them, so that the table keeps no keys: 15 to 24 bytes a value, where a `Map`
 * takes 28 to 56, and the key. It is told the hash of each key, and compares keys only where hashes are equal.
 *
 * It is made of segments, chosen by the first bits of the hash (extendible hashing: R. Fagin et al., 1979). A full
 * segment splits in two; the directory of segments doubles when its bits no longer tell the two apart. So growing never
 * copies more than one segment, and there are no moments at which the whole table exists twice.
 */
export class HashTable<Value extends object> {
  #directory: Segment<Value>[] = [new Segment(0)];
  /** How many bits of a hash choose its segment. */
  #bits = 0;
  #size = 0;

  /** @param hasKey whether a value is the one of a key */
  constructor(private readonly hasKey: (value: Value, key: string) => boolean) {}

  get size(): number {
    return this.#size;
  }

  /** @param hash the same 32 bits for the same key, 0 or more */
  get(hash: number, key: string): Value | undefined {
    const segment = this.#segmentOf(hash);
    const index = segment.indexOf(hash, key, this.hasKey);
    return index < 0 ? undefined : segment.values[index];
  }

  /** Sets the value of a key. @returns the value that it had */
  set(hash: number, key: string, value: Value): Value | undefined {
    let segment = this.#segmentOf(hash);
    const index = segment.indexOf(hash, key, this.hasKey);
    if (index >= 0) {
      const before = segment.values[index];
      segment.values[index] = value;
      return before;
    }
    while (segment.mustSplit) {
      this.#split(segment, hash);
      segment = this.#segmentOf(hash);
    }
    segment.add(hash, value);
    this.#size++;
    return undefined;
  }

  /** @returns the value that the key had */
  delete(hash: number, key: string): Value | undefined {
    const segment = this.#segmentOf(hash);
    const index = segment.indexOf(hash, key, this.hasKey);
    if (index < 0) return undefined;
    const value = segment.values[index];
    segment.delete(index);
    this.#size--;
    return value;
  }

  #segmentOf(hash: number): Segment<Value> {
    return this.#directory[this.#placeOf(hash)]!;
  }

  /** A shift by 32 is one by 0. */
  #placeOf(hash: number): number {
    return this.#bits === 0 ? 0 : hash >>> (32 - this.#bits);
  }

  /** @param hash of one that belongs to the full segment */
  #split(full: Segment<Value>, hash: number): void {
    if (full.bits === this.#bits) {
      this.#directory = this.#directory.flatMap((segment) => [segment, segment]);
      this.#bits++;
    }
    const [low, high] = full.split();
    // Until it splits, a segment has all places that begin with its bits; half of them have 0 as the next one.
    const places = 2 ** (this.#bits - full.bits);
    const start = this.#placeOf(hash) & -places;
    this.#directory.fill(low, start, start + places / 2).fill(high, start + places / 2, start + places);
  }
}
