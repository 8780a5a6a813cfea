import {
  CLOSE_REASONS,
  type CloseReason,
  closeReasonOf,
  newFrame,
  type ReceiptFrame,
  readId,
  writeId,
} from "./frames.js";
import type { Session } from "./session.js";

/** The type byte of every frame between two hubs, docs/protocol-hub-nats.md. No client frame has one of them. */
export const LINK_FRAME = {
  /** u64 number of the receipt or 0, u16 n, n x u64 receiver, then frames of type 17. */
  relay: 64,
  /** u64 number, then frames of type 18. */
  toAll: 65,
  /** u64 number, then frames of type 19. */
  toGroup: 66,
  /** u64 id, u8 version, u8 announced, u8 length, name, then for each group u8 length, group. */
  client: 67,
  /** u64 id, u8 close reason. */
  gone: 68,
  /** u64 id, group. */
  join: 69,
  leave: 70,
  /** No body: all clients were named since the stream began. */
  allNamed: 71,
  /** The same body as frame 26. */
  receipt: 72,
  /** u64 id: the client's outbox exceeds half of its limit, and its senders pause ... */
  hold: 73,
  /** ... and resume. */
  release: 74,
  /** u64 since (epoch ms), u64 until, then u64 ids; none: all clients may have missed something. */
  gap: 75,
} as const;

/** The largest length of a frame between hubs: a run of messages is no larger than one read. */
export const LINK_FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** The head in front of frames for the receivers; its length counts them. @param ids as on the wire, or empty */
export function relayHead(type: number, number: number, ids: Buffer, blockBytes: number): Buffer {
  const head = Buffer.allocUnsafeSlow(13 + ids.length);
  head.writeUInt32BE(head.length - 4 + blockBytes, 0);
  head[4] = type;
  writeId(head, number, 5);
  ids.copy(head, 13);
  return head;
}

/** u16 n, n x u64. */
export function idList(ids: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(2 + 8 * ids.length);
  bytes.writeUInt16BE(ids.length, 0);
  for (const [index, id] of ids.entries()) writeId(bytes, id, 2 + 8 * index);
  return bytes;
}

export function clientFrame(session: Session): Buffer {
  const names = [session.name, ...session.groups].map((name) => {
    const bytes = Buffer.from(name);
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  });
  const tail = Buffer.concat(names);
  const frame = newFrame(LINK_FRAME.client, 10 + tail.length);
  writeId(frame, session.id, 5);
  frame[13] = session.version;
  frame[14] = session.announced ? 1 : 0;
  tail.copy(frame, 15);
  return frame;
}

export function goneFrame(id: number, reason: CloseReason): Buffer {
  const frame = newFrame(LINK_FRAME.gone, 9);
  writeId(frame, id, 5);
  frame[13] = CLOSE_REASONS[reason].code;
  return frame;
}

/** @param type LINK_FRAME.join or LINK_FRAME.leave */
export function memberFrame(type: number, id: number, group: string): Buffer {
  const name = Buffer.from(group);
  const frame = newFrame(type, 8 + name.length);
  writeId(frame, id, 5);
  name.copy(frame, 13);
  return frame;
}

/** @param type LINK_FRAME.hold or LINK_FRAME.release */
export function idFrame(type: number, id: number): Buffer {
  const frame = newFrame(type, 8);
  writeId(frame, id, 5);
  return frame;
}

/** @param ids undefined: all clients */
export function linkGapFrame(ids: readonly number[] | undefined, fromMs: number, untilMs: number): Buffer {
  const listed = ids ?? [];
  const frame = newFrame(LINK_FRAME.gap, 16 + 8 * listed.length);
  writeId(frame, Math.floor(fromMs), 5);
  writeId(frame, Math.ceil(untilMs), 13);
  for (const [index, id] of listed.entries()) writeId(frame, id, 21 + 8 * index);
  return frame;
}

/** A frame between hubs. Frames for clients begin at `blockStart` and go to the end. */
export type LinkFrame =
  | {
      readonly type: "relay";
      readonly number: number;
      /** The u64 ids of the receivers begin here and go to `blockStart`. */
      readonly idsStart: number;
      readonly blockStart: number;
    }
  | {
      readonly type: "toAll" | "toGroup";
      readonly number: number;
      readonly idsStart?: undefined;
      readonly blockStart: number;
    }
  | {
      readonly type: "client";
      readonly id: number;
      readonly version: number;
      readonly announced: boolean;
      readonly name: string;
      readonly groups: readonly string[];
    }
  | { readonly type: "gone"; readonly id: number; readonly reason: CloseReason }
  | { readonly type: "join" | "leave"; readonly id: number; readonly group: string }
  | { readonly type: "allNamed" }
  | ReceiptFrame
  | { readonly type: "hold" | "release"; readonly id: number }
  | {
      readonly type: "gap";
      readonly fromMs: number;
      readonly untilMs: number;
      readonly ids: readonly number[] | undefined;
    };

/**
 * Reads the frame whose length field is at `start` and which ends before `end`.
 * @returns undefined when its type is unknown or its lengths contradict each other
 */
export function decodeLinkFrame(bytes: Buffer, start: number, end: number): LinkFrame | undefined {
  const at = start + 5;
  const size = end - at;
  switch (bytes[start + 4]) {
    case LINK_FRAME.relay: {
      if (size < 10) return undefined;
      const count = bytes.readUInt16BE(at + 8);
      if (size < 10 + 8 * count) return undefined;
      const idsStart = at + 10;
      return { type: "relay", number: readId(bytes, at), idsStart, blockStart: idsStart + 8 * count };
    }
    case LINK_FRAME.toAll:
      return size < 8 ? undefined : { type: "toAll", number: readId(bytes, at), blockStart: at + 8 };
    case LINK_FRAME.toGroup:
      return size < 8 ? undefined : { type: "toGroup", number: readId(bytes, at), blockStart: at + 8 };
    case LINK_FRAME.client:
      return size < 11 ? undefined : client(bytes, at, end);
    case LINK_FRAME.gone:
      if (size !== 9) return undefined;
      return {
        type: "gone",
        id: readId(bytes, at),
        reason: closeReasonOf(bytes[at + 8]!) ?? "connectionLost",
      };
    case LINK_FRAME.join:
    case LINK_FRAME.leave: {
      if (size < 9) return undefined;
      const type = bytes[start + 4] === LINK_FRAME.join ? "join" : "leave";
      return { type, id: readId(bytes, at), group: bytes.toString("utf8", at + 8, end) };
    }
    case LINK_FRAME.allNamed:
      return { type: "allNamed" };
    case LINK_FRAME.receipt:
      return size < 20 ? undefined : receipt(bytes, at, size);
    case LINK_FRAME.hold:
    case LINK_FRAME.release:
      if (size !== 8) return undefined;
      return { type: bytes[start + 4] === LINK_FRAME.hold ? "hold" : "release", id: readId(bytes, at) };
    case LINK_FRAME.gap: {
      if (size < 16 || size % 8 !== 0) return undefined;
      const ids = size === 16 ? undefined : readIds(bytes, at + 16, size / 8 - 2);
      return { type: "gap", fromMs: readId(bytes, at), untilMs: readId(bytes, at + 8), ids };
    }
    default:
      return undefined;
  }
}

function client(bytes: Buffer, at: number, end: number): LinkFrame | undefined {
  const names: string[] = [];
  for (let next = at + 10; next < end; ) {
    const nameEnd = next + 1 + bytes[next]!;
    if (nameEnd > end) return undefined;
    names.push(bytes.toString("utf8", next + 1, nameEnd));
    next = nameEnd;
  }
  const [name = "", ...groups] = names;
  const announced = bytes[at + 9] === 1;
  return { type: "client", id: readId(bytes, at), version: bytes[at + 8]!, announced, name, groups };
}

function receipt(bytes: Buffer, at: number, size: number): LinkFrame | undefined {
  const unknown = bytes.readUInt32BE(at + 12);
  const evicted = bytes.readUInt32BE(at + 16);
  if (size !== 20 + 8 * (unknown + evicted)) return undefined;
  return {
    type: "receipt",
    number: readId(bytes, at),
    reached: bytes.readUInt32BE(at + 8),
    unknown: readIds(bytes, at + 20, unknown),
    evicted: readIds(bytes, at + 20 + 8 * unknown, evicted),
  };
}

function readIds(bytes: Buffer, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => readId(bytes, at + 8 * index));
}
