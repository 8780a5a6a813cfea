import type { Stream } from "@libp2p/interface";
import { LIMITS } from "../../../core/limits.js";
import { FRAME_HEADER_BYTES, FrameReader, FrameTooLarge, frameHeader } from "./frames.js";

/** Small pieces are joined up to this size: one encryption and one write for many frames. */
const JOIN_BYTES_MAX = 65_536;

interface FrameListener {
  frame(frame: Uint8Array): void;
  /** Called once; `reason` is for people. @param breach the other side sent what no honest peer sends */
  ended(reason: string, breach: boolean): void;
}

/** Frames in both directions on one libp2p stream, in order, within limits. */
export class FrameStream {
  readonly #stream: Stream;
  readonly #listener: FrameListener;
  readonly #reader = new FrameReader(LIMITS.peerFrameBytesMax);
  #pieces: Uint8Array[] = [];
  #piecesBytes = 0;
  #flushScheduled = false;
  #ended = false;
  #drained: (() => void) | undefined;

  constructor(stream: Stream, listener: FrameListener) {
    this.#stream = stream;
    this.#listener = listener;
    stream.addEventListener("drain", () => this.#flush());
    stream.addEventListener("idle", () => this.#notifyDrained());
    stream.addEventListener("remoteCloseWrite", () => this.#end("it closed the connection"));
    stream.addEventListener("close", ({ error }) => this.#end(error ? describe(error) : "connection closed"));
    stream.addEventListener("message", ({ data }) => this.#received(data));
  }

  /** Bytes that wait on this side; what the kernel has taken does not count. */
  get queuedBytes(): number {
    return this.#piecesBytes + this.#stream.writeBufferLength;
  }

  /** The other side has begun a frame and not finished it. */
  get isMidFrame(): boolean {
    return this.#reader.isMidFrame;
  }

  /** Frames sent in one turn leave together. Past peerQueueBytesMax the stream ends. @returns bytes that wait */
  send(frame: Uint8Array): number {
    if (frame.length > LIMITS.peerFrameBytesMax) {
      throw new RangeError(`a frame of ${frame.length} bytes exceeds peerFrameBytesMax`);
    }
    if (this.#ended) return 0;
    this.#pieces.push(frameHeader(frame.length), frame);
    this.#piecesBytes += FRAME_HEADER_BYTES + frame.length;
    const queuedBytes = this.queuedBytes;
    if (queuedBytes > LIMITS.peerQueueBytesMax) {
      this.#end(
        `it reads too slowly: more than peerQueueBytesMax (${LIMITS.peerQueueBytesMax}) waited for it`,
      );
      return 0;
    }
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => this.#flush());
    }
    return queuedBytes;
  }

  /** Resolves when all frames have left this side, or the stream has ended; then says that no more will come. */
  async finish(): Promise<void> {
    while (!this.#ended && this.queuedBytes > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#drained = resolve;
      await promise;
    }
    if (!this.#ended) await this.#stream.close().catch(() => {});
  }

  abort(reason: string): void {
    this.#ended = true;
    this.#drop();
    this.#stream.abort(new Error(reason));
  }

  #received(chunk: Uint8Array | Iterable<Uint8Array>): void {
    try {
      for (const bytes of chunk instanceof Uint8Array ? [chunk] : chunk) {
        this.#reader.push(bytes, (frame) => {
          if (!this.#ended) this.#listener.frame(frame);
        });
      }
    } catch (error) {
      this.#end(describe(error), error instanceof FrameTooLarge);
    }
  }

  #flush(): void {
    this.#flushScheduled = false;
    try {
      while (!this.#ended && this.#pieces.length > 0 && !this.#stream.writableNeedsDrain) {
        this.#stream.send(this.#take());
      }
    } catch (error) {
      this.#end(describe(error));
    }
    if (this.queuedBytes === 0) this.#notifyDrained();
  }

  /** The next piece, or as many small ones as fit into one. */
  #take(): Uint8Array {
    let count = 0;
    let bytes = 0;
    while (count < this.#pieces.length && bytes + this.#pieces[count]!.length <= JOIN_BYTES_MAX) {
      bytes += this.#pieces[count++]!.length;
    }
    const taken = this.#pieces.splice(0, Math.max(1, count));
    const joined = taken.length === 1 ? taken[0]! : Buffer.concat(taken, bytes);
    this.#piecesBytes -= joined.length;
    return joined;
  }

  #end(reason: string, breach = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop();
    // In a turn of its own: gossip that came right before the end is still being read.
    setImmediate(() => this.#listener.ended(reason, breach));
  }

  #drop(): void {
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#notifyDrained();
  }

  #notifyDrained(): void {
    this.#drained?.();
    this.#drained = undefined;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "StreamResetError") return "it reset the connection";
  return error.message === "" ? error.name : error.message;
}
