import { CLOSE_REASONS, type CloseReason } from "../close-reason.js";
import { newFrame } from "../encode.js";
import { writeId } from "../id.js";
import type { Session } from "../session.js";

/** The type byte of every frame between two hubs, docs/protocol-hub-nats.md. None is one of a client's. */
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
  /** As frame 26. */
  receipt: 72,
  /** u64 id: its queue is over half, and its senders are to wait ... */
  hold: 73,
  /** ... and go on. */
  release: 74,
  /** u64 since (epoch ms), u64 until, then u64 ids; none: all clients may have missed something. */
  gap: 75,
} as const;

/** The largest length of a frame between hubs: a run of messages is no larger than what was read at once. */
export const LINK_FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** What stands in front of frames for the receivers; its length counts them. @param ids as on the wire, or empty */
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
