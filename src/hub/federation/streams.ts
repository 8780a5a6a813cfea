import { readId, writeId } from "../machine/frames.js";
import { HUB_LIMITS } from "../machine/limits.js";

/** Every bound of the protocol between hubs, with its reason. */
export const LINK_LIMITS = {
  /** How often a hub announces that it is alive. */
  heartbeatMs: 800,
  /**
   * A hub that was silent for so long is lost. With `heartbeatMs`: noticed after 2.4 to 3.2 s, and by clients within
   * 5 s.
   */
  silentMs: 3_200,
  /** A wake-up later than this shows that this hub was busy and read no packets. */
  lateMs: 500,
  /** Bytes that all other hubs together may have in flight to this one: a nats-server holds 64 MiB for a client. */
  windowsBytes: 33_554_432,
  /** ... and one of them at most: a few ms at 10 Gbit/s. */
  windowBytesMax: 4_194_304,
  /** ... and at least, however many hubs there are; also the window before the first acknowledgement. */
  windowBytesMin: 262_144,
  /** Other hubs, each of which is told of all clients: their smallest windows together are those 64 MiB. */
  hubsMax: 256,
  /** Bytes of one packet: large enough that the cost for each is small, small enough to interleave with others. */
  packetBytesMax: 131_072,
  /** How long an acknowledgement waits for more to acknowledge, unless a quarter of the window came. */
  ackDelayMs: 40,
  /**
   * After so long without an acknowledgement one packet is sent again, and after twice as long each time ... Holes
   * are reported at once, so this covers the last packets before a pause only; sooner, a hub that is merely busy gets
   * more to do.
   */
  resendMs: 1_000,
  /** ... up to this. */
  resendMsMax: 2_000,
  /** How often one hole is reported, and an unreadable stream refused. */
  askAgainMs: 100,
} as const;

interface Sent {
  readonly offset: number;
  readonly end: number;
  readonly packet: Buffer;
}

/**
 * The reaction to an acknowledgement: none, send all unacknowledged packets again, or begin a new stream because
 * bytes that are not kept were lost.
 */
export type Answer = "nothing" | "resend" | "restart";

/**
 * The sending half of a stream to another hub. Packets are kept until they are acknowledged, so that lost ones are
 * sent again; the receiver's window limits the bytes in flight.
 */
export class SendStream {
  /** Bytes cut into packets so far, and the acknowledged ones of them. */
  offset = 0;
  received = 0;
  #consumed = 0;
  #window: number = LINK_LIMITS.windowBytesMin;
  #kept: Sent[] = [];
  /** The size of the kept packets. */
  keptBytes = 0;
  /** The number of packets sent more than once. */
  resent = 0;
  #resendAfterMs: number = LINK_LIMITS.resendMs;
  /** The end of the packet that was sent again as a probe; 0 when none was. */
  #probeEnd = 0;
  /** When the oldest packet is sent again without an acknowledgement; Infinity when none is kept. */
  resendAtMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly from: string,
    public epoch: number,
    private readonly packetBytesMax: number,
  ) {}

  /** Whether more may be sent. A batch may exceed the window once. */
  get hasRoom(): boolean {
    return this.offset < this.#consumed + this.#window;
  }

  /** Cuts a batch into packets, which are kept. @param vectors copied at once */
  packets(vectors: readonly Buffer[], nowMs: number): Buffer[] {
    const bytesMax = this.packetBytesMax - SEGMENT_HEAD_BYTES;
    let left = 0;
    for (const { length } of vectors) left += length;
    const packets: Buffer[] = [];
    let vector = 0;
    let at = 0;
    while (left > 0) {
      const size = Math.min(left, bytesMax);
      const packet = segmentPacket(this.from, this.epoch, this.offset, size);
      for (let filled = SEGMENT_HEAD_BYTES; filled < packet.length; ) {
        const copied = vectors[vector]!.copy(packet, filled, at);
        filled += copied;
        at += copied;
        if (at < vectors[vector]!.length) continue;
        vector += 1;
        at = 0;
      }
      this.keptBytes += packet.length;
      this.#kept.push({ offset: this.offset, end: this.offset + size, packet });
      packets.push(packet);
      this.offset += size;
      left -= size;
    }
    if (packets.length > 0 && this.resendAtMs === Number.POSITIVE_INFINITY) this.#planResend(nowMs);
    return packets;
  }

  /** All unacknowledged packets, oldest first. */
  resend(nowMs: number): Buffer[] {
    this.#planResend(nowMs);
    this.resent += this.#kept.length;
    return this.#kept.map(({ packet }) => packet);
  }

  /** After silence: the oldest packet again, which shows whether the other hub is busy or everything is lost. */
  probe(nowMs: number): Buffer[] {
    this.#resendAfterMs = Math.min(2 * this.#resendAfterMs, LINK_LIMITS.resendMsMax);
    this.#planResend(nowMs);
    const oldest = this.#kept[0];
    if (oldest === undefined) return [];
    this.#probeEnd = oldest.end;
    this.resent += 1;
    return [oldest.packet];
  }

  take(ack: Ack, nowMs: number): Answer {
    // The other hub knows no stream: it took this hub for lost, if it ever had part of one.
    if (ack.epoch === 0 && ack.missing) return this.received > 0 ? "restart" : "resend";
    if (ack.epoch !== this.epoch || ack.received > this.offset || ack.consumed > ack.received)
      return "nothing";
    this.#window = ack.window;
    this.#consumed = Math.max(this.#consumed, ack.consumed);
    // It has lost acknowledged bytes.
    if (ack.missing && ack.received < this.received) return "restart";
    if (ack.received > this.received) {
      this.received = ack.received;
      this.#forget();
      this.#resendAfterMs = LINK_LIMITS.resendMs;
      this.#planResend(nowMs);
    }
    // It lacked the probe's packet, so everything behind it is lost too.
    const lost = ack.missing || ack.received === this.#probeEnd;
    if (ack.received >= this.#probeEnd) this.#probeEnd = 0;
    return lost && this.#kept.length > 0 ? "resend" : "nothing";
  }

  /** Begins a new stream, at 0. Kept packets are lost. */
  restart(epoch: number): void {
    this.epoch = epoch;
    this.drop();
    this.offset = 0;
    this.received = 0;
    this.#consumed = 0;
    this.#window = LINK_LIMITS.windowBytesMin;
    this.#resendAfterMs = LINK_LIMITS.resendMs;
    this.#probeEnd = 0;
  }

  drop(): void {
    this.#kept = [];
    this.keptBytes = 0;
    this.resendAtMs = Number.POSITIVE_INFINITY;
  }

  #forget(): void {
    let count = 0;
    while (count < this.#kept.length && this.#kept[count]!.end <= this.received) {
      this.keptBytes -= this.#kept[count]!.packet.length;
      count += 1;
    }
    this.#kept.splice(0, count);
  }

  #planResend(nowMs: number): void {
    this.resendAtMs = this.#kept.length > 0 ? nowMs + this.#resendAfterMs : Number.POSITIVE_INFINITY;
  }
}

/**
 * A segment's relation to the stream: the next bytes; the first ones of a new stream; already received; or behind a
 * hole.
 */
export type Place = "next" | "begins" | "old" | "missing";

/** The receiving half of a stream from another hub: finds holes and acknowledges. */
export class ReceiveStream {
  /** 0 before the first segment. */
  epoch = 0;
  received = 0;
  /** Bytes that the machine has taken. */
  consumed = 0;
  /** When an acknowledgement is due; Infinity when none is. */
  ackAtMs = Number.POSITIVE_INFINITY;
  #ackedConsumed = 0;
  #missing = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  /** @param window bytes that the other hub may have in flight */
  constructor(public window: number = LINK_LIMITS.windowBytesMin) {}

  place(segment: Segment, nowMs: number): Place {
    if (segment.epoch < this.epoch) return "old";
    if (segment.epoch > this.epoch) {
      this.#begin(segment.epoch);
      if (segment.offset > 0) return this.#hole(nowMs);
      this.#came(segment, nowMs);
      return "begins";
    }
    if (segment.offset > this.received) return this.#hole(nowMs);
    if (segment.offset < this.received) {
      // The acknowledgement was lost, or is late.
      this.#ackBy(nowMs + LINK_LIMITS.ackDelayMs);
      return "old";
    }
    this.#came(segment, nowMs);
    return segment.offset === 0 ? "begins" : "next";
  }

  consume(bytes: number, nowMs: number): void {
    this.consumed += bytes;
    const unsaid = this.consumed - this.#ackedConsumed;
    this.#ackBy(4 * unsaid >= this.window ? nowMs : nowMs + LINK_LIMITS.ackDelayMs);
  }

  /** The stream is unreadable: asks for a new one, as a hub that never received any. */
  refuse(nowMs: number): void {
    this.received = 0;
    this.consumed = 0;
    this.#hole(nowMs);
  }

  /** The acknowledgement that is due. */
  ack(): Ack {
    const { epoch, received, consumed, window } = this;
    const missing = this.#missing;
    this.#missing = false;
    this.#ackedConsumed = consumed;
    this.ackAtMs = Number.POSITIVE_INFINITY;
    return { type: "ack", epoch, received, consumed, window, missing };
  }

  #begin(epoch: number): void {
    this.epoch = epoch;
    this.received = 0;
    this.consumed = 0;
    this.#ackedConsumed = 0;
    this.#missing = false;
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
  }

  #came(segment: Segment, nowMs: number): void {
    this.received += segment.bytes.length;
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
    this.#ackBy(nowMs + LINK_LIMITS.ackDelayMs);
  }

  #hole(nowMs: number): Place {
    if (nowMs - this.#askedAtMs >= LINK_LIMITS.askAgainMs) {
      this.#askedAtMs = nowMs;
      this.#missing = true;
      this.ackAtMs = nowMs;
    }
    return "missing";
  }

  #ackBy(atMs: number): void {
    this.ackAtMs = Math.min(this.ackAtMs, atMs);
  }
}

const VERSION = 1;
const KIND = { heartbeat: 1, segment: 2, ack: 3 } as const;
/** u8 version, u8 kind, 8 bytes of the sender's key. */
const HEAD_BYTES = 10;
/** In front of the bytes of a segment: head, u32 epoch, u64 offset. */
export const SEGMENT_HEAD_BYTES = HEAD_BYTES + 12;
const ACK_BYTES = HEAD_BYTES + 25;
/** In front of the name in a heartbeat: head, u8 flags, u64 end of the ids. */
const HEARTBEAT_HEAD_BYTES = HEAD_BYTES + 9;
const HEARTBEAT = { wantsAnswer: 1, leaving: 2 } as const;

/** A hub announces that it is alive. */
export interface Heartbeat {
  readonly type: "heartbeat";
  /** Whether the receiver should answer with a heartbeat of its own. */
  readonly wantsAnswer: boolean;
  /** Whether the hub shuts down. */
  readonly leaving: boolean;
  /** Ids before it may be leased to a hub, as far as the sender knows. */
  readonly idsEnd: number;
  readonly name: string;
}

/** Part of the stream of frames from one hub to another: `bytes` stand at `offset` of its `epoch`. */
export interface Segment {
  readonly type: "segment";
  readonly epoch: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The state of a stream at its receiver. */
export interface Ack {
  readonly type: "ack";
  readonly epoch: number;
  /** All bytes before this offset have arrived ... */
  readonly received: number;
  /** ... and all before this one are consumed: up to `window` bytes beyond it may be sent. */
  readonly consumed: number;
  readonly window: number;
  /** The bytes at `received` are missing: send them again. */
  readonly missing: boolean;
}

export type Packet = (Heartbeat | Segment | Ack) & { readonly from: string };

/**
 * Reads one packet, docs/protocol-hub-nats.md.
 * @returns undefined when it is malformed or of another version
 */
export function decodePacket(bytes: Buffer): Packet | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const from = bytes.toString("hex", 2, HEAD_BYTES);
  switch (bytes[1]) {
    case KIND.heartbeat: {
      if (bytes.length < HEARTBEAT_HEAD_BYTES) return undefined;
      if (bytes.length > HEARTBEAT_HEAD_BYTES + HUB_LIMITS.nameBytesMax) return undefined;
      const flags = bytes[HEAD_BYTES]!;
      return {
        type: "heartbeat",
        from,
        wantsAnswer: (flags & HEARTBEAT.wantsAnswer) !== 0,
        leaving: (flags & HEARTBEAT.leaving) !== 0,
        idsEnd: readId(bytes, HEAD_BYTES + 1),
        name: bytes.toString("utf8", HEARTBEAT_HEAD_BYTES),
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
export function heartbeatPacket(from: string, heartbeat: Omit<Heartbeat, "type">): Buffer {
  const name = Buffer.from(heartbeat.name);
  const packet = newPacket(KIND.heartbeat, from, HEARTBEAT_HEAD_BYTES + name.length);
  packet[HEAD_BYTES] =
    (heartbeat.wantsAnswer ? HEARTBEAT.wantsAnswer : 0) | (heartbeat.leaving ? HEARTBEAT.leaving : 0);
  writeId(packet, heartbeat.idsEnd, HEAD_BYTES + 1);
  name.copy(packet, HEARTBEAT_HEAD_BYTES);
  return packet;
}

/** A segment whose `size` bytes the caller fills in from `SEGMENT_HEAD_BYTES` on. */
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
