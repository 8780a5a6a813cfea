import {
  type CloseReason,
  closeReasonOf,
  FRAME,
  helloFrame,
  namedRelayHead,
  pingFrame,
  plainRelayHead,
  readId,
  VERSION,
} from "../../machine/frames.js";
import { HUB_LIMITS } from "../../machine/limits.js";

/**
 * Kinds of frames: a payload to check, the answer to a question, a ping to answer, the reason for closing, or none of
 * these.
 */
export const KIND = { payload: 0, identity: 1, list: 2, ping: 3, goodbye: 4, other: 5 } as const;

/** The head in front of a body, filled in by `Wire.readHead`. */
export interface Head {
  kind: number;
  /** The id that the hub names as the sender of a payload; 0 when it names none. */
  sender: number;
  headBytes: number;
  bodyBytes: number;
  /** Behind the body. */
  tailBytes: number;
}

/**
 * A protocol of the load generator: the hub's two versions are below, the benchmark has protocols of other servers, so
 * that one program loads all.
 */
export interface Wire {
  /** Senders get their own messages too. */
  readonly echoes: boolean;
  /** The most bytes in front of a body. */
  readonly headBytesMax: number;
  /** The first frame of a client, which an identity answers. @param index of the client */
  hello(index: number, token?: string): Buffer;
  /** A question that an identity answers, behind everything delivered before. */
  readonly fence: Buffer;
  /** Asks for the ids of all others; absent where the protocol has no such question. */
  readonly list?: Buffer;
  /** The answer to a ping. @param body of the ping */
  pong?(body: Buffer): Buffer;
  /** The bytes in front of a payload for these receivers, one head for each frame that is needed. */
  messageHeads(receivers: readonly number[], payloadBytes: number): readonly Buffer[];
  /** The bytes behind a payload. */
  readonly messageTail: Buffer;
  /** Reads the head at `at`. @returns false when more bytes are needed. @throws when it is not this protocol */
  readHead(bytes: Buffer, at: number, end: number, into: Head): boolean;
  /** Own id, in the body of the first identity; absent where a client has none. */
  readId?(body: Buffer): number;
  /** The reason in the body of a goodbye. */
  readReason?(body: Buffer): CloseReason | undefined;
  readList?(body: Buffer): number[];
}

/** Receives frames; bytes are valid during the call only. */
export interface FrameSink {
  /** A payload that lies whole in the chunk. @param sender as in the head */
  payload(bytes: Buffer, from: number, to: number, sender: number): void;
  /** A payload that spans chunks: begin, pieces, end. */
  payloadBegins(sender: number): void;
  payloadPiece(bytes: Buffer, from: number, to: number): void;
  payloadEnds(): void;
  /** Any other frame, by its kind. */
  answer(kind: number, body: Buffer): void;
}

/** Splits the bytes of one socket into frames without copying payloads. */
export class FrameReader {
  readonly #head: Head = { kind: 0, sender: 0, headBytes: 0, bodyBytes: 0, tailBytes: 0 };
  /** The beginning of a head that a chunk cut. */
  readonly #cut: Buffer;
  #cutBytes = 0;
  /** The bytes missing of the body, and of the tail behind it. */
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
        sink.payload(bytes, at, bodyEnd, head.sender);
        at = bodyEnd + head.tailBytes;
      } else this.#beginBody();
    }
  }

  /** Completes a cut head. @returns where the body begins */
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
    const { kind, sender, bodyBytes } = this.#head;
    this.#inBody = true;
    this.#bodyLeft = bodyBytes;
    if (kind === KIND.payload) this.sink.payloadBegins(sender);
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

const { answerBytesMax, receiversMax } = HUB_LIMITS;
const KIND_OF: Readonly<Record<number, number>> = {
  [FRAME.identity]: KIND.identity,
  [FRAME.list]: KIND.list,
  [FRAME.relay]: KIND.payload,
};
const NOTHING = Buffer.alloc(0);
const WHO_AM_I = Buffer.of(0, 0, 0, 1, FRAME.identity);

/** Version 1 of the hub's protocol; other hubs that speak it can be loaded too. */
export const version1: Wire = {
  echoes: false,
  headBytesMax: 5,
  hello: () => WHO_AM_I,
  fence: WHO_AM_I,
  list: Buffer.of(0, 0, 0, 1, FRAME.list),
  messageHeads: (receivers, payloadBytes) =>
    listsOf(receivers).map((list) => plainRelayHead(list, payloadBytes)),
  messageTail: NOTHING,
  readHead(bytes, at, end, into: Head) {
    if (end - at < 5) return false;
    const type = bytes[at + 4]!;
    const length = frameLength(bytes, at);
    const kind = type === FRAME.relay ? KIND.payload : KIND_OF[type];
    if (kind === undefined || length < 1) throw new Error(`a frame of type ${type} and ${length} bytes`);
    into.kind = kind;
    into.headBytes = 5;
    into.bodyBytes = length - 1;
    into.tailBytes = 0;
    return true;
  },
  readId: (body) => readId(body, 0),
  readList,
};

/** Frames of other types, such as presence, are skipped. */
const KIND_OF_2: Readonly<Record<number, number>> = {
  [FRAME.hello]: KIND.identity,
  [FRAME.identity]: KIND.identity,
  [FRAME.list]: KIND.list,
  [FRAME.relay]: KIND.payload,
  [FRAME.namedRelay]: KIND.payload,
  [FRAME.ping]: KIND.ping,
  [FRAME.goodbye]: KIND.goodbye,
};
const SENDER_BYTES = 8;

/** Version 2 of the hub's protocol: clients show a token, and deliveries name their sender. */
export const version2: Wire = {
  ...version1,
  headBytesMax: 5 + SENDER_BYTES,
  hello: (index, token = "") =>
    helloFrame({ version: VERSION, features: 0, name: `simulated ${index}`, token }),
  messageHeads: (receivers, payloadBytes) =>
    listsOf(receivers).map((list) => namedRelayHead(list, payloadBytes, 0)),
  readHead(bytes, at, end, into: Head) {
    if (end - at < 5) return false;
    const type = bytes[at + 4]!;
    const headBytes = type === FRAME.namedRelay ? 5 + SENDER_BYTES : 5;
    const length = frameLength(bytes, at);
    if (length + 4 < headBytes) throw new Error(`a frame of type ${type} and ${length} bytes`);
    into.kind = KIND_OF_2[type] ?? KIND.other;
    into.headBytes = headBytes;
    into.bodyBytes = length + 4 - headBytes;
    into.tailBytes = 0;
    if (end - at < headBytes) return false;
    into.sender = headBytes > 5 ? readId(bytes, at + 5) : 0;
    return true;
  },
  /** Behind version and features of a welcome. */
  readId: (body) => readId(body, 2),
  readReason: (body) => closeReasonOf(body[0] ?? 0),
  pong: (body) => pingFrame(FRAME.pong, body),
};

/** Splits receivers into lists that one relay can hold. */
function listsOf(receivers: readonly number[]): number[][] {
  const relays = Math.ceil(receivers.length / receiversMax);
  return Array.from({ length: relays }, (_, index) =>
    receivers.slice(index * receiversMax, (index + 1) * receiversMax),
  );
}

/** The length of a frame. @throws when no hub sends frames of that length */
function frameLength(bytes: Buffer, at: number): number {
  const length = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (length <= answerBytesMax) return length;
  throw new Error(`a frame of type ${bytes[at + 4]} and ${length} bytes`);
}

function readList(body: Buffer): number[] {
  return Array.from({ length: body.length / 8 }, (_, index) => readId(body, 8 * index));
}
