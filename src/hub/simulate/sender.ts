import type { Histogram } from "../../core/histogram.js";
import type { Client } from "./client.js";
import { nowUs } from "./clock.js";
import { STAMP_BYTES, type Tape, writeStamp } from "./protocol/payload.js";
import type { Schedule } from "./protocol/schedule.js";

/** Messages that wait go out together, up to so many bytes; larger frames are written in parts, their bodies uncopied. */
const CHUNK_BYTES = 65_536;

interface SenderOptions {
  readonly client: Client;
  /** Index among all clients. */
  readonly index: number;
  readonly tag: number;
  readonly tape: Tape;
  readonly schedule: Schedule;
  readonly messages: number;
  readonly tail: Buffer;
  readonly startUs: number;
  /** Of how late messages go, against the schedule. */
  readonly lag: Histogram;
}

/** The sending end of one client. What is in flight is bounded by the socket alone: one chunk waits at most. */
export class Sender {
  sent = 0;
  sentBytes = 0;
  firstSentUs = Number.POSITIVE_INFINITY;
  /** The longest that a chunk waited for the kernel, which has no room while the hub does not read. */
  pauseMaxUs = 0;
  #writing = false;
  #chunkAtUs = 0;
  /** Of the message that is next, the frame that is next. */
  #frame = 0;
  readonly #chunk: Buffer;

  /** @param heads per message, what stands in front of the payload, once for each frame it takes; used in turn */
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

  /** Sends what is due, unless the socket is still busy with what went before. */
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

  /** As many whole messages as fit in the chunk. A message of several frames may be cut between them: see `#frame`. */
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
    const { tape, tail } = this.options;
    const stampAt = at + head.copy(this.#chunk, at);
    const bodyAt = stampAt + STAMP_BYTES;
    const start = this.#stamp(this.#chunk, stampAt, atUs);
    tape.bytes.copy(this.#chunk, bodyAt, start, start + tape.bodyBytes);
    return bodyAt + tape.bodyBytes + tail.copy(this.#chunk, bodyAt + tape.bodyBytes);
  }

  #writeParts(atUs: number): void {
    const { tape, tail } = this.options;
    const parts = this.#headsOf(this.sent).flatMap((head) => {
      const stamped = Buffer.allocUnsafe(head.length + STAMP_BYTES);
      head.copy(stamped);
      const start = this.#stamp(stamped, head.length, atUs);
      return [
        stamped,
        tape.bytes.subarray(start, start + tape.bodyBytes),
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

  /** The next chunk goes in the next turn of the event loop, so that reading has its turn too. */
  readonly #written = (): void => {
    this.#writing = false;
    this.pauseMaxUs = Math.max(this.pauseMaxUs, nowUs() - this.#chunkAtUs);
    if (!this.done) setImmediate(() => this.pump());
  };

  /** @returns where the body begins on the tape */
  #stamp(into: Buffer, at: number, atUs: number): number {
    const { index, tag, tape, schedule, startUs, lag } = this.options;
    const intendedUs = schedule.paced ? startUs + schedule.dueUs(index, this.sent) : atUs;
    lag.record(atUs - intendedUs);
    writeStamp(
      into,
      at,
      { sender: index, sequence: this.sent, intendedUs: Math.floor(intendedUs), actualUs: Math.floor(atUs) },
      tag,
    );
    return tape.start(index, this.sent);
  }

  #headsOf(sequence: number): readonly Buffer[] {
    return this.heads[sequence % this.heads.length]!;
  }

  #frameBytes(head: Buffer): number {
    return head.length + this.options.tape.payloadBytes + this.options.tail.length;
  }
}
