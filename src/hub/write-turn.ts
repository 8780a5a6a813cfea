import { HUB_LIMITS } from "./protocol/limits.js";

/** Something that has bytes to write. */
interface Writer {
  /** Its turn has come. */
  goOn(): void;
}

/**
 * What may be written in one turn of the event loop. The kernel takes some MiB for each receiver, and there may be
 * hundreds that have room at the same time: without a bound, nothing is read and no timer fires for half a second.
 */
export class WriteTurn {
  #bytesLeft: number = HUB_LIMITS.turnWriteBytesMax;
  #waiting: Writer[] = [];

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether that writer may write now; if not, it goes on in a later turn, behind those that wait already. */
  admits(writer: Writer): boolean {
    if (this.#bytesLeft > 0) return true;
    this.#waiting.push(writer);
    return false;
  }

  wrote(bytes: number): void {
    this.#bytesLeft -= bytes;
  }

  /** A new turn begins: those who wait go on, in their order. */
  begin(): void {
    this.#bytesLeft = HUB_LIMITS.turnWriteBytesMax;
    const waiting = this.#waiting;
    this.#waiting = [];
    let reached = 0;
    while (reached < waiting.length && this.#bytesLeft > 0) waiting[reached++]!.goOn();
    // Whoever has more than a turn's share goes behind those that were not reached.
    this.#waiting = [...waiting.slice(reached), ...this.#waiting];
  }
}
