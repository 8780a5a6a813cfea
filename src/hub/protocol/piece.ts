import type { Backing } from "./memory.js";
import type { Receipt } from "./receipt.js";

/** Bytes ready for the wire: one frame or several, shared by all outboxes that queue them. */
export class Piece {
  readonly size: number;

  constructor(
    readonly bytes: Buffer,
    /** Whole frames in it, for the statistics. */
    readonly frames: number,
    readonly backing: Backing,
    /** Whom to tell what became of it; only pieces of one frame have one. */
    readonly receipt?: Receipt,
  ) {
    this.size = bytes.length;
  }
}
