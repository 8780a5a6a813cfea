import type { Stream } from "@libp2p/interface";
import { LIMITS } from "../../../core/limits.js";

/** Bytes in front of a frame: its length, u32 big-endian. */
const FRAME_HEADER_BYTES = 4;
/** Small pieces are joined up to this size: one encryption and one write for many frames. */
const JOIN_BYTES_MAX = 65_536;
/**
 * Time in one turn of the event loop for the frames of all links: a third of what the turns since the last frames took,
 * within these bounds.
 */
const TURN_MS_MIN = 4;
const TURN_MS_MAX = 16;
/** Of that, the time for the frames of one link, before other links have theirs. */
const SLICE_MS_MAX = 2;
/**
 * A turn that used up its time is followed by so many turns without frames, since an HTTP request is answered over several
 * turns. Where turns are long, one is enough.
 */
const TURNS_BETWEEN = 3;
/** While more bytes wait for their turn, or because the link is held up, the stream is not read. */
const BACKLOG_BYTES_MAX = 1_048_576;
/** A waiting piece takes so much besides its bytes: millions of small frames would take ten times what they are. */
const PIECE_BYTES = 225;
/** So many bytes of a frame that is not whole yet are a sign of life: over a slow link 1 MB takes longer than silence may. */
const PROGRESS_BYTES = 16_384;
/** An empty frame says that it is the last one. */
const LAST = frameHeader(0);

export interface FrameStreamListener {
  frame(frame: Uint8Array): void;
  /** As `queued` of the port. */
  queued(isLong: boolean): void;
  /** As `progressed` of the port. */
  progressed(): void;
  /** Called once, unless this side ended it; `reason` is for people. */
  ended(reason: string): void;
}

/**
 * Shares each turn of the event loop among links, by the time that their frames take. One turn reads many times from each
 * socket, and from all sockets: what each read brings would be delivered at once, however long that takes.
 */
export class DeliveryTurns {
  /** Streams that wait to deliver, longest first. */
  readonly #waiting = new Set<FrameStream>();
  /** When the time of this turn is used up; 0 before its first delivery. */
  #endMs = 0;
  /** Turns without frames that are still to come. */
  #yields = 0;
  /** When frames last used up their time; 0 when none waits since. */
  #leftAtMs = 0;
  #isPosted = false;

  /** @param post runs a call by itself, behind those posted before */
  constructor(readonly post: (call: () => void) => void) {}

  /** The stream delivers in this turn where there is time left, else in a later one. */
  add(stream: FrameStream): void {
    this.#waiting.add(stream);
    this.#plan();
  }

  #plan(): void {
    if (this.#isPosted) return;
    this.#isPosted = true;
    this.post(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#isPosted = false;
    let nowMs = performance.now();
    if (this.#endMs === 0) {
      const othersMs = this.#leftAtMs === 0 ? 0 : nowMs - this.#leftAtMs;
      this.#endMs = nowMs + Math.min(TURN_MS_MAX, Math.max(TURN_MS_MIN, othersMs / TURNS_BETWEEN));
      setImmediate(this.#next);
    } else if (nowMs >= this.#endMs) return;
    for (const stream of this.#waiting) {
      if (nowMs >= this.#endMs) break;
      this.#waiting.delete(stream);
      stream.deliver(Math.min(nowMs + SLICE_MS_MAX, this.#endMs));
      nowMs = performance.now();
    }
    if (nowMs < this.#endMs) return;
    this.#yields = TURNS_BETWEEN;
    this.#leftAtMs = nowMs;
  };

  readonly #next = (): void => {
    const isShort = performance.now() - this.#leftAtMs < TURNS_BETWEEN * TURN_MS_MIN;
    if (this.#yields-- > 0 && isShort) {
      setImmediate(this.#next);
      return;
    }
    this.#yields = 0;
    this.#endMs = 0;
    if (this.#waiting.size > 0) this.#plan();
    else this.#leftAtMs = 0;
  };
}

/** Frames in both directions on one libp2p stream, in order, within limits. */
export class FrameStream {
  readonly #stream: Stream;
  readonly #turns: DeliveryTurns;
  readonly #listener: FrameStreamListener;
  readonly #reader = new FrameReader(LIMITS.peerFrameBytesMax);
  /** Read and not delivered: those from `#delivered` on. */
  #inbox: Uint8Array[] = [];
  #delivered = 0;
  #inboxBytes = 0;
  /** Read since the last whole frame, or since `progressed` was told. */
  #unfinishedBytes = 0;
  #isHeldUp = false;
  /** Why the stream is over; the listener is told behind what was read. */
  #endReason: string | undefined;
  #pieces: Uint8Array[] = [];
  #piecesBytes = 0;
  #isLong = false;
  #flushScheduled = false;
  #ended = false;
  /** The last frame of the peer was read, which this side waits for. */
  #finished: (() => void) | undefined;

  /** The listener is called by `turns`, or through its `post`. */
  constructor(stream: Stream, turns: DeliveryTurns, listener: FrameStreamListener) {
    this.#stream = stream;
    this.#turns = turns;
    this.#listener = listener;
    stream.addEventListener("drain", () => this.#flush());
    stream.addEventListener("close", ({ error }) =>
      this.#end(error ? describe(error) : "it closed the connection"),
    );
    stream.addEventListener("message", ({ data }) => this.#received(data));
    if (stream.status === "open") queueMicrotask(() => this.#pace());
    else this.#end("it closed the connection");
  }

  /** Frames sent in one turn leave together. Past peerQueueBytesMax the stream ends. */
  send(frame: Uint8Array): void {
    if (this.#ended) return;
    if (frame.length === 0 || frame.length > LIMITS.peerFrameBytesMax) {
      throw new RangeError(`a frame has 1 to peerFrameBytesMax bytes, not ${frame.length}`);
    }
    this.#pieces.push(frameHeader(frame.length), frame);
    this.#piecesBytes += FRAME_HEADER_BYTES + frame.length;
    const { peerQueueBytesMax } = LIMITS;
    if (this.#queuedBytes > peerQueueBytesMax) {
      this.#end(`it reads too slowly: more than peerQueueBytesMax (${peerQueueBytesMax}) waited for it`);
      return;
    }
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => this.#flush());
    }
  }

  /** No frame is delivered while it is held up; up to BACKLOG_BYTES_MAX wait here. */
  holdUp(isHeldUp: boolean): void {
    if (isHeldUp === this.#isHeldUp || this.#ended) return;
    this.#isHeldUp = isHeldUp;
    if (!isHeldUp) this.#turns.add(this);
  }

  /**
   * Delivers nothing more, and says behind the frames sent before that no more will come. Resolves when both sides have
   * said so, or the stream is over: then each has read all that it will read.
   */
  async finish(): Promise<void> {
    this.#ended = true;
    this.#inbox = [];
    if (this.#stream.status !== "open") return;
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    this.#finished = finish;
    this.#stream.addEventListener("close", () => finish(), { once: true });
    this.#pieces.push(LAST);
    this.#piecesBytes += LAST.length;
    this.#resume();
    this.#flush();
    await finished;
  }

  /** Bytes that wait on this side; what the kernel has taken does not count. */
  get #queuedBytes(): number {
    return this.#piecesBytes + this.#pieces.length * PIECE_BYTES + this.#stream.writeBufferLength;
  }

  #received(chunk: Uint8Array | Iterable<Uint8Array>): void {
    if (this.#ended && !this.#finished) return;
    try {
      for (const bytes of chunk instanceof Uint8Array ? [chunk] : chunk) {
        this.#unfinishedBytes += bytes.length;
        this.#reader.push(bytes, (frame) => this.#read(frame));
      }
    } catch (error) {
      this.#end(describe(error));
    }
    if (this.#unfinishedBytes >= PROGRESS_BYTES && !this.#ended) {
      this.#unfinishedBytes = 0;
      this.#turns.post(() => this.#listener.progressed());
    }
    // Later: libp2p calls this from inside of resume(), and would go on to read though it is paused here.
    if (this.#inboxBytes > BACKLOG_BYTES_MAX) this.#turns.post(() => this.#pace());
    this.#turns.add(this);
  }

  #read(frame: Uint8Array): void {
    this.#unfinishedBytes = 0;
    if (frame.length === 0) this.#end("it closed the connection");
    else if (!this.#ended) {
      this.#inbox.push(frame);
      this.#inboxBytes += frame.length;
    }
  }

  /** Delivers what was read, one frame at least: the rest has its turn when others had theirs. */
  deliver(endMs: number): void {
    try {
      while (!this.#isHeldUp && this.#delivered < this.#inbox.length) {
        const frame = this.#inbox[this.#delivered++]!;
        this.#inboxBytes -= frame.length;
        this.#listener.frame(frame);
        if (performance.now() >= endMs) break;
      }
    } finally {
      this.#sliceOver();
    }
  }

  #sliceOver(): void {
    const isBehind = this.#delivered < this.#inbox.length && !this.#isHeldUp;
    if (this.#endReason !== undefined && !isBehind) {
      this.#inbox = [];
      this.#listener.ended(this.#endReason);
      return;
    }
    // Half of it at least, so that each frame is moved once on average.
    if (2 * this.#delivered >= this.#inbox.length) {
      this.#inbox = this.#inbox.slice(this.#delivered);
      this.#delivered = 0;
    }
    this.#pace();
    if (isBehind) this.#turns.add(this);
  }

  /** Lets the peer send, or not. */
  #pace(): void {
    if (this.#ended) return;
    if (this.#inboxBytes <= BACKLOG_BYTES_MAX) this.#resume();
    else if (this.#stream.readStatus === "readable") this.#stream.pause();
  }

  #resume(): void {
    if (this.#stream.readStatus !== "paused") return;
    try {
      this.#stream.resume();
    } catch {
      // The stream has delivered everything, and its peer is gone.
    }
  }

  #flush(): void {
    this.#flushScheduled = false;
    try {
      while (this.#pieces.length > 0 && !this.#stream.writableNeedsDrain && this.#stream.status === "open") {
        this.#stream.send(this.#take());
      }
    } catch (error) {
      this.#end(describe(error));
    }
    const { linkQueueBytesLong } = LIMITS;
    if (this.#isLong ? this.#queuedBytes < linkQueueBytesLong / 4 : this.#queuedBytes > linkQueueBytesLong) {
      const isLong = !this.#isLong;
      this.#isLong = isLong;
      if (!this.#ended) this.#turns.post(() => this.#listener.queued(isLong));
    }
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

  #end(reason: string): void {
    this.#finished?.();
    if (this.#ended) return;
    this.#ended = true;
    this.#endReason = reason;
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#turns.add(this);
  }
}

/** The header of a frame of that many bytes. */
export function frameHeader(frameBytes: number): Uint8Array {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  header.writeUInt32BE(frameBytes);
  return header;
}

/** A length that no honest peer sends. */
export class FrameTooLarge extends Error {
  constructor(
    readonly frameBytes: number,
    readonly frameBytesMax: number,
  ) {
    super(`a frame of ${frameBytes} bytes exceeds peerFrameBytesMax (${frameBytesMax})`);
  }
}

/** Splits a byte stream into frames: u32 length (big-endian), then that many bytes. */
export class FrameReader {
  readonly #frameBytesMax: number;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #frame: Uint8Array | undefined;
  #frameFilled = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Takes the next bytes of the stream, any number of them. A frame that lies whole in the chunk is a view of
   * it; one that was cut is copied once, into a buffer of its size.
   * @param deliver called with each frame that became complete, oldest first
   * @throws FrameTooLarge when a length exceeds frameBytesMax (nothing is buffered for it)
   */
  push(chunk: Uint8Array, deliver: (frame: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame) {
        at += this.#fill(this.#frame, chunk, at);
        if (this.#frameFilled < this.#frame.length) return;
        const frame = this.#frame;
        this.#frame = undefined;
        deliver(frame);
        continue;
      }
      this.#header[this.#headerFilled++] = chunk[at++]!;
      if (this.#headerFilled < FRAME_HEADER_BYTES) continue;
      this.#headerFilled = 0;
      const frameBytes = new DataView(this.#header.buffer).getUint32(0);
      if (frameBytes > this.#frameBytesMax) throw new FrameTooLarge(frameBytes, this.#frameBytesMax);
      if (frameBytes <= chunk.length - at) {
        deliver(chunk.subarray(at, at + frameBytes));
        at += frameBytes;
      } else {
        this.#frame = new Uint8Array(frameBytes);
        this.#frameFilled = 0;
      }
    }
  }

  #fill(frame: Uint8Array, chunk: Uint8Array, at: number): number {
    const bytes = Math.min(frame.length - this.#frameFilled, chunk.length - at);
    frame.set(chunk.subarray(at, at + bytes), this.#frameFilled);
    this.#frameFilled += bytes;
    return bytes;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "StreamResetError") return "it reset the connection";
  return error.message === "" ? error.name : error.message;
}
