import { LIMITS } from "../../../core/limits.js";

/** A frame is cut into pieces of this size, each a message: small enough for any server, and for its buffers. */
const PIECE_BYTES = 65_536;
/** What a piece costs besides its bytes. */
const PIECE_OVERHEAD = 64;
/** The other side hears what was taken after so many bytes, */
const CREDIT_BYTES = LIMITS.natsWindowBytes / 4;
/** ... or so long after the last piece. */
const CREDIT_DELAY_MS = 10;

interface Piece {
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** Frames to one peer: sent as far as the peer has taken what was sent before, the rest waits here. */
export class FrameSender {
  readonly #waiting: Piece[] = [];
  /** Cost of those on their way, from the number behind `#taken` on. */
  readonly #sent: number[] = [];
  #taken = 0;
  #next = 1;
  #sentBytes = 0;
  #queuedBytes = 0;
  #drained: (() => void) | undefined;

  constructor(private readonly send: (piece: Piece & { readonly number: number }) => void) {}

  /** Bytes that the peer has not taken. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  add(frame: Uint8Array): void {
    let start = 0;
    do {
      const bytes = frame.subarray(start, start + PIECE_BYTES);
      start += PIECE_BYTES;
      this.#waiting.push({ bytes, isLast: start >= frame.length });
      this.#queuedBytes += bytes.length + PIECE_OVERHEAD;
    } while (start < frame.length);
    this.#pump();
  }

  /** The peer has taken so many pieces. @returns false when it never got as many */
  credit(taken: number): boolean {
    if (taken >= this.#next) return false;
    for (; this.#taken < taken; this.#taken++) {
      const cost = this.#sent.shift()!;
      this.#sentBytes -= cost;
      this.#queuedBytes -= cost;
    }
    this.#pump();
    if (this.#queuedBytes === 0) this.#drained?.();
    return true;
  }

  /** Resolves when the peer has taken everything. */
  async drained(): Promise<void> {
    if (this.#queuedBytes > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  /** Nobody waits for it any more. */
  close(): void {
    this.#drained?.();
  }

  #pump(): void {
    let index = 0;
    for (; index < this.#waiting.length && this.#sentBytes < LIMITS.natsWindowBytes; index++) {
      const piece = this.#waiting[index]!;
      const cost = piece.bytes.length + PIECE_OVERHEAD;
      this.#sent.push(cost);
      this.#sentBytes += cost;
      this.send({ ...piece, number: this.#next++ });
    }
    this.#waiting.splice(0, index);
  }
}

/** Frames from one peer, put together; tells the peer how far it got. */
export class FrameReceiver {
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #taken = 0;
  #uncredited = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly frame: (frame: Uint8Array) => void,
    private readonly credit: (taken: number) => void,
  ) {}

  /** @returns why nothing more can come this way, if so */
  take({ number, bytes, isLast }: Piece & { readonly number: number }): string | undefined {
    if (number !== this.#taken + 1) return "frames were lost on their way";
    this.#taken = number;
    this.#bytes += bytes.length;
    if (this.#bytes > LIMITS.peerFrameBytesMax) return "a frame is too long";
    // The bytes belong to the buffer of the connection, which goes on.
    this.#pieces.push(Uint8Array.from(bytes));
    if (isLast) {
      const [only] = this.#pieces;
      this.frame(this.#pieces.length === 1 ? only! : Buffer.concat(this.#pieces));
      this.#pieces = [];
      this.#bytes = 0;
    }
    this.#uncredited += bytes.length + PIECE_OVERHEAD;
    if (this.#uncredited >= CREDIT_BYTES) this.#credit();
    else this.#timer ??= setTimeout(() => this.#credit(), CREDIT_DELAY_MS);
    return undefined;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #credit(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#uncredited = 0;
    this.credit(this.#taken);
  }
}
