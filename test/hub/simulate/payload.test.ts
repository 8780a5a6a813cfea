import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BodySource,
  PayloadCheck,
  STAMP_BYTES,
  type Stamp,
  writeStamp,
} from "../../../src/hub/simulate/proof/payload.js";

const TAG = 0xdeadbeef;
const SIZE = 300;
const source = new BodySource(SIZE);
const stamps = fc.record({
  sender: fc.nat(20_000),
  sequence: fc.nat(1e9),
  intendedUs: fc.nat(2 ** 47),
  actualUs: fc.nat(2 ** 47),
});

function payload(
  stamp: Stamp,
  { size = SIZE, from = source }: { size?: number; from?: BodySource } = {},
): Buffer {
  const bytes = Buffer.alloc(size);
  writeStamp(bytes, 0, stamp, TAG);
  const start = from.start(stamp.sender, stamp.sequence);
  from.bytes.copy(bytes, STAMP_BYTES, start, start + size - STAMP_BYTES);
  return bytes;
}

/** Checked in pieces that end at these places. */
function inPieces(bytes: Buffer, cuts: readonly number[], check: PayloadCheck): boolean {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  check.begin();
  let from = 0;
  for (const end of ends) {
    check.piece(bytes, from, end);
    from = end;
  }
  return check.end();
}

describe("a payload", () => {
  it("is sound as it was written, whole or in pieces, and says who sent it and when", () => {
    fc.assert(
      fc.property(stamps, fc.array(fc.nat(SIZE)), (stamp, cuts) => {
        const check = new PayloadCheck(source, TAG);
        const bytes = payload(stamp);
        expect(check.whole(Buffer.concat([Buffer.of(1, 2, 3), bytes]), 3, 3 + SIZE)).toBe(true);
        expect(check.stamp).toEqual(stamp);
        expect(inPieces(bytes, cuts, new PayloadCheck(source, TAG))).toBe(true);
      }),
    );
  });

  it("is not sound when any one bit of it is flipped", () => {
    fc.assert(
      fc.property(stamps, fc.nat(SIZE * 8 - 1), fc.array(fc.nat(SIZE)), (stamp, bit, cuts) => {
        const bytes = payload(stamp);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        const check = new PayloadCheck(source, TAG);
        expect(check.whole(bytes, 0, SIZE)).toBe(false);
        expect(inPieces(bytes, cuts, check)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it("is not sound with the body of another message, cut short, too long, or from another run", () => {
    const stamp = { sender: 3, sequence: 7, intendedUs: 1, actualUs: 2 };
    const mixed = payload(stamp);
    payload({ ...stamp, sequence: 8 }).copy(mixed, 200, 200);
    const long = Buffer.concat([payload(stamp), Buffer.of(0)]);
    const check = new PayloadCheck(source, TAG);
    for (const bytes of [
      mixed,
      payload(stamp).subarray(0, SIZE - 1),
      long,
      Buffer.alloc(0),
      Buffer.alloc(10),
    ]) {
      expect(check.whole(bytes, 0, bytes.length)).toBe(false);
      expect(inPieces(bytes, [100], check)).toBe(false);
    }
    expect(new PayloadCheck(source, TAG + 1).whole(payload(stamp), 0, SIZE)).toBe(false);
  });

  it("may be nothing but its stamp", () => {
    const small = new BodySource(STAMP_BYTES);
    const bytes = payload(
      { sender: 1, sequence: 0, intendedUs: 5, actualUs: 6 },
      { size: STAMP_BYTES, from: small },
    );
    const check = new PayloadCheck(small, TAG);
    expect([check.whole(bytes, 0, STAMP_BYTES), inPieces(bytes, [1, 9, 24], check)]).toEqual([true, true]);
  });

  it("is the same in every process", () => {
    expect(new BodySource(SIZE).bytes.equals(source.bytes)).toBe(true);
  });
});
