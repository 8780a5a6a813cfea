import { HUB_LIMITS } from "./limits.js";

/**
 * What the hub's frames, chunks, copies and queues take. Counts whole backing buffers: a queued slice of 100 bytes
 * keeps all 64 KiB of its chunk alive.
 */
export class MemoryBudget {
  usedBytes = 0;
  peakBytes = 0;
  /** Where those who wait for memory go on: below it there is room for the work of a turn. */
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

  /** Frames that may be begun although there is no room: when nothing else would ever move. */
  overdraft = 0;

  /** Whether a frame of that size may be begun. */
  takeRoomFor(bytes: number): boolean {
    if (this.usedBytes + bytes <= this.maxBytes) return true;
    if (this.overdraft === 0) return false;
    this.overdraft -= 1;
    return true;
  }

  get full(): boolean {
    return this.usedBytes >= this.maxBytes;
  }

  get hasRoomAgain(): boolean {
    return this.usedBytes <= this.#resumeBytes;
  }
}

/** One buffer in memory and how many hold it: the parser while it reads from it, and every queued piece of it. */
export class Backing {
  #holders = 1;

  /**
   * @param bytes all of the buffer, not the part in use
   * @param freed nobody holds it any more: it may be used again
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

  /** One holder lets go; the last one gives the memory back. */
  release(): void {
    if (--this.#holders !== 0) return;
    this.memory.remove(this.bytes);
    this.freed?.();
  }
}
