import { HeldItem } from "../replica/held/held-item.js";
import type { Item } from "../replica/item.js";
import { type Bound, END, START } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { VARINT_BYTES_MAX, writeVarint } from "../replica/item-set/sum.js";
import { FINGERPRINT_BYTES, ID_BYTES, MODE, VERSION } from "./message.js";

/** The smallest frame limit: one split must fit, with bounds of full length. Other implementations ask the same. */
export const FRAME_BYTES_MIN = 4096;

/** The longest bound: a timestamp, a length, a whole id. */
const BOUND_BYTES_MAX = VARINT_BYTES_MAX + 1 + ID_BYTES;
const SKIP_BYTES_MAX = BOUND_BYTES_MAX + 1;
const FINGERPRINT_RANGE_BYTES_MAX = BOUND_BYTES_MAX + 1 + FINGERPRINT_BYTES;
/** Without the ids themselves. */
const IDS_RANGE_BYTES_MAX = BOUND_BYTES_MAX + 1 + VARINT_BYTES_MAX;
/** Kept free until the end: a skip, and the fingerprint of all that did not fit. */
const TAIL_BYTES = SKIP_BYTES_MAX + FINGERPRINT_RANGE_BYTES_MAX;

/**
 * Writes a message range by range, within a limit. Neighbouring skips become one, and one at the end is left
 * out ("an implicit Skip to infinity Range is appended"). Once a range does not fit, the message is full: what
 * follows is not written, and `finish` covers it with one fingerprint, so the peer will ask again.
 */
export class MessageWriter {
  private bytes = Buffer.allocUnsafe(256);
  private length = 1;
  private lastTimestampMs = 0;
  private isSkipPending = false;
  private full = false;
  /** Upper bound of the last range, written or skipped. */
  private end: Bound = START;
  private skippedFirst: Bound = START;

  constructor(private readonly frameBytesMax: number) {
    this.bytes[0] = VERSION;
  }

  get isFull(): boolean {
    return this.full;
  }

  /** Whether every range was skipped. */
  get isEmpty(): boolean {
    return this.length === 1 && !this.full;
  }

  /** Upper bound of what is skipped at the start: all before it is settled. */
  get front(): Bound {
    return this.skippedFirst;
  }

  skip(to: Bound): void {
    if (this.full) return;
    this.end = to;
    this.isSkipPending = true;
    if (this.length === 1) this.skippedFirst = to;
  }

  /** @param fingerprint 32 hex digits */
  fingerprint(to: Bound, fingerprint: string): void {
    if (!this.makeRoom(FINGERPRINT_RANGE_BYTES_MAX)) return;
    this.range(to, MODE.fingerprint);
    this.hex(fingerprint, FINGERPRINT_BYTES);
  }

  /** How many ids fit in one more range. */
  get idsMax(): number {
    const room = this.frameBytesMax - this.length - TAIL_BYTES - SKIP_BYTES_MAX - IDS_RANGE_BYTES_MAX;
    return this.full ? 0 : Math.max(0, Math.floor(room / ID_BYTES));
  }

  /** @param items at most `idsMax` */
  ids(to: Bound, items: readonly Item[]): void {
    if (!this.makeRoom(IDS_RANGE_BYTES_MAX + items.length * ID_BYTES)) return;
    this.range(to, MODE.ids);
    this.varint(items.length);
    for (const item of items) this.id(item);
  }

  /** Ends the message early: what comes next would not fit. */
  stop(): void {
    this.full = true;
  }

  /** @param set whose fingerprint stands for everything that did not fit */
  finish(set: ItemSet): Uint8Array {
    if (this.full) {
      const rest = set.fingerprint(this.end, END);
      this.range(END, MODE.fingerprint);
      this.hex(rest.fingerprint, FINGERPRINT_BYTES);
    }
    return this.bytes.subarray(0, this.length);
  }

  private makeRoom(rangeBytes: number): boolean {
    if (this.length + SKIP_BYTES_MAX + rangeBytes + TAIL_BYTES > this.frameBytesMax) this.full = true;
    return !this.full;
  }

  /** Range := <upperBound (Bound)> <mode (Varint)> ..., behind the skips that lead to it. */
  private range(to: Bound, mode: number): void {
    if (this.isSkipPending) {
      this.isSkipPending = false;
      this.bound(this.end);
      this.varint(MODE.skip);
    }
    this.bound(to);
    this.varint(mode);
    this.end = to;
  }

  /** Bound := <encodedTimestamp (Varint)> <length (Varint)> <idPrefix (Byte)>* */
  private bound({ timestampMs, digest }: Bound): void {
    // "The infinity timestamp is encoded as 0. All other values are encoded as 1 + offset."
    if (timestampMs === END.timestampMs) this.varint(0);
    else this.varint(1 + timestampMs - this.lastTimestampMs);
    this.lastTimestampMs = timestampMs;
    const prefixBytes = digest.length / 2;
    this.varint(prefixBytes);
    this.hex(digest, prefixBytes);
  }

  private varint(value: number): void {
    this.grow(VARINT_BYTES_MAX);
    this.length = writeVarint(value, this.bytes, this.length);
  }

  private id(item: Item): void {
    this.grow(ID_BYTES);
    if (item instanceof HeldItem) item.copyDigest(this.bytes, this.length);
    else this.bytes.write(item.digest, this.length, ID_BYTES, "hex");
    this.length += ID_BYTES;
  }

  private hex(digits: string, bytes: number): void {
    this.grow(bytes);
    this.bytes.write(digits, this.length, bytes, "hex");
    this.length += bytes;
  }

  private grow(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + bytes));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
