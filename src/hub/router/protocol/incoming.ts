import { LINK_LIMITS } from "./limits.js";
import type { Ack, Segment } from "./packet.js";

/** What a segment is: the next bytes; the first ones of a new stream; known already; or behind a hole. */
export type Place = "next" | "begins" | "old" | "missing";

/** The receiving half of a stream of bytes from another hub: finds holes, and says how far it has come. */
export class Incoming {
  /** 0 before the first segment. */
  epoch = 0;
  received = 0;
  /** Bytes taken off by whoever reads the stream. */
  consumed = 0;
  /** When an acknowledgement is due; Infinity when there is nothing to say. */
  ackAtMs = Number.POSITIVE_INFINITY;
  #ackedConsumed = 0;
  #missing = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  /** @param window what the other side may have on the way */
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
      // Its acknowledgement was lost, or is late.
      this.#ackBy(nowMs + LINK_LIMITS.ackDelayMs);
      return "old";
    }
    this.#came(segment, nowMs);
    return segment.offset === 0 ? "begins" : "next";
  }

  /** So many bytes were taken off. */
  consume(bytes: number, nowMs: number): void {
    this.consumed += bytes;
    const unsaid = this.consumed - this.#ackedConsumed;
    this.#ackBy(4 * unsaid >= this.window ? nowMs : nowMs + LINK_LIMITS.ackDelayMs);
  }

  /** The stream cannot be read: it must begin anew, as for somebody who never heard of it. */
  refuse(nowMs: number): void {
    this.received = 0;
    this.consumed = 0;
    this.#hole(nowMs);
  }

  /** What is to be said now. */
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
