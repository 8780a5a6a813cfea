import { type Head, KIND, type Wire } from "./wire.js";

/** What a reader finds; bytes are valid during the call only. */
export interface FrameSink {
  /** A whole payload lies in the chunk. */
  payload(bytes: Buffer, from: number, to: number): void;
  /** A payload that lies in several chunks: begin, pieces, end. */
  payloadBegins(): void;
  payloadPiece(bytes: Buffer, from: number, to: number): void;
  payloadEnds(): void;
  /** Everything else, by its kind. */
  answer(kind: number, body: Buffer): void;
}

/** Splits what comes off one socket; payloads are never copied, so a large one costs no memory. */
export class FrameReader {
  readonly #head: Head = { kind: 0, headBytes: 0, bodyBytes: 0, tailBytes: 0 };
  /** The beginning of a head that was cut off. */
  readonly #cut: Buffer;
  #cutBytes = 0;
  /** Of the body, and of what stands behind it, what is still to come. */
  #bodyLeft = 0;
  #tailLeft = 0;
  #inBody = false;
  #answer: Buffer = Buffer.alloc(0);

  constructor(
    private readonly wire: Wire,
    private readonly sink: FrameSink,
  ) {
    this.#cut = Buffer.alloc(wire.headBytesMax);
  }

  /** @throws when the bytes are not of this protocol */
  feed(bytes: Buffer, end: number): void {
    const { wire, sink } = this;
    const head = this.#head;
    let at = 0;
    for (;;) {
      if (this.#inBody) at = this.#readBody(bytes, at, end);
      if (this.#tailLeft > 0) {
        const skipped = Math.min(this.#tailLeft, end - at);
        this.#tailLeft -= skipped;
        at += skipped;
      }
      if (at >= end) return;
      if (this.#cutBytes > 0) {
        at = this.#completeHead(bytes, at, end);
        if (this.#cutBytes > 0) return;
      } else if (wire.readHead(bytes, at, end, head)) at += head.headBytes;
      else {
        this.#cutBytes = bytes.copy(this.#cut, 0, at, end);
        return;
      }
      const bodyEnd = at + head.bodyBytes;
      if (head.kind === KIND.payload && bodyEnd + head.tailBytes <= end) {
        sink.payload(bytes, at, bodyEnd);
        at = bodyEnd + head.tailBytes;
      } else this.#beginBody();
    }
  }

  /** Adds to the cut head until it can be read. @returns where the body begins */
  #completeHead(bytes: Buffer, at: number, end: number): number {
    const had = this.#cutBytes;
    const filled = had + bytes.copy(this.#cut, had, at, end);
    if (!this.wire.readHead(this.#cut, 0, filled, this.#head)) {
      this.#cutBytes = filled;
      return end;
    }
    this.#cutBytes = 0;
    return at + this.#head.headBytes - had;
  }

  #beginBody(): void {
    const { kind, bodyBytes } = this.#head;
    this.#inBody = true;
    this.#bodyLeft = bodyBytes;
    if (kind === KIND.payload) this.sink.payloadBegins();
    else this.#answer = Buffer.allocUnsafe(bodyBytes);
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    const { kind, bodyBytes, tailBytes } = this.#head;
    const to = Math.min(end, at + this.#bodyLeft);
    if (kind === KIND.payload) this.sink.payloadPiece(bytes, at, to);
    else bytes.copy(this.#answer, bodyBytes - this.#bodyLeft, at, to);
    this.#bodyLeft -= to - at;
    if (this.#bodyLeft > 0) return to;
    this.#inBody = false;
    this.#tailLeft = tailBytes;
    if (kind === KIND.payload) this.sink.payloadEnds();
    else this.sink.answer(kind, this.#answer);
    return to;
  }
}
