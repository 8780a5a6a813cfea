import { type JoinBuffers, joinedPiece } from "./join.js";
import { HUB_LIMITS } from "./limits.js";
import type { MemoryBudget } from "./memory.js";
import type { Piece } from "./piece.js";

const { pieceBytes, joinBelowBytes, joinPieces, joinBytes, vectorsMax, batchBytesMin, batchBytesMax } =
  HUB_LIMITS;

/**
 * What waits for one receiver. `push` queues; `take` hands the oldest bytes over as one batch for one write;
 * `settle` says that the kernel has taken that batch. One batch at a time.
 *
 * bench/hub.ts: a push is some 10 ns, so that a delivery of 128 bytes costs its share of the batch's write.
 */
export class Outbox {
  /** Bytes queued or in flight. */
  bytes = 0;
  /** Pieces queued or in flight. */
  pieces = 0;
  bytesOut = 0;
  framesOut = 0;
  /** When bytes last left, or were handed over, or when the first came into the empty queue; epoch ms. */
  progressAtMs = 0;

  #queue: Piece[] = [];
  #head = 0;
  /** Bytes of the head that are gone already. */
  #headTaken = 0;
  /** Small pieces at the end of the queue, in a row. */
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

  /** Of the batch that was handed over and is not settled. */
  get flightBytes(): number {
    return this.#flightBytes;
  }

  get inFlight(): boolean {
    return this.#flightBytes > 0;
  }

  /** For how long the receiver took nothing. What the hub has not handed over yet is no fault of the receiver. */
  stillMs(nowMs: number): number {
    return this.#flightBytes > 0 ? nowMs - this.progressAtMs : 0;
  }

  /** The caller has counted the piece's backing and `pieceBytes`, for all its receivers in one go. */
  push(piece: Piece, nowMs: number): void {
    if (this.bytes === 0) this.progressAtMs = nowMs;
    this.bytes += piece.size;
    this.pieces += 1;
    this.#queue.push(piece);
    if (piece.size >= joinBelowBytes || piece.receipt !== undefined) this.#smallTail = 0;
    else if (++this.#smallTail === joinPieces) this.#joinTail();
  }

  /** The next batch, as vectors for one write; empty when there is nothing, or one is in flight. */
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

  /** The kernel has taken the batch; `atOnce`: within the write. */
  settle(nowMs: number, atOnce: boolean): void {
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

  /** The connection is gone: lets go of everything and tells those who wanted a receipt. */
  drop(): void {
    const left = this.#flight.concat(this.#queue.slice(this.#head));
    this.#endFlight();
    this.memory.remove(this.#queue.length === 0 ? 0 : (this.#queue.length - this.#head) * pieceBytes);
    this.#queue = [];
    this.#head = 0;
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

  /** Index behind the small pieces in a row from `at` on that go into one join. */
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

  /** Puts small pieces into the batch as one vector; returns their bytes. */
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

  /** Many small pieces wait: one copy of them is cheaper to hold, and a flush would make it anyway. */
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
