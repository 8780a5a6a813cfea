import { HUB_LIMITS } from "./limits.js";
import type { Backing, FrameBuffers } from "./memory.js";

/**
 * Result of `peek`: a whole frame; no whole frame yet; a frame that exceeds the chunk and needs memory of its own,
 * which `begin` allocates; or a violation.
 */
type Peek = "frame" | "more" | "begins" | "malformedFrame" | "frameTooLarge";

const NOTHING = Buffer.alloc(0);

/**
 * Splits a byte stream into frames: u32 length (big-endian), then that many bytes. Frames are parsed where they lie
 * in the chunk, at `buffer` from `start` (the length) to `end`. Only a frame that a chunk cuts is copied, once, into
 * a buffer of its length.
 * push(chunk), then until `more`: peek(), use the frame, advance(); or begin().
 */
export class Inbox {
  /** The frame that `peek` found. */
  buffer: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** Keeps `buffer` in memory. */
  backing: Backing | undefined;

  #chunk: Buffer = NOTHING;
  #chunkBacking: Backing | undefined;
  #at = 0;
  /** Up to 4 bytes of a length that the last chunk cut. */
  readonly #length = Buffer.alloc(4);
  #lengthFilled = 0;
  /** The frame that the last chunk cut, with its length in front. */
  #cut: Buffer | undefined;
  #cutBacking: Backing | undefined;
  #cutFilled = 0;

  constructor(
    private readonly frames: FrameBuffers,
    /** Small before a required token. */
    public frameBytesMax: number = HUB_LIMITS.frameBytesMax,
  ) {}

  /** Takes the next chunk, which belongs to the inbox from now on. */
  push(next: Buffer): void {
    // Bytes arrived after the hub stopped reading; otherwise `peek` has returned `more` before.
    const chunk = this.hasRest ? Buffer.concat([this.#chunk.subarray(this.#at), next]) : next;
    this.#chunkBacking?.release();
    this.#chunk = chunk;
    this.#at = 0;
    this.#chunkBacking = this.frames.backingOf(chunk);
  }

  /** The bytes that `peek` has not seen wait for long: they keep nothing else in memory. */
  park(): void {
    if (!this.hasRest) return;
    const rest = this.#chunk.subarray(this.#at);
    const parked = this.frames.park(rest);
    if (parked === rest) return;
    this.#chunkBacking?.release();
    this.#chunk = parked;
    this.#at = 0;
    this.#chunkBacking = this.frames.backingOf(parked);
  }

  peek(): Peek {
    if (this.#cut !== undefined) return this.#fillCut();
    if (this.#lengthFilled > 0) return this.#fillLength();
    const rest = this.#chunk.length - this.#at;
    if (rest < 4) {
      this.#lengthFilled = this.#chunk.copy(this.#length, 0, this.#at);
      return this.#dropChunk();
    }
    const chunk = this.#chunk;
    const at = this.#at;
    const length = chunk.readUInt32BE(at);
    if (length === 0) return "malformedFrame";
    if (length > this.frameBytesMax) return "frameTooLarge";
    if (4 + length > rest) return "begins";
    this.buffer = chunk;
    this.backing = this.#chunkBacking;
    this.start = at;
    this.end = at + 4 + length;
    return "frame";
  }

  /**
   * After `begins`: allocates the frame once, and counts it whole from now on.
   * @returns false when there is no memory for it now
   */
  begin(withinShare = true): boolean {
    const length = this.#lengthFilled > 0 ? this.#length.readUInt32BE(0) : this.#chunk.readUInt32BE(this.#at);
    const bytes = 4 + length;
    if (!this.frames.memory.mayBegin(bytes, withinShare)) return false;
    const { buffer: cut, backing } = this.frames.take(bytes);
    cut.writeUInt32BE(length, 0);
    if (this.#lengthFilled === 0) this.#at += 4;
    this.#lengthFilled = 0;
    this.#cut = cut;
    this.#cutBacking = backing;
    this.#cutFilled = 4;
    return true;
  }

  /** Consumes the frame that `peek` found. */
  advance(): void {
    if (this.#cut === undefined) {
      this.#at = this.end;
      return;
    }
    this.#cutBacking?.release();
    this.#cut = undefined;
    this.#cutBacking = undefined;
    this.buffer = NOTHING;
    this.backing = undefined;
  }

  /** Whether an unfinished frame waits for more bytes. */
  get midFrame(): boolean {
    return this.#lengthFilled > 0 || this.#cut !== undefined;
  }

  /** Whether there are bytes that `peek` has not seen. */
  get hasRest(): boolean {
    return this.#at < this.#chunk.length;
  }

  /** Releases everything. */
  drop(): void {
    this.#dropChunk();
    this.#cutBacking?.release();
    this.#cut = undefined;
    this.#cutBacking = undefined;
    this.#lengthFilled = 0;
  }

  #fillLength(): Peek {
    const copied = this.#chunk.copy(this.#length, this.#lengthFilled, this.#at);
    this.#lengthFilled += copied;
    this.#at += copied;
    if (this.#lengthFilled < 4) return this.#dropChunk();
    const length = this.#length.readUInt32BE(0);
    if (length === 0) return "malformedFrame";
    return length > this.frameBytesMax ? "frameTooLarge" : "begins";
  }

  #fillCut(): Peek {
    const cut = this.#cut!;
    if (this.#cutFilled < cut.length) {
      const copied = this.#chunk.copy(cut, this.#cutFilled, this.#at);
      this.#cutFilled += copied;
      this.#at += copied;
      if (this.#cutFilled < cut.length) return this.#dropChunk();
    }
    this.buffer = cut;
    this.backing = this.#cutBacking;
    this.start = 0;
    this.end = cut.length;
    return "frame";
  }

  #dropChunk(): Peek {
    this.#chunkBacking?.release();
    this.#chunkBacking = undefined;
    this.#chunk = NOTHING;
    this.#at = 0;
    this.buffer = NOTHING;
    this.backing = undefined;
    return "more";
  }
}
