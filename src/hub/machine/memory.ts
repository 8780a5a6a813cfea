import { free, isWhole, park } from "../../core/buffers.js";
import { HUB_LIMITS } from "./limits.js";

const { freedChunkBytesMin, keptFrameBytesMin, keptFrameStepBytes, keptFramesBytesMax } = HUB_LIMITS;

/**
 * The memory of frames, chunks, copies and queues. Counts whole backing buffers: a queued slice of 100 bytes keeps
 * all 64 KiB of its chunk alive.
 */
export class MemoryBudget {
  usedBytes = 0;
  peakBytes = 0;
  /**
   * Senders that wait for memory resume below this; clients over their share begin to wait above it. The rest is for
   * small frames of the other clients.
   */
  readonly #resumeBytes: number;

  constructor(readonly maxBytes: number = HUB_LIMITS.memoryMax) {
    this.#resumeBytes = maxBytes - maxBytes / 16;
  }

  add(bytes: number): void {
    this.usedBytes += bytes;
    if (this.usedBytes > this.peakBytes) this.peakBytes = this.usedBytes;
  }

  remove(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /** Frames that may begin beyond the budget: where paused senders hold all memory, one of them must go on. */
  exceptions = 0;

  /** Whether a frame of that size may be begun; uses up an exception. @param withinShare its client is within its share */
  mayBegin(bytes: number, withinShare: boolean): boolean {
    const small = bytes <= HUB_LIMITS.keptFrameBytesMin;
    if (this.usedBytes + bytes <= (withinShare && small ? this.maxBytes : this.#resumeBytes)) return true;
    if (this.exceptions === 0) return false;
    this.exceptions -= 1;
    return true;
  }

  isFullFor(withinShare: boolean): boolean {
    return this.usedBytes >= (withinShare ? this.maxBytes : this.#resumeBytes);
  }

  get hasRoomAgain(): boolean {
    return this.usedBytes <= this.#resumeBytes;
  }
}

/** One buffer in memory and its reference count: the parser that reads it, and each queued piece of it. */
export class Backing {
  #holders = 1;

  /**
   * @param bytes all of the buffer, not the part in use
   * @param freed called after the last release: the buffer may be reused
   */
  constructor(
    readonly bytes: number,
    readonly memory: MemoryBudget,
    private readonly freed?: () => void,
  ) {
    memory.add(bytes);
  }

  hold(times: number): void {
    this.#holders += times;
  }

  release(): void {
    if (--this.#holders !== 0) return;
    this.memory.remove(this.bytes);
    this.freed?.();
  }
}

/**
 * Memory for frames that exceed a chunk. Large buffers are reused: the garbage collector sees an object of a few
 * bytes in each and let 200 MB accumulate beside 300 MB in use (bench/hub.ts large).
 */
export class FrameBuffers {
  /** Free buffers, by length. */
  readonly #kept = new Map<number, Buffer[]>();
  #keptBytes = 0;
  /** A buffer was asked for since `freeUnused`. */
  #isUsed = false;

  /** @param reuses false when frames outlive their release */
  constructor(
    readonly memory: MemoryBudget,
    private readonly reuses = true,
  ) {}

  /** Bytes of a chunk that wait for long. */
  park(rest: Buffer): Buffer {
    return this.reuses ? park(rest) : rest;
  }

  /** The backing of a chunk from a socket. */
  backingOf(chunk: Buffer): Backing {
    const { buffer } = chunk;
    const isFreed = this.reuses && isWhole(chunk) && chunk.length >= freedChunkBytesMin;
    return new Backing(buffer.byteLength, this.memory, isFreed ? () => free(chunk) : undefined);
  }

  /** A buffer for a frame of that size; the last release returns it. */
  take(bytes: number): { readonly buffer: Buffer; readonly backing: Backing } {
    if (bytes < keptFrameBytesMin) {
      return { buffer: Buffer.allocUnsafeSlow(bytes), backing: new Backing(bytes, this.memory) };
    }
    this.#isUsed = true;
    const length = Math.ceil(bytes / keptFrameStepBytes) * keptFrameStepBytes;
    const kept = this.#kept.get(length)?.pop();
    if (kept !== undefined) this.#keptBytes -= length;
    const whole = kept ?? Buffer.allocUnsafeSlow(length);
    return {
      buffer: whole.subarray(0, bytes),
      backing: new Backing(length, this.memory, () => this.#giveBack(whole)),
    };
  }

  /** Frees the buffers that are kept, unless one was asked for since the last call. */
  freeUnused(): void {
    if (!this.#isUsed) this.freeKept();
    this.#isUsed = false;
  }

  freeKept(): void {
    for (const buffers of this.#kept.values()) for (const buffer of buffers) free(buffer);
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  #giveBack(whole: Buffer): void {
    if (!this.reuses) return;
    if (this.#keptBytes + whole.length > keptFramesBytesMax) {
      free(whole);
      return;
    }
    this.#keptBytes += whole.length;
    const same = this.#kept.get(whole.length);
    if (same === undefined) this.#kept.set(whole.length, [whole]);
    else same.push(whole);
  }
}
