import { plainRelayHead } from "../../protocol/encode-client.js";
import { FRAME } from "../../protocol/frame-type.js";
import { readId } from "../../protocol/id.js";
import { HUB_LIMITS } from "../../protocol/limits.js";
import { type Head, KIND, type Wire } from "./wire.js";

const { answerBytesMax, receiversMax } = HUB_LIMITS;
const KIND_OF: Readonly<Record<number, number>> = {
  [FRAME.identity]: KIND.identity,
  [FRAME.list]: KIND.list,
  [FRAME.relay]: KIND.payload,
};
const NOTHING = Buffer.alloc(0);
const WHO_AM_I = Buffer.of(0, 0, 0, 1, FRAME.identity);

/** Version 1 of the hub's protocol: every hub that speaks it can be loaded, also other programs. */
export const wire: Wire = {
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

/** What a relay can name at once: parts of that list. */
export function listsOf(receivers: readonly number[]): number[][] {
  const relays = Math.ceil(receivers.length / receiversMax);
  return Array.from({ length: relays }, (_, index) =>
    receivers.slice(index * receiversMax, (index + 1) * receiversMax),
  );
}

/** The length that a frame begins with. @throws when no hub sends frames of that length */
export function frameLength(bytes: Buffer, at: number): number {
  const length = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (length <= answerBytesMax) return length;
  throw new Error(`a frame of type ${bytes[at + 4]} and ${length} bytes`);
}

export function readList(body: Buffer): number[] {
  return Array.from({ length: body.length / 8 }, (_, index) => readId(body, 8 * index));
}
