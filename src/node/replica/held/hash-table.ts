import { byteAt } from "../item-set/sum.js";

/** The key of `KeyedHash`: two secret numbers of 32 bits. */
export type HashKey = readonly [number, number];

/**
 * Hashes texts to 32 bits for a table. Ids, and with some work digests, are chosen by whoever posts: under a hash that
 * others can compute, they could be chosen to meet in one place. This is HalfSipHash with one round a word and three at
 * the end (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF"); a word is two UTF-16 units.
 */
export class KeyedHash {
  readonly #key0: number;
  readonly #key1: number;

  constructor([key0, key1]: HashKey) {
    this.#key0 = key0 | 0;
    this.#key1 = key1 | 0;
  }

  /**
   * A digest is a random number already, of which 64 bits are more than anybody can choose: all that is left to do is to
   * hide which ones meet. @param digest 64 hex digits
   */
  ofDigest(digest: string): number {
    let hash = Math.imul(wordAt(digest, 0) ^ this.#key0, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ wordAt(digest, 8) ^ this.#key1, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13) ^ this.#key0, 0x27d4eb2f);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  of(text: string): number {
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = 0x6c796765 ^ v0;
    let v3 = 0x74656462 ^ v1;
    const units = text.length;
    // One step for each two units, one for the rest and the length, three without a word.
    for (let at = 0, last = units & ~1; at <= last + 6; at += 2) {
      let word = 0;
      if (at < last) word = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
      else if (at === last) word = (units << 16) | (units > last ? text.charCodeAt(last) : 0);
      else if (at === last + 2) v2 ^= 0xff;

      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  }
}

/** The 32 bits of eight hex digits. */
function wordAt(hex: string, at: number): number {
  return (
    (byteAt(hex, at) << 24) | (byteAt(hex, at + 2) << 16) | (byteAt(hex, at + 4) << 8) | byteAt(hex, at + 6)
  );
}

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

const CAPACITY_MIN = 8;
/** A segment doubles up to here, grows by half once more, and then splits: so it is at least half full on the way. */
const DOUBLING_CAPACITY_MAX = 1_024;
const CAPACITY_MAX = 1_536;
/** Linear probing gets slow above three quarters. */
const LOAD_MAX = 0.75;
/** ... and below an eighth a table is too large. */
const LOAD_MIN = 0.125;
/** A split leaves this to chance: more bits than this mean hashes that are equal, and a segment that grows on. */
const BITS_MAX = 16;
const EMPTY = 0;

/**
 * Part of a `HashTable`: the values whose hashes begin with the same bits, by open addressing with linear probing. A
 * search runs over hashes, which lie side by side, and looks at a value only where they are equal.
 */
class Segment<Value extends object> {
  values: (Value | undefined)[];
  #hashes: Uint32Array;
  #count = 0;

  /** @param bits how many first bits all hashes have in common */
  constructor(
    readonly bits: number,
    capacity = CAPACITY_MIN,
  ) {
    this.#hashes = new Uint32Array(capacity);
    this.values = new Array(capacity).fill(undefined);
  }

  get mustSplit(): boolean {
    const capacity = this.values.length;
    return capacity >= CAPACITY_MAX && this.bits < BITS_MAX && this.#count + 1 > capacity * LOAD_MAX;
  }

  /** @returns -1 when it is not here */
  indexOf(hash: number, key: string, hasKey: (value: Value, key: string) => boolean): number {
    const hashes = this.#hashes;
    const mark = markOf(hash);
    for (let index = this.#home(mark); hashes[index] !== EMPTY; ) {
      if (hashes[index] === mark && hasKey(this.values[index]!, key)) return index;
      if (++index === hashes.length) index = 0;
    }
    return -1;
  }

  /** @param value one whose key is not here */
  add(hash: number, value: Value): void {
    if (this.#count + 1 > this.values.length * LOAD_MAX) this.#resize(larger(this.values.length));
    this.#put(markOf(hash), value);
  }

  /** Displaced entries behind the gap move up, so that no search ends at it too early. */
  delete(index: number): void {
    const hashes = this.#hashes;
    const capacity = hashes.length;
    let gap = index;
    for (let next = (gap + 1) % capacity; hashes[next] !== EMPTY; next = (next + 1) % capacity) {
      const fromHome = (next - this.#home(hashes[next]!) + capacity) % capacity;
      if (fromHome < (next - gap + capacity) % capacity) continue;
      hashes[gap] = hashes[next]!;
      this.values[gap] = this.values[next];
      gap = next;
    }
    hashes[gap] = EMPTY;
    this.values[gap] = undefined;
    this.#count--;
    if (capacity > CAPACITY_MIN && this.#count < capacity * LOAD_MIN) this.#resize(smaller(capacity));
  }

  /** @returns the values whose next bit is 0, and those with 1 */
  split(): [Segment<Value>, Segment<Value>] {
    const halves: [Segment<Value>, Segment<Value>] = [
      new Segment(this.bits + 1, DOUBLING_CAPACITY_MAX),
      new Segment(this.bits + 1, DOUBLING_CAPACITY_MAX),
    ];
    for (const [index, value] of this.values.entries()) {
      const mark = this.#hashes[index]!;
      if (value !== undefined) halves[(mark >>> (31 - this.bits)) & 1]!.#put(mark, value);
    }
    return halves;
  }

  #resize(capacity: number): void {
    const old = { hashes: this.#hashes, values: this.values };
    this.#hashes = new Uint32Array(capacity);
    this.values = new Array(capacity).fill(undefined);
    this.#count = 0;
    for (let index = 0; index < old.hashes.length; index++)
      if (old.hashes[index] !== EMPTY) this.#put(old.hashes[index]!, old.values[index]!);
  }

  #put(mark: number, value: Value): void {
    const hashes = this.#hashes;
    let index = this.#home(mark);
    while (hashes[index] !== EMPTY) if (++index === hashes.length) index = 0;
    hashes[index] = mark;
    this.values[index] = value;
    this.#count++;
  }

  /** Where a value belongs, by the last 16 bits of its hash: the first ones have chosen the segment. */
  #home(mark: number): number {
    return ((mark & 0xffff) * this.#hashes.length) >>> 16;
  }
}

/** A hash as it is kept: not that of an empty place. */
function markOf(hash: number): number {
  return hash === EMPTY ? 1 : hash;
}

function larger(capacity: number): number {
  return capacity === DOUBLING_CAPACITY_MAX ? CAPACITY_MAX : capacity * 2;
}

function smaller(capacity: number): number {
  return capacity === CAPACITY_MAX ? DOUBLING_CAPACITY_MAX : capacity / 2;
}
