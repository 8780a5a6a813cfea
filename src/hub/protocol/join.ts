import { HUB_LIMITS } from "./limits.js";
import { Backing, type MemoryBudget } from "./memory.js";
import { Piece } from "./piece.js";

const { joinBytes, joinBuffersKept } = HUB_LIMITS;

/** Copies the bytes of `pieces[from..to)` into `target`, which is large enough. */
function copyPieces(pieces: readonly Piece[], from: number, to: number, target: Buffer): void {
  let at = 0;
  for (let index = from; index < to; index += 1) {
    const { bytes, size } = pieces[index]!;
    target.set(bytes, at);
    at += size;
  }
}

/** `pieces[from..to)` as one piece with memory of its own; they have no receipts. The caller lets go of them. */
export function joinedPiece(pieces: readonly Piece[], from: number, to: number, memory: MemoryBudget): Piece {
  let size = 0;
  let frames = 0;
  for (let index = from; index < to; index += 1) {
    size += pieces[index]!.size;
    frames += pieces[index]!.frames;
  }
  const bytes = Buffer.allocUnsafeSlow(size);
  copyPieces(pieces, from, to, bytes);
  return new Piece(bytes, frames, new Backing(size, memory));
}

/**
 * Buffers into which small pieces are copied for one write. A write that the kernel takes at once, which is the
 * rule, gives its buffer back before the next receiver is flushed: the same memory, still in the cache.
 */
export class JoinBuffers {
  readonly #kept: Buffer[] = [];

  constructor(private readonly memory: MemoryBudget) {}

  /** A buffer that begins with the bytes of `pieces[from..to)`, `size` of them. */
  join(pieces: readonly Piece[], from: number, to: number, size: number): Buffer {
    const large = size > joinBytes / 4 && size <= joinBytes;
    const buffer = (large ? this.#kept.pop() : undefined) ?? Buffer.allocUnsafeSlow(large ? joinBytes : size);
    this.memory.add(buffer.length);
    copyPieces(pieces, from, to, buffer);
    return buffer;
  }

  giveBack(buffer: Buffer): void {
    this.memory.remove(buffer.length);
    if (buffer.length === joinBytes && this.#kept.length < joinBuffersKept) this.#kept.push(buffer);
  }
}
