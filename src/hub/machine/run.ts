import { FRAME, V1_HEADER, V2_HEADER, writeId } from "./frames.js";
import { Backing, type MemoryBudget } from "./memory.js";
import { Piece, type Receipt } from "./outbox.js";

/** Copying costs about 1 ns for 8 bytes, a vector of its own about 250 ns for each receiver. */
const JOIN_BYTES_PER_VECTOR = 2_000;

const NO_BACKING = undefined as unknown as Backing;

/**
 * Consecutive messages of one sender to the same receivers, in one buffer: resolved once, and one piece for all
 * receivers. A single message is not copied: its new header overwrites the last bytes in front of its payload
 * (docs/protocol-hub.md says why there is room). Several small ones are moved together.
 */
export class Run {
  /** The type of the frames for receivers of version 2. */
  v2Type: number = FRAME.namedRelay;
  receipt: Receipt | undefined;
  #buffer: Buffer = Buffer.alloc(0);
  #backing: Backing = NO_BACKING;
  #bounds: number[] = [];
  #bodyBytes = 0;

  constructor(
    private readonly sender: number,
    private readonly memory: MemoryBudget,
  ) {}

  get count(): number {
    return this.#bounds.length / 2;
  }

  isIn(buffer: Buffer): boolean {
    return this.#buffer === buffer;
  }

  /** Begins with the first message. The buffer stays in memory until `end`. */
  begin(buffer: Buffer, backing: Backing, v2Type: number): void {
    backing.hold(1);
    this.#buffer = buffer;
    this.#backing = backing;
    this.v2Type = v2Type;
  }

  add(bodyStart: number, bodyEnd: number): void {
    this.#bounds.push(bodyStart, bodyEnd);
    this.#bodyBytes += bodyEnd - bodyStart;
  }

  /** The run as pieces for receivers of version 1. @param keepsBytes `v2` still needs the buffer */
  v1(receivers: number, keepsBytes: boolean): Piece[] {
    return this.#pieces(V1_HEADER, FRAME.relay, receivers, keepsBytes);
  }

  /** The run as pieces that name the sender. Overwrites the buffer: only after `v1`. */
  v2(receivers: number): Piece[] {
    return this.#pieces(V2_HEADER, this.v2Type, receivers, false);
  }

  end(): void {
    if (this.#bounds.length > 0) this.#backing.release();
    this.#bounds = [];
    this.#bodyBytes = 0;
    this.#buffer = Buffer.alloc(0);
    this.#backing = NO_BACKING;
    this.receipt = undefined;
  }

  #pieces(header: number, type: number, receivers: number, copy: boolean): Piece[] {
    const { count } = this;
    const size = this.#bodyBytes + count * header;
    const join = copy || (count > 1 && size < (count - 1) * receivers * JOIN_BYTES_PER_VECTOR);
    if (!join) return this.#separate(header, type);
    // A slice would keep a buffer in memory that is mostly receiver lists.
    if (copy || 2 * size < this.#buffer.length) return [this.#joinedCopy(header, type, size)];
    return [this.#movedTogether(header, type, size)];
  }

  #separate(header: number, type: number): Piece[] {
    const pieces: Piece[] = [];
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const end = this.#bounds[index + 1]!;
      const start = this.#bounds[index]! - header;
      this.#writeHeader(this.#buffer, start, end - start, type);
      this.#backing.hold(1);
      pieces.push(new Piece(this.#buffer.subarray(start, end), 1, this.#backing, this.receipt));
    }
    return pieces;
  }

  #joinedCopy(header: number, type: number, size: number): Piece {
    const target = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const start = this.#bounds[index]!;
      const end = this.#bounds[index + 1]!;
      this.#writeHeader(target, at, end - start + header, type);
      this.#buffer.copy(target, at + header, start, end);
      at += end - start + header;
    }
    return new Piece(target, this.count, new Backing(size, this.memory), this.receipt);
  }

  #movedTogether(header: number, type: number, size: number): Piece {
    const buffer = this.#buffer;
    const first = this.#bounds[0]! - header;
    let at = first;
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const start = this.#bounds[index]!;
      const end = this.#bounds[index + 1]!;
      if (index > 0) buffer.copyWithin(at + header, start, end);
      this.#writeHeader(buffer, at, end - start + header, type);
      at += end - start + header;
    }
    this.#backing.hold(1);
    return new Piece(buffer.subarray(first, first + size), this.count, this.#backing, this.receipt);
  }

  #writeHeader(target: Buffer, at: number, size: number, type: number): void {
    target.writeUInt32BE(size - 4, at);
    target[at + 4] = type;
    if (type !== FRAME.relay) writeId(target, this.sender, at + 5);
  }
}
