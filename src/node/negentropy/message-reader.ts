import { type Bound, compareBounds, END, START } from "../replica/item-set/bound.js";
import {
  FINGERPRINT_BYTES,
  ID_BYTES,
  MODE,
  type Range,
  ReconcileError,
  VERSION_FIRST,
  VERSION_LAST,
} from "./message.js";

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
