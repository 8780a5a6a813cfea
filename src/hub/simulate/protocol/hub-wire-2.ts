import { closeReasonOf } from "../../protocol/close-reason.js";
import { pingFrame } from "../../protocol/encode.js";
import { helloFrame, namedRelayHead } from "../../protocol/encode-client.js";
import { FRAME, VERSION } from "../../protocol/frame-type.js";
import { readId } from "../../protocol/id.js";
import { wire as firstVersion, frameLength, listsOf } from "./hub-wire.js";
import { type Head, KIND, type Wire } from "./wire.js";

/** Frames of other types, such as presence, are read over. */
const KIND_OF: Readonly<Record<number, number>> = {
  [FRAME.hello]: KIND.identity,
  [FRAME.identity]: KIND.identity,
  [FRAME.list]: KIND.list,
  [FRAME.relay]: KIND.payload,
  [FRAME.namedRelay]: KIND.payload,
  [FRAME.ping]: KIND.ping,
  [FRAME.goodbye]: KIND.goodbye,
};
const SENDER_BYTES = 8;

/** Version 2 of the hub's protocol: clients show a token, and what they get names its sender. */
export const wire: Wire = {
  ...firstVersion,
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
    into.kind = KIND_OF[type] ?? KIND.other;
    into.headBytes = headBytes;
    into.bodyBytes = length + 4 - headBytes;
    into.tailBytes = 0;
    return end - at >= headBytes;
  },
  /** Behind version and features of a welcome. */
  readId: (body) => readId(body, 2),
  readReason: (body) => closeReasonOf(body[0] ?? 0),
  pong: (body) => pingFrame(FRAME.pong, body),
};
