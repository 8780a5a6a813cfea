import { HUB_LIMITS } from "./limits.js";
import { Backing, type MemoryBudget } from "./memory.js";

const { keptFrameBytesMin, keptFrameStepBytes, keptFramesBytesMax } = HUB_LIMITS;

/**
 * Memory for frames that no chunk holds whole. Large ones are used again: left to the garbage collector, which sees
 * an object of a few bytes in each, they came to 200 MB beside 300 MB in use (bench/hub.ts large).
 */
export class FrameBuffers {
  /** Free ones, by their length. */
  readonly #kept = new Map<number, Buffer[]>();
  #keptBytes = 0;

  /** @param keptBytesMax 0 for those whose frames stay in use when they are done with them */
  constructor(
    readonly memory: MemoryBudget,
    private readonly keptBytesMax: number = keptFramesBytesMax,
  ) {}

  /** Room for a frame of that size, and what keeps it in memory: with the last holder it comes back. */
  take(bytes: number): { readonly buffer: Buffer; readonly backing: Backing } {
    if (bytes < keptFrameBytesMin) {
      return { buffer: Buffer.allocUnsafeSlow(bytes), backing: new Backing(bytes, this.memory) };
    }
    const length = Math.ceil(bytes / keptFrameStepBytes) * keptFrameStepBytes;
    const kept = this.#kept.get(length)?.pop();
    if (kept !== undefined) this.#keptBytes -= length;
    const whole = kept ?? Buffer.allocUnsafeSlow(length);
    return {
      buffer: whole.subarray(0, bytes),
      backing: new Backing(length, this.memory, () => this.#giveBack(whole)),
    };
  }

  #giveBack(whole: Buffer): void {
    if (this.#keptBytes + whole.length > this.keptBytesMax) return;
    this.#keptBytes += whole.length;
    const same = this.#kept.get(whole.length);
    if (same === undefined) this.#kept.set(whole.length, [whole]);
    else same.push(whole);
  }
}
