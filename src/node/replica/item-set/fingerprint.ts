import { hash } from "node:crypto";
import { writeVarint } from "../varint.js";
import type { Sum } from "./sum.js";

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
