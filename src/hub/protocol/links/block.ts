import { FRAME } from "../frame-type.js";
import { Backing } from "../memory.js";
import { Piece } from "../piece.js";
import type { Receipt } from "../receipt.js";

/** What a frame that names its sender has in front of its payload, and one that does not. */
const NAMED_HEADER = 13;
const PLAIN_HEADER = 5;
/** A copy of less costs less than the vectors it saves. */
const COPY_BELOW_BYTES = 16_384;

/**
 * Frames for clients as another hub sent them, one behind the other: `bytes[start..end)`. Receivers of version 2 get
 * them as they are, uncopied.
 */
export class Block {
  readonly count: number;

  private constructor(
    private readonly bytes: Buffer,
    private readonly start: number,
    private readonly end: number,
    /** What keeps `bytes` in memory. */
    private readonly backing: Backing,
    readonly type: number,
    count: number,
  ) {
    this.count = count;
  }

  /** @returns undefined when it is not a row of whole frames of that type */
  static read(bytes: Buffer, start: number, end: number, backing: Backing, type: number): Block | undefined {
    let count = 0;
    let at = start;
    while (at < end) {
      if (end - at < NAMED_HEADER || bytes[at + 4] !== type) return undefined;
      const length = bytes.readUInt32BE(at);
      if (length < NAMED_HEADER - 4 || length > end - at - 4) return undefined;
      at += 4 + length;
      count += 1;
    }
    return count === 0 ? undefined : new Block(bytes, start, end, backing, type, count);
  }

  /** The group that it is for; undefined when none is named. */
  get group(): string | undefined {
    const at = this.start + NAMED_HEADER;
    const frameEnd = this.start + 4 + this.bytes.readUInt32BE(this.start);
    if (this.type !== FRAME.toGroup || at >= frameEnd) return undefined;
    const nameEnd = at + 1 + this.bytes[at]!;
    return nameEnd > frameEnd ? undefined : this.bytes.toString("utf8", at + 1, nameEnd);
  }

  /** For receivers of version 1. @param alsoNamed the bytes are still needed for `named` */
  plain(alsoNamed: boolean, receipt: Receipt | undefined): Piece {
    if (this.count === 1 && !alsoNamed && this.end - this.start >= COPY_BELOW_BYTES) {
      const at = this.start + NAMED_HEADER - PLAIN_HEADER;
      writePlainHeader(this.bytes, at, this.end - at);
      return this.#slice(at, receipt);
    }
    const size = this.end - this.start - this.count * (NAMED_HEADER - PLAIN_HEADER);
    const target = Buffer.allocUnsafeSlow(size);
    let filled = 0;
    for (let at = this.start; at < this.end; ) {
      const next = at + 4 + this.bytes.readUInt32BE(at);
      writePlainHeader(target, filled, next - at - NAMED_HEADER + PLAIN_HEADER);
      this.bytes.copy(target, filled + PLAIN_HEADER, at + NAMED_HEADER, next);
      filled += next - at - NAMED_HEADER + PLAIN_HEADER;
      at = next;
    }
    return new Piece(target, this.count, new Backing(size, this.backing.memory), receipt);
  }

  /** For receivers that want the sender named. */
  named(receipt: Receipt | undefined): Piece {
    const size = this.end - this.start;
    // A few bytes must not keep all that was read with them in memory.
    if (2 * size >= this.backing.bytes) return this.#slice(this.start, receipt);
    const copy = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(copy, 0, this.start, this.end);
    return new Piece(copy, this.count, new Backing(size, this.backing.memory), receipt);
  }

  #slice(at: number, receipt: Receipt | undefined): Piece {
    this.backing.hold(1);
    return new Piece(this.bytes.subarray(at, this.end), this.count, this.backing, receipt);
  }
}

function writePlainHeader(target: Buffer, at: number, size: number): void {
  target.writeUInt32BE(size - 4, at);
  target[at + 4] = FRAME.relay;
}
