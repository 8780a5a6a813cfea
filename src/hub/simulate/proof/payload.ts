/** u32 check, u32 sender, u32 sequence, u48 intended and u48 actual send time in microseconds. All big-endian. */
export const STAMP_BYTES = 24;
/** Bodies begin at so many offsets of the source: two messages rarely carry the same one. */
const BODY_STARTS = 4_093;

/**
 * The bytes from which the bodies of all payloads are cut: without a pattern, and the same in every process. The
 * offset of a message's body follows from its sender and sequence, so a receiver compares every byte, and a piece of
 * another message is noticed like a flipped bit. A native comparison is ten times cheaper than a checksum, even a
 * native one.
 */
export class BodySource {
  readonly bytes: Buffer;
  readonly bodyBytes: number;

  /** @param payloadBytes at least STAMP_BYTES */
  constructor(readonly payloadBytes: number) {
    this.bodyBytes = payloadBytes - STAMP_BYTES;
    this.bytes = Buffer.allocUnsafeSlow(this.bodyBytes + BODY_STARTS);
    let state = 0x9e3779b9;
    for (let index = 0; index < this.bytes.length; index += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      this.bytes[index] = state >>> 11;
    }
  }

  /** The offset of a message's body in the source. */
  start(sender: number, sequence: number): number {
    return ((Math.imul(sender + 1, 0x9e3779b1) ^ Math.imul(sequence + 1, 0x85ebca6b)) >>> 0) % BODY_STARTS;
  }
}

/** The header of a payload. */
export interface Stamp {
  sender: number;
  sequence: number;
  /** On the clock that all processes of a run share. */
  intendedUs: number;
  actualUs: number;
}

/** @param tag identifies the run: payloads of another run do not pass */
export function writeStamp(into: Buffer, at: number, stamp: Stamp, tag: number): void {
  const { sender, sequence, intendedUs, actualUs } = stamp;
  const intendedHigh = Math.floor(intendedUs / 2 ** 16);
  const actualHigh = Math.floor(actualUs / 2 ** 32);
  into.writeUInt32BE(sender, at + 4);
  into.writeUInt32BE(sequence, at + 8);
  into.writeUInt32BE(intendedHigh, at + 12);
  into.writeUInt16BE(intendedUs % 2 ** 16, at + 16);
  into.writeUInt16BE(actualHigh, at + 18);
  into.writeUInt32BE(actualUs % 2 ** 32, at + 20);
  into.writeInt32BE(checkValue(into, at, tag), at);
}

/** @returns false when the check value does not fit; `into` is filled either way */
function readStamp(bytes: Buffer, at: number, into: Stamp, tag: number): boolean {
  into.sender = u32(bytes, at + 4);
  into.sequence = u32(bytes, at + 8);
  into.intendedUs = u32(bytes, at + 12) * 2 ** 16 + ((bytes[at + 16]! << 8) | bytes[at + 17]!);
  into.actualUs = ((bytes[at + 18]! << 8) | bytes[at + 19]!) * 2 ** 32 + u32(bytes, at + 20);
  return (u32(bytes, at) | 0) === checkValue(bytes, at, tag);
}

/** Over the 20 bytes behind it; every step is invertible, so one changed word always changes the value. */
function checkValue(bytes: Buffer, at: number, tag: number): number {
  let value = tag | 0;
  for (let message = at + 4; message < at + STAMP_BYTES; message += 4) {
    value = Math.imul(value ^ u32(bytes, message), 0x85ebca6b);
    value ^= value >>> 15;
  }
  return value;
}

/** Twice as fast as `readUInt32BE`, which checks its arguments. */
function u32(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Checks payloads against the source, whole or in pieces as they arrive, without joining them. One whole payload of
 * 128 B costs some 0.3 us (bench/hub-verify.ts).
 */
export class PayloadCheck {
  /** The stamp of the payload checked last; meaningless when it was not sound. */
  readonly stamp: Stamp = { sender: 0, sequence: 0, intendedUs: 0, actualUs: 0 };
  readonly #head = Buffer.alloc(STAMP_BYTES);
  #at = 0;
  #sound = true;

  constructor(
    private readonly source: BodySource,
    private readonly tag: number,
  ) {}

  /** Whether the bytes from `from` to `to` are a payload of this run, to the last bit. */
  whole(bytes: Buffer, from: number, to: number): boolean {
    if (to - from !== this.source.payloadBytes) return false;
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

  /** Whether all pieces together are a payload of this run. */
  end(): boolean {
    return this.#sound && this.#at === this.source.payloadBytes;
  }

  #bodyMatches(bytes: Buffer, from: number, to: number, position: number): boolean {
    const { source, stamp } = this;
    if (position + to - from > source.bodyBytes) return false;
    if (from === to) return true;
    const start = source.start(stamp.sender, stamp.sequence) + position;
    return bytes.compare(source.bytes, start, start + to - from, from, to) === 0;
  }
}
