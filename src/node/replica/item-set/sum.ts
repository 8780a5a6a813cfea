import { hash } from "node:crypto";

/** A sum of digests mod 2^256: eight 32-bit words, least significant first. */
export type Sum = Uint32Array<ArrayBuffer>;

const WORDS = 8;
const DIGITS_PER_WORD = 8;

export function zeroSum(): Sum {
  return new Uint32Array(WORDS);
}

/** Reads a digest as a little-endian number, as the specification adds them. @param digest 64 hex digits */
export function readDigest(digest: string, into: Sum): Sum {
  for (let word = 0, at = 0; word < WORDS; word++, at += DIGITS_PER_WORD) {
    into[word] =
      byteAt(digest, at) |
      (byteAt(digest, at + 2) << 8) |
      (byteAt(digest, at + 4) << 16) |
      (byteAt(digest, at + 6) << 24);
  }
  return into;
}

/** The digest that was read as this number: 64 hex digits. */
export function digestOf(term: Sum): string {
  const bytes = Buffer.alloc(4 * WORDS);
  term.forEach((word, index) => {
    bytes.writeUInt32LE(word, 4 * index);
  });
  return bytes.toString("hex");
}

/** An object with a digest, which may also have the digest as a number. */
export interface Digested {
  readonly digest: string;
  readDigest?(into: Sum): Sum;
}

export function readDigestOf(item: Digested, into: Sum): Sum {
  return item.readDigest?.(into) ?? readDigest(item.digest, into);
}

/** The byte that two hex digits stand for. */
export function byteAt(hex: string, at: number): number {
  return (nibble(hex.charCodeAt(at)) << 4) | nibble(hex.charCodeAt(at + 1));
}

/** "0".."9" end in 0..9; "a".."f" end in 1..6 and have bit 6 set. */
export function nibble(code: number): number {
  return (code & 15) + (code >> 6) * 9;
}

export function add(sum: Sum, term: Sum): void {
  let carry = 0;
  for (let word = 0; word < WORDS; word++) {
    const value = sum[word]! + term[word]! + carry;
    sum[word] = value;
    carry = value > 0xffff_ffff ? 1 : 0;
  }
}

export function subtract(sum: Sum, term: Sum): void {
  let borrow = 0;
  for (let word = 0; word < WORDS; word++) {
    const value = sum[word]! - term[word]! - borrow;
    sum[word] = value;
    borrow = value < 0 ? 1 : 0;
  }
}

const scratch = zeroSum();

/** Adds an item's digest without an allocation. */
export function addDigest(sum: Sum, item: Digested): void {
  add(sum, readDigestOf(item, scratch));
}

/** Bytes that the largest safe integer takes. */
export const VARINT_BYTES_MAX = 8;

/**
 * Writes a number as a Negentropy varint: base-128 digits, most significant first, as few as possible, the
 * high bit set on every byte but the last (specification, "Varint").
 * @param value a safe integer, 0 or more
 * @returns the offset behind the last byte
 */
export function writeVarint(value: number, target: Uint8Array, offset: number): number {
  const end = offset + varintLength(value);
  target[end - 1] = value % 128;
  // Division, not shifts: timestamps in milliseconds do not fit in 32 bits.
  for (let rest = Math.floor(value / 128), at = end - 2; at >= offset; at--) {
    target[at] = 128 + (rest % 128);
    rest = Math.floor(rest / 128);
  }
  return end;
}

/** Bytes that `writeVarint` takes for a value. */
function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** The fingerprint that two nodes compare instead of their items. */
export interface Fingerprint {
  /** How many items it covers. */
  readonly count: number;
  /** 32 hex digits. */
  readonly fingerprint: string;
}

const SUM_BYTES = 32;
const FINGERPRINT_DIGITS = 32;

// One buffer for all: a hash is taken before the next is asked for.
const preimage = new Uint8Array(SUM_BYTES + 8);
const preimageView = new DataView(preimage.buffer);

/**
 * The fingerprint of a set of items by Negentropy V1, "Fingerprint Algorithm": the first 16 bytes of
 * SHA-256 over the sum of the ids mod 2^256 (32 bytes, little-endian) and their count as a varint.
 * @returns 32 hex digits
 */
export function fingerprintOf(sum: Sum, count: number): string {
  for (let word = 0; word < sum.length; word++) preimageView.setUint32(word * 4, sum[word]!, true);
  const end = writeVarint(count, preimage, SUM_BYTES);
  return hash("sha256", preimage.subarray(0, end)).slice(0, FINGERPRINT_DIGITS);
}
