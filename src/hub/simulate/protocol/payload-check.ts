import { readStamp, STAMP_BYTES, type Stamp, type Tape } from "./payload.js";

/**
 * Checks payloads against the tape, whole or in pieces as they come off a socket; nothing is put together. One whole
 * payload of 128 B costs some 0.3 us (bench/hub-verify.ts).
 */
export class PayloadCheck {
  /** Of the payload last checked; means little when it was not sound. */
  readonly stamp: Stamp = { sender: 0, sequence: 0, intendedUs: 0, actualUs: 0 };
  readonly #head = Buffer.alloc(STAMP_BYTES);
  #at = 0;
  #sound = true;

  constructor(
    private readonly tape: Tape,
    private readonly tag: number,
  ) {}

  /** Whether the bytes from `from` to `to` are a payload of this run, to the last bit. */
  whole(bytes: Buffer, from: number, to: number): boolean {
    if (to - from !== this.tape.payloadBytes) return false;
    return (
      readStamp(bytes, from, this.stamp, this.tag) && this.#bodyMatches(bytes, from + STAMP_BYTES, to, 0)
    );
  }

  begin(): void {
    this.#at = 0;
    this.#sound = true;
  }

  /** The next piece of the payload that was begun. */
  piece(bytes: Buffer, from: number, to: number): void {
    let next = from;
    if (this.#at < STAMP_BYTES) {
      const taken = Math.min(STAMP_BYTES - this.#at, to - from);
      bytes.copy(this.#head, this.#at, from, from + taken);
      next += taken;
      this.#at += taken;
      if (this.#at < STAMP_BYTES) return;
      this.#sound = readStamp(this.#head, 0, this.stamp, this.tag);
    }
    if (next === to) return;
    this.#sound &&= this.#bodyMatches(bytes, next, to, this.#at - STAMP_BYTES);
    this.#at += to - next;
  }

  /** Whether all pieces together were a payload of this run. */
  end(): boolean {
    return this.#sound && this.#at === this.tape.payloadBytes;
  }

  #bodyMatches(bytes: Buffer, from: number, to: number, position: number): boolean {
    const { tape, stamp } = this;
    if (position + to - from > tape.bodyBytes) return false;
    if (from === to) return true;
    const start = tape.start(stamp.sender, stamp.sequence) + position;
    return bytes.compare(tape.bytes, start, start + to - from, from, to) === 0;
  }
}
