import { free } from "../../core/buffers.js";
import { HUB_LIMITS } from "./limits.js";
import { Backing, type MemoryBudget } from "./memory.js";

const {
  pieceBytes,
  joinBelowBytes,
  joinPieces,
  joinBytes,
  joinBuffersKept,
  freedJoinBytesMin,
  vectorsMax,
  batchBytesMin,
  batchBytesMax,
} = HUB_LIMITS;

/**
 * The send queue of one receiver. `push` queues; `take` returns the oldest bytes as one batch for one write; `written`
 * confirms that the kernel has taken the batch. One batch at a time.
 * bench/hub.ts: a push costs some 10 ns; a delivery of 128 bytes costs its share of the batch's write.
 */
export class Outbox {
  /** Bytes queued or in flight. */
  bytes = 0;
  /** Pieces queued or in flight. */
  pieces = 0;
  bytesOut = 0;
  framesOut = 0;
  /** When bytes last left, were handed over, or came into the empty queue; epoch ms. */
  progressAtMs = 0;

  #queue: Piece[] = [];
  #head = 0;
  /** Bytes of the first piece that are already sent. */
  #headTaken = 0;
  /** The number of small pieces at the end of the queue. */
  #smallTail = 0;
  /** Pieces that end in the batch in flight, and the copies made for it. */
  #flight: Piece[] = [];
  #flightBytes = 0;
  #flightJoins: Buffer[] | undefined;
  #batchBytes: number = batchBytesMax;

  constructor(
    private readonly id: number,
    private readonly memory: MemoryBudget,
    private readonly joins: JoinBuffers,
  ) {}

  /** Bytes of the batch that is being written. */
  get flightBytes(): number {
    return this.#flightBytes;
  }

  get inFlight(): boolean {
    return this.#flightBytes > 0;
  }

  /**
   * How long the receiver took nothing. Only a batch that the kernel was given counts: what still waits in the hub is not the
   * receiver's fault.
   */
  stalledMs(nowMs: number): number {
    return this.#flightBytes > 0 ? nowMs - this.progressAtMs : 0;
  }

  /** The caller has counted the piece's backing and `pieceBytes`, once for all receivers. */
  push(piece: Piece, nowMs: number): void {
    if (this.bytes === 0) this.progressAtMs = nowMs;
    this.bytes += piece.size;
    this.pieces += 1;
    this.#queue.push(piece);
    if (piece.size >= joinBelowBytes || piece.receipt !== undefined) this.#smallTail = 0;
    else if (++this.#smallTail === joinPieces) this.#joinTail();
  }

  /** The next batch, as vectors for one write; empty when nothing is queued or a batch is in flight. */
  take(nowMs: number): Buffer[] {
    const vectors: Buffer[] = [];
    if (this.#flightBytes > 0) return vectors;
    this.progressAtMs = nowMs;
    const queue = this.#queue;
    const room = this.#batchBytes;
    let bytes = 0;
    let at = this.#head;
    while (at < queue.length && bytes < room && vectors.length < vectorsMax) {
      const piece = queue[at]!;
      if (piece.size < joinBelowBytes) {
        const end = this.#endOfSmall(at);
        bytes += this.#takeSmall(at, end, vectors);
        at = end;
        continue;
      }
      const left = piece.size - this.#headTaken;
      if (bytes + left > room && bytes > 0) break;
      if (left >= 2 * room) {
        vectors.push(piece.bytes.subarray(this.#headTaken, this.#headTaken + room));
        this.#headTaken += room;
        bytes = room;
        break;
      }
      vectors.push(this.#headTaken === 0 ? piece.bytes : piece.bytes.subarray(this.#headTaken));
      this.#headTaken = 0;
      bytes += left;
      at += 1;
    }
    this.#moveToFlight(at);
    this.#flightBytes = bytes;
    return vectors;
  }

  /** @param atOnce the kernel took the batch within the write */
  written(nowMs: number, atOnce: boolean): void {
    this.#batchBytes = atOnce ? Math.min(2 * this.#batchBytes, batchBytesMax) : batchBytesMin;
    this.progressAtMs = nowMs;
    this.bytes -= this.#flightBytes;
    this.bytesOut += this.#flightBytes;
    const flight = this.#flight;
    this.pieces -= flight.length;
    this.#endFlight();
    for (const piece of flight) {
      this.framesOut += piece.frames;
      piece.backing.release();
      piece.receipt?.delivered();
    }
  }

  /** The connection is closed, or the stream to another hub begins anew: releases everything and completes receipts. */
  drop(): void {
    const left = this.#flight.concat(this.#queue.slice(this.#head));
    this.#endFlight();
    this.memory.remove(this.#queue.length === 0 ? 0 : (this.#queue.length - this.#head) * pieceBytes);
    this.#queue = [];
    this.#head = 0;
    this.#headTaken = 0;
    this.#smallTail = 0;
    this.bytes = 0;
    this.pieces = 0;
    for (const piece of left) {
      piece.backing.release();
      piece.receipt?.lost(this.id);
    }
  }

  #moveToFlight(end: number): void {
    const queue = this.#queue;
    if (end < queue.length) {
      for (let index = this.#head; index < end; index += 1) this.#flight.push(queue[index]!);
      this.#head = end;
      if (end > 1024 && end > queue.length / 2) {
        this.#queue = queue.slice(end);
        this.#head = 0;
      }
      this.#smallTail = 0;
      return;
    }
    this.#flight = this.#head === 0 ? queue : queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    this.#smallTail = 0;
  }

  #endFlight(): void {
    this.memory.remove(this.#flight.length * pieceBytes);
    this.#flight = [];
    this.#flightBytes = 0;
    if (this.#flightJoins === undefined) return;
    for (const buffer of this.#flightJoins) this.joins.giveBack(buffer);
    this.#flightJoins = undefined;
  }

  /** The index behind the small pieces from `at` on that fit into one copy. */
  #endOfSmall(at: number): number {
    const queue = this.#queue;
    let bytes = queue[at]!.size;
    let end = at + 1;
    for (; end < queue.length; end += 1) {
      const { size } = queue[end]!;
      bytes += size;
      if (size >= joinBelowBytes || bytes > joinBytes) break;
    }
    return end;
  }

  /** Adds small pieces to the batch as one vector; returns their bytes. */
  #takeSmall(from: number, end: number, vectors: Buffer[]): number {
    const queue = this.#queue;
    if (end - from === 1) {
      vectors.push(queue[from]!.bytes);
      return queue[from]!.size;
    }
    let size = 0;
    for (let index = from; index < end; index += 1) size += queue[index]!.size;
    const buffer = this.joins.join(queue, from, end, size);
    this.#flightJoins ??= [];
    this.#flightJoins.push(buffer);
    vectors.push(buffer.length === size ? buffer : buffer.subarray(0, size));
    return size;
  }

  /** Joins small pieces that still wait: one copy costs less memory, and a flush would make it anyway. */
  #joinTail(): void {
    const queue = this.#queue;
    const from = queue.length - joinPieces;
    const joined = joinedPiece(queue, from, queue.length, this.memory);
    for (let index = from; index < queue.length; index += 1) queue[index]!.backing.release();
    queue.length = from;
    queue.push(joined);
    this.memory.remove((joinPieces - 1) * pieceBytes);
    this.pieces -= joinPieces - 1;
    this.#smallTail = 0;
  }
}

/** Bytes ready for the wire: one frame or several, shared by all outboxes that queue them. */
export class Piece {
  readonly size: number;

  constructor(
    readonly bytes: Buffer,
    /** The number of whole frames, for the statistics. */
    readonly frames: number,
    readonly backing: Backing,
    /** Absent unless the piece is a single frame. */
    readonly receipt?: Receipt,
  ) {
    this.size = bytes.length;
  }
}

/** The receipt of one message, completed as outboxes empty or are dropped. */
export class Receipt {
  reached = 0;
  readonly evicted: number[] = [];
  #pending = 0;
  #closed = false;

  constructor(
    /** The sender's own number of the message. */
    readonly number: number,
    readonly unknown: number[],
    private readonly complete: (receipt: Receipt) => void,
  ) {}

  expect(receivers: number): void {
    this.#pending += receivers;
  }

  /** All receivers are expected now; completes at once when none is left. */
  close(): void {
    this.#closed = true;
    this.#check();
  }

  /** The last byte of the message has left the hub for one receiver. */
  delivered(): void {
    this.reached += 1;
    this.#pending -= 1;
    this.#check();
  }

  /** The connection to that receiver ended first. */
  lost(id: number): void {
    this.evicted.push(id);
    this.#pending -= 1;
    this.#check();
  }

  /** Another hub has answered for its receivers, or is lost. Settles one `expect`. */
  answered(reached: number, unknown: readonly number[], evicted: readonly number[]): void {
    this.reached += reached;
    // Not as arguments of one call: a frame of another hub may name more than the stack has room for.
    for (const id of unknown) this.unknown.push(id);
    for (const id of evicted) this.evicted.push(id);
    this.#pending -= 1;
    this.#check();
  }

  #check(): void {
    if (this.#closed && this.#pending === 0) this.complete(this);
  }
}

function copyPieces(pieces: readonly Piece[], from: number, to: number, target: Buffer): void {
  let at = 0;
  for (let index = from; index < to; index += 1) {
    const { bytes, size } = pieces[index]!;
    target.set(bytes, at);
    at += size;
  }
}

/** `pieces[from..to)` as one piece with its own memory; they have no receipts. The caller releases them. */
function joinedPiece(pieces: readonly Piece[], from: number, to: number, memory: MemoryBudget): Piece {
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
 * Reused buffers into which small pieces are copied for one write. A write that the kernel takes at once, which is
 * the rule, returns its buffer before the next receiver is flushed: the same memory, still in the cache.
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
    else if (buffer.length >= freedJoinBytesMin) free(buffer);
  }
}
