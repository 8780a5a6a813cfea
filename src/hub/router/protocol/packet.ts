import { readId, writeId } from "../../protocol/id.js";

const VERSION = 1;
const KIND = { beat: 1, segment: 2, ack: 3 } as const;
/** u8 version, u8 kind, 8 bytes of the sender's key. */
const HEAD_BYTES = 10;
/** In front of the bytes of a segment: head, u32 epoch, u64 offset. */
export const SEGMENT_HEAD_BYTES = HEAD_BYTES + 12;
const ACK_BYTES = HEAD_BYTES + 25;
const BEAT = { wantsAnswer: 1, leaving: 2 } as const;

/** "I am here." */
export interface Beat {
  readonly type: "beat";
  /** Answer with one of yours, to me. */
  readonly wantsAnswer: boolean;
  /** The last one. */
  readonly leaving: boolean;
  readonly name: string;
}

/** Part of the stream of frames from one hub to another: `bytes` stand at `offset` of its `epoch`. */
export interface Segment {
  readonly type: "segment";
  readonly epoch: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** What has come of a stream. */
export interface Ack {
  readonly type: "ack";
  readonly epoch: number;
  /** All before this offset has come ... */
  readonly received: number;
  /** ... and all before this one was taken off: up to `window` bytes beyond may be sent. */
  readonly consumed: number;
  readonly window: number;
  /** What stands at `received` is missing: send it again. */
  readonly missing: boolean;
}

export type Packet = (Beat | Segment | Ack) & { readonly from: string };

/**
 * Reads one packet, docs/protocol-hub-nats.md.
 * @returns undefined when it is none, or one of another version
 */
export function decodePacket(bytes: Buffer): Packet | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const from = bytes.toString("hex", 2, HEAD_BYTES);
  switch (bytes[1]) {
    case KIND.beat: {
      if (bytes.length === HEAD_BYTES) return undefined;
      const flags = bytes[HEAD_BYTES]!;
      return {
        type: "beat",
        from,
        wantsAnswer: (flags & BEAT.wantsAnswer) !== 0,
        leaving: (flags & BEAT.leaving) !== 0,
        name: bytes.toString("utf8", HEAD_BYTES + 1),
      };
    }
    case KIND.segment: {
      if (bytes.length <= SEGMENT_HEAD_BYTES) return undefined;
      const epoch = bytes.readUInt32BE(HEAD_BYTES);
      const offset = readId(bytes, HEAD_BYTES + 4);
      return { type: "segment", from, epoch, offset, bytes: bytes.subarray(SEGMENT_HEAD_BYTES) };
    }
    case KIND.ack: {
      if (bytes.length !== ACK_BYTES) return undefined;
      return {
        type: "ack",
        from,
        epoch: bytes.readUInt32BE(HEAD_BYTES),
        received: readId(bytes, HEAD_BYTES + 4),
        consumed: readId(bytes, HEAD_BYTES + 12),
        window: bytes.readUInt32BE(HEAD_BYTES + 20),
        missing: bytes[HEAD_BYTES + 24] === 1,
      };
    }
    default:
      return undefined;
  }
}

/** @param from 16 hex digits */
export function beatPacket(from: string, beat: Omit<Beat, "type">): Buffer {
  const name = Buffer.from(beat.name);
  const packet = newPacket(KIND.beat, from, HEAD_BYTES + 1 + name.length);
  packet[HEAD_BYTES] = (beat.wantsAnswer ? BEAT.wantsAnswer : 0) | (beat.leaving ? BEAT.leaving : 0);
  name.copy(packet, HEAD_BYTES + 1);
  return packet;
}

/** With `size` bytes to be filled in from `SEGMENT_HEAD_BYTES` on. */
export function segmentPacket(from: string, epoch: number, offset: number, size: number): Buffer {
  const packet = newPacket(KIND.segment, from, SEGMENT_HEAD_BYTES + size);
  packet.writeUInt32BE(epoch, HEAD_BYTES);
  writeId(packet, offset, HEAD_BYTES + 4);
  return packet;
}

export function ackPacket(from: string, ack: Omit<Ack, "type">): Buffer {
  const packet = newPacket(KIND.ack, from, ACK_BYTES);
  packet.writeUInt32BE(ack.epoch, HEAD_BYTES);
  writeId(packet, ack.received, HEAD_BYTES + 4);
  writeId(packet, ack.consumed, HEAD_BYTES + 12);
  packet.writeUInt32BE(ack.window, HEAD_BYTES + 20);
  packet[HEAD_BYTES + 24] = ack.missing ? 1 : 0;
  return packet;
}

function newPacket(kind: number, from: string, size: number): Buffer {
  const packet = Buffer.allocUnsafeSlow(size);
  packet[0] = VERSION;
  packet[1] = kind;
  packet.write(from, 2, "hex");
  return packet;
}
