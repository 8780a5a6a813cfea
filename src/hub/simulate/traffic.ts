import type { Histogram } from "../../core/histogram.js";
import type { Client, DeliverySink } from "./client.js";
import { type BodySource, PayloadCheck, STAMP_BYTES, writeStamp } from "./proof/payload.js";
import type { DeliveryLog } from "./proof/proof.js";
import type { Schedule } from "./proof/statistics.js";

/**
 * Waiting messages are written together, up to this size; larger frames are written in parts, their bodies uncopied.
 */
const CHUNK_BYTES = 65_536;

interface SenderOptions {
  readonly client: Client;
  /** Index among all clients. */
  readonly index: number;
  readonly tag: number;
  readonly source: BodySource;
  readonly schedule: Schedule;
  readonly messages: number;
  readonly tail: Buffer;
  readonly startUs: number;
  /** The lateness of messages against the schedule. */
  readonly lag: Histogram;
}

/** The sending half of one client. At most one chunk waits for the socket. */
export class Sender {
  sent = 0;
  sentBytes = 0;
  firstSentUs = Number.POSITIVE_INFINITY;
  /** The longest that a chunk waited for the kernel, which has no room while the hub does not read. */
  pauseMaxUs = 0;
  #writing = false;
  #chunkAtUs = 0;
  /** The next frame of the next message. */
  #frame = 0;
  readonly #chunk: Buffer;

  /** @param heads for each message, used in turn: the bytes in front of the payload, once for each of its frames */
  constructor(
    private readonly options: SenderOptions,
    private readonly heads: readonly (readonly Buffer[])[],
  ) {
    const largest = Math.max(0, ...heads.flat().map((head) => this.#frameBytes(head)));
    const wanted = largest * Math.max(1, ...heads.map((frames) => frames.length)) * options.messages;
    this.#chunk = Buffer.allocUnsafeSlow(largest > CHUNK_BYTES ? 0 : Math.min(CHUNK_BYTES, wanted));
  }

  get done(): boolean {
    return this.sent >= this.options.messages || this.options.client.ended !== "";
  }

  /** Sends the messages that are due, unless the socket is still busy. */
  pump(): void {
    const { client, index, schedule, startUs } = this.options;
    while (!this.#writing && client.ended === "") {
      const atUs = nowUs();
      const due = schedule.dueCount(index, atUs - startUs);
      if (this.sent >= due) return;
      this.firstSentUs = Math.min(this.firstSentUs, atUs);
      this.#chunkAtUs = atUs;
      if (this.#chunk.length === 0) this.#writeParts(atUs);
      else this.#writeChunk(due, atUs);
    }
  }

  /**
   * As many whole messages as fit into the chunk. A message of several frames may be cut between them: see `#frame`.
   */
  #writeChunk(due: number, atUs: number): void {
    let at = 0;
    while (this.sent < due) {
      const frames = this.#headsOf(this.sent);
      while (this.#frame < frames.length) {
        const head = frames[this.#frame]!;
        if (at + this.#frameBytes(head) > this.#chunk.length) break;
        at = this.#put(head, at, atUs);
        this.#frame += 1;
      }
      if (this.#frame < frames.length) break;
      this.#frame = 0;
      this.sent += 1;
    }
    this.#write([this.#chunk.subarray(0, at)]);
  }

  #put(head: Buffer, at: number, atUs: number): number {
    const { source, tail } = this.options;
    const stampAt = at + head.copy(this.#chunk, at);
    const bodyAt = stampAt + STAMP_BYTES;
    const start = this.#stamp(this.#chunk, stampAt, atUs);
    source.bytes.copy(this.#chunk, bodyAt, start, start + source.bodyBytes);
    return bodyAt + source.bodyBytes + tail.copy(this.#chunk, bodyAt + source.bodyBytes);
  }

  #writeParts(atUs: number): void {
    const { source, tail } = this.options;
    const parts = this.#headsOf(this.sent).flatMap((head) => {
      const stamped = Buffer.allocUnsafe(head.length + STAMP_BYTES);
      head.copy(stamped);
      const start = this.#stamp(stamped, head.length, atUs);
      return [
        stamped,
        source.bytes.subarray(start, start + source.bodyBytes),
        ...(tail.length > 0 ? [tail] : []),
      ];
    });
    this.sent += 1;
    this.#write(parts);
  }

  #write(parts: readonly Buffer[]): void {
    const { socket } = this.options.client;
    this.#writing = true;
    if (parts.length > 1) socket.cork();
    for (const [index, part] of parts.entries()) {
      this.sentBytes += part.length;
      if (index < parts.length - 1) socket.write(part);
      else socket.write(part, this.#written);
    }
    if (parts.length > 1) socket.uncork();
  }

  /** The next chunk waits for the next turn of the event loop, so that reading gets its turn. */
  readonly #written = (): void => {
    this.#writing = false;
    this.pauseMaxUs = Math.max(this.pauseMaxUs, nowUs() - this.#chunkAtUs);
    if (!this.done) setImmediate(() => this.pump());
  };

  /** @returns where the body begins in the source */
  #stamp(into: Buffer, at: number, atUs: number): number {
    const { index, tag, source, schedule, startUs, lag } = this.options;
    const intendedUs = schedule.paced ? startUs + schedule.dueUs(index, this.sent) : atUs;
    lag.record(atUs - intendedUs);
    writeStamp(
      into,
      at,
      { sender: index, sequence: this.sent, intendedUs: Math.floor(intendedUs), actualUs: Math.floor(atUs) },
      tag,
    );
    return source.start(index, this.sent);
  }

  #headsOf(sequence: number): readonly Buffer[] {
    return this.heads[sequence % this.heads.length]!;
  }

  #frameBytes(head: Buffer): number {
    return head.length + this.options.source.payloadBytes + this.options.tail.length;
  }
}

/** Counters of all receivers of one process. */
export interface ReceiveCounters {
  /** Sound deliveries, and those of them that came for the first time. */
  deliveries: number;
  distinct: number;
  deliveredBytes: number;
  lastDeliveryUs: number;
  /** Since the last report, and over the run. */
  readonly recent: Histogram;
  readonly intended: Histogram;
  readonly actual: Histogram;
}

/** The receiving half of one client: checks each payload and records it. */
export class Receiver implements DeliverySink {
  readonly #check: PayloadCheck;
  #pieceBytes = 0;
  /** The sender that the hub names for the payload in pieces. */
  #sender = 0;
  /** Read once for each chunk: reading the clock costs 50 ns, and a chunk of 64 KiB may hold 500 deliveries. */
  #chunkUs = 0;

  constructor(
    private readonly log: DeliveryLog,
    private readonly counters: ReceiveCounters,
    source: BodySource,
    tag: number,
    /** The id of a client by its index. */
    private readonly idOf: (index: number) => number | undefined,
  ) {
    this.#check = new PayloadCheck(source, tag);
  }

  chunkCame(): void {
    this.#chunkUs = nowUs();
  }

  payload(bytes: Buffer, from: number, to: number, sender: number): void {
    this.#book(this.#check.whole(bytes, from, to) && this.#isFrom(sender), to - from);
  }

  payloadBegins(sender: number): void {
    this.#sender = sender;
    this.#pieceBytes = 0;
    this.#check.begin();
  }

  payloadPiece(bytes: Buffer, from: number, to: number): void {
    this.#pieceBytes += to - from;
    this.#check.piece(bytes, from, to);
  }

  payloadEnds(): void {
    this.#book(this.#check.end() && this.#isFrom(this.#sender), this.#pieceBytes);
  }

  /** Whether the hub names who wrote the stamp, or nobody: version 1 has no senders. */
  #isFrom(sender: number): boolean {
    return sender === 0 || sender === this.idOf(this.#check.stamp.sender);
  }

  #book(sound: boolean, bytes: number): void {
    const { counters, log } = this;
    const { sender, sequence, intendedUs, actualUs } = this.#check.stamp;
    counters.deliveredBytes += bytes;
    if (!sound) {
      log.corrupt(sender);
      return;
    }
    counters.deliveries += 1;
    if (log.delivered(sender, sequence)) counters.distinct += 1;
    const atUs = this.#chunkUs;
    counters.lastDeliveryUs = atUs;
    // `intended` is filled from `recent` with each report.
    counters.recent.record(atUs - intendedUs);
    counters.actual.record(atUs - actualUs);
  }
}

/**
 * Microseconds on the machine's monotonic clock: processes of one machine agree on it, and setting the time of day
 * does not move it. `performance.now` runs on the same clock and is cheaper to read.
 */
export function nowUs(): number {
  return OFFSET_US + performance.now() * 1_000;
}

const [seconds, nanoseconds] = process.hrtime();
const OFFSET_US = seconds * 1e6 + nanoseconds / 1e3 - performance.now() * 1_000;
