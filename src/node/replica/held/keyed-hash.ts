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
