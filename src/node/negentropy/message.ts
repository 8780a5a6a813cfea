import { HeldItem } from "../replica/held/held-item.js";
import type { Item } from "../replica/item.js";
import { type Bound, compareBounds, END, START } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { VARINT_BYTES_MAX, writeVarint } from "../replica/item-set/sum.js";
import type { Sketch } from "./sketch.js";

// The words of Negentropy Protocol V1 (https://github.com/hoytech/negentropy, docs/negentropy-protocol-v1.md).

/** First byte of every message ("Message"). */
export const VERSION = 0x61;
/** Version bytes of this protocol's family: V0 to V15. */
const VERSION_FIRST = 0x60;
const VERSION_LAST = 0x6f;

/** The content of a range ("Range"). */
const MODE = { skip: 0, fingerprint: 1, ids: 2 } as const;

export const ID_BYTES = 32;
export const FINGERPRINT_BYTES = 16;

/** One range of a message. It starts where the one before it ends, the first one at the very start. */
export type Range =
  | { readonly mode: "skip"; readonly to: Bound }
  | { readonly mode: "fingerprint"; readonly to: Bound; readonly fingerprint: string }
  | { readonly mode: "ids"; readonly to: Bound; readonly ids: readonly string[] };

/** Why a message or a whole round was given up: a closed list, shown in logs and metrics. */
export type ReconcileFault =
  | "truncated" // the message ends inside a range
  | "malformed" // a number, bound or mode that the specification does not know
  | "outOfOrder" // a bound that lies before the one it follows
  | "unsupportedVersion"
  | "tooLong" // the message is larger than messageBytesMax
  | "wrongRange" // an answer about a range that is settled, or was never asked about
  | "noProgress"; // the round goes on and on and settles nothing

/** A peer's message that cannot be part of a reconciliation. The peer is at fault; nothing was changed. */
export class ReconcileError extends Error {
  override readonly name = "ReconcileError";

  constructor(
    readonly reason: ReconcileFault,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Reads the ranges of a message in order. Nothing is believed: every length is checked against the bytes that
 * are there before it is used, so the work is bounded by the length of the message.
 */
export class MessageReader {
  /** The sender's protocol version byte. */
  readonly version: number;
  private readonly bytes: Buffer;
  private at = 1;
  /** Upper bound of the range read last: the next may not lie before it. */
  private end = START;

  /** @throws ReconcileError tooLong, truncated, malformed (a first byte that is no version) */
  constructor(message: Uint8Array, messageBytesMax: number) {
    if (message.length > messageBytesMax) {
      throw new ReconcileError("tooLong", `message of ${message.length} bytes; at most ${messageBytesMax}`);
    }
    this.bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    if (this.bytes.length === 0) throw new ReconcileError("truncated", "message of 0 bytes");
    this.version = this.bytes[0]!;
    if (this.version < VERSION_FIRST || this.version > VERSION_LAST) {
      throw new ReconcileError("malformed", `first byte ${this.version} is no protocol version`);
    }
  }

  /** @throws ReconcileError truncated, malformed, outOfOrder: where the fault is met, after the ranges before it */
  *ranges(): IterableIterator<Range> {
    while (this.at < this.bytes.length) yield this.range();
  }

  /** Range := <upperBound (Bound)> <mode (Varint)> <payload> */
  private range(): Range {
    const to = this.bound();
    const mode = this.varint();
    switch (mode) {
      case MODE.skip:
        return { mode: "skip", to };
      case MODE.fingerprint:
        return { mode: "fingerprint", to, fingerprint: this.hex(FINGERPRINT_BYTES) };
      case MODE.ids:
        return { mode: "ids", to, ids: this.ids() };
      default:
        throw new ReconcileError("malformed", `unknown mode ${mode}`);
    }
  }

  /** Bound := <encodedTimestamp (Varint)> <length (Varint)> <idPrefix (Byte)>* */
  private bound(): Bound {
    const encoded = this.varint();
    const length = this.varint();
    if (length > ID_BYTES) throw new ReconcileError("malformed", `id prefix of ${length} bytes`);
    const digest = this.hex(length);

    // "The infinity timestamp is encoded as 0. All other values are encoded as 1 + offset": from the bound before.
    const timestampMs = encoded === 0 ? END.timestampMs : this.end.timestampMs + encoded - 1;
    if (encoded === 0 ? length > 0 : !(timestampMs <= Number.MAX_SAFE_INTEGER)) {
      throw new ReconcileError("malformed", "a bound behind infinity");
    }
    const to = { timestampMs, digest };
    // "Ranges in a message are always encoded in ascending order, and ranges never overlap."
    if (compareBounds(to, this.end) < 0)
      throw new ReconcileError("outOfOrder", "a bound before the last one");
    this.end = to;
    return to;
  }

  /** IdList := <length (Varint)> <ids (Id)>* */
  private ids(): string[] {
    const count = this.varint();
    // The count alone must not make us allocate.
    this.need(count * ID_BYTES);
    return Array.from({ length: count }, () => this.hex(ID_BYTES));
  }

  /** Varint := <Digit+128>* <Digit>, "with as few digits as possible" */
  private varint(): number {
    let value = 0;
    for (const start = this.at; ; ) {
      this.need(1);
      const byte = this.bytes[this.at++]!;
      value = value * 128 + (byte & 127);
      if (value > Number.MAX_SAFE_INTEGER || (byte === 128 && this.at === start + 1)) {
        throw new ReconcileError("malformed", "a number that is too large, or has leading zeros");
      }
      if (byte < 128) return value;
    }
  }

  private hex(length: number): string {
    this.need(length);
    this.at += length;
    return this.bytes.toString("hex", this.at - length, this.at);
  }

  private need(length: number): void {
    const left = this.bytes.length - this.at;
    if (length > left) throw new ReconcileError("truncated", `${length} bytes announced, ${left} left`);
  }
}

/** The smallest frame limit: one split must fit, with bounds of full length. Other implementations ask the same. */
const FRAME_BYTES_MIN = 4096;

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

export interface ReconcileOptions {
  /** Longest message that we write, bytes, 4096 or more; default: as long as it takes. */
  readonly frameBytesMax?: number;
  /** Longest message that we read, bytes; default 64 MiB. Reading costs time in proportion. */
  readonly messageBytesMax?: number;
  /** Of the whole set; default: it is compared by ranges alone. */
  readonly sketch?: Sketch | undefined;
}

/** @throws RangeError when frameBytesMax is too small */
export function completeOptions(options: ReconcileOptions): Required<Omit<ReconcileOptions, "sketch">> {
  const { frameBytesMax = Number.POSITIVE_INFINITY, messageBytesMax = 64 * 1024 ** 2 } = options;
  if (!(frameBytesMax >= FRAME_BYTES_MIN)) {
    throw new RangeError(`frameBytesMax ${frameBytesMax} is below ${FRAME_BYTES_MIN}`);
  }
  return { frameBytesMax, messageBytesMax };
}
