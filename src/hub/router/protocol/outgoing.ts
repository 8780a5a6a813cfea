import type { MemoryBudget } from "../../protocol/memory.js";
import { LINK_LIMITS } from "./limits.js";
import { type Ack, SEGMENT_HEAD_BYTES, segmentPacket } from "./packet.js";

interface Sent {
  readonly offset: number;
  readonly end: number;
  readonly packet: Buffer;
}

/** What an acknowledgement asks for: nothing, all that is kept once more, or what is kept no longer. */
export type Answer = "nothing" | "resend" | "restart";

/**
 * The sending half of a stream of bytes to another hub. What was sent is kept until it has come there, so that what
 * the network loses is sent again; no more is on the way than the other hub has room for.
 */
export class Outgoing {
  /** Bytes cut into packets so far, and those of them that have come. */
  offset = 0;
  received = 0;
  #consumed = 0;
  #window: number = LINK_LIMITS.windowBytesMin;
  #kept: Sent[] = [];
  /** Packets that were sent more than once. */
  resent = 0;
  #resendAfterMs: number = LINK_LIMITS.resendMs;
  /** Where the packet ends that was sent again to see whether it was lost; 0 when none was. */
  #probeEnd = 0;
  /** When the oldest packet is sent again, if nothing is heard; Infinity when none is kept. */
  resendAtMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly from: string,
    public epoch: number,
    private readonly memory: MemoryBudget,
    private readonly packetBytesMax: number,
  ) {}

  /** Whether more may be sent. A batch that is larger than what is left goes over it, once. */
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
      this.memory.add(packet.length);
      this.#kept.push({ offset: this.offset, end: this.offset + size, packet });
      packets.push(packet);
      this.offset += size;
      left -= size;
    }
    if (packets.length > 0 && this.resendAtMs === Number.POSITIVE_INFINITY) this.#planResend(nowMs);
    return packets;
  }

  /** All that has not come yet, oldest first, to be sent again. */
  resend(nowMs: number): Buffer[] {
    this.#planResend(nowMs);
    this.resent += this.#kept.length;
    return this.#kept.map(({ packet }) => packet);
  }

  /** Nothing was heard: one packet, the oldest, shows whether the other side is busy, or all is lost. */
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
    // They know nothing of any stream: they took this hub for gone, if they had any of it.
    if (ack.epoch === 0 && ack.missing) return this.received > 0 ? "restart" : "resend";
    if (ack.epoch !== this.epoch || ack.received > this.offset || ack.consumed > ack.received)
      return "nothing";
    this.#window = ack.window;
    this.#consumed = Math.max(this.#consumed, ack.consumed);
    // They lost even what they had.
    if (ack.missing && ack.received < this.received) return "restart";
    if (ack.received > this.received) {
      this.received = ack.received;
      this.#forget();
      this.#resendAfterMs = LINK_LIMITS.resendMs;
      this.#planResend(nowMs);
    }
    // It had lacked that very packet, and all behind it went the same way.
    const lost = ack.missing || ack.received === this.#probeEnd;
    if (ack.received >= this.#probeEnd) this.#probeEnd = 0;
    return lost && this.#kept.length > 0 ? "resend" : "nothing";
  }

  /** Begins a new stream, at 0. What was kept is lost. */
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
    for (const { packet } of this.#kept) this.memory.remove(packet.length);
    this.#kept = [];
    this.resendAtMs = Number.POSITIVE_INFINITY;
  }

  #forget(): void {
    let count = 0;
    while (count < this.#kept.length && this.#kept[count]!.end <= this.received) {
      this.memory.remove(this.#kept[count]!.packet.length);
      count += 1;
    }
    this.#kept.splice(0, count);
  }

  #planResend(nowMs: number): void {
    this.resendAtMs = this.#kept.length > 0 ? nowMs + this.#resendAfterMs : Number.POSITIVE_INFINITY;
  }
}
