import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Ack,
  ackPacket,
  decodePacket,
  heartbeatPacket,
  ReceiveStream,
  SEGMENT_HEAD_BYTES,
  type Segment,
  SendStream,
  segmentPacket,
} from "../../../src/hub/federation/streams.js";

const FROM = "0123456789abcdef";
const offset = fc.nat(2 ** 31 - 1).map((high) => high * 2 ** 21 + 77);

describe("a packet", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.boolean(),
        fc.string({ unit: "binary", maxLength: 16 }),
        offset,
        (wantsAnswer, leaving, name, idsEnd) => {
          const heartbeat = { wantsAnswer, leaving, idsEnd, name: name.toWellFormed() };
          expect(decodePacket(heartbeatPacket(FROM, heartbeat))).toEqual({
            type: "heartbeat",
            from: FROM,
            ...heartbeat,
          });
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.nat(2 ** 31 - 1),
        offset,
        offset,
        fc.nat(2 ** 31 - 1),
        fc.boolean(),
        (epoch, received, consumed, window, missing) => {
          const ack = { epoch, received, consumed, window, missing };
          expect(decodePacket(ackPacket(FROM, ack))).toEqual({ type: "ack", from: FROM, ...ack });
        },
      ),
    );
    fc.assert(
      fc.property(offset, fc.uint8Array({ minLength: 1, maxLength: 200 }), (at, bytes) => {
        const packet = segmentPacket(FROM, 7, at, bytes.length);
        packet.set(bytes, SEGMENT_HEAD_BYTES);
        const segment = { type: "segment", from: FROM, epoch: 7, offset: at, bytes: Buffer.from(bytes) };
        expect(decodePacket(packet)).toEqual(segment);
      }),
    );
  });

  it("that is none is refused, never thrown over", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        decodePacket(Buffer.from(bytes));
      }),
      { numRuns: 2_000 },
    );
    const ack = ackPacket(FROM, { epoch: 1, received: 2, consumed: 2, window: 3, missing: false });
    for (let length = 0; length < ack.length; length += 1) {
      expect(decodePacket(ack.subarray(0, length))).toBeUndefined();
    }
    expect(decodePacket(Buffer.concat([Buffer.of(2), ack.subarray(1)]))).toBeUndefined();
    const named = (length: number) =>
      decodePacket(
        heartbeatPacket(FROM, { wantsAnswer: false, leaving: false, idsEnd: 1, name: "n".repeat(length) }),
      );
    expect(named(64)).toMatchObject({ name: "n".repeat(64) });
    expect(named(65)).toBeUndefined();
  });
});

describe("a stream of bytes", () => {
  it("is put together from packets of any size, whatever was lost, sent again or repeated", () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        chunks,
        fc.integer({ min: 30, max: 200 }),
        fc.infiniteStream(fc.nat(9)),
        (sent, size, dice) => {
          const outgoing = new SendStream(FROM, 1, size);
          const incoming = new ReceiveStream();
          const came: Buffer[] = [];
          let nowMs = 0;
          const arrive = (packets: readonly Buffer[]): void => {
            for (const packet of packets) {
              const fate = dice.next().value;
              if (fate < 3 && nowMs < 50_000) continue;
              for (let times = fate === 9 ? 2 : 1; times > 0; times -= 1) {
                const segment = decodePacket(packet) as Segment;
                const place = incoming.place(segment, nowMs);
                if (place !== "next" && place !== "begins") continue;
                came.push(segment.bytes);
                incoming.consume(segment.bytes.length, nowMs);
              }
            }
          };
          for (const chunk of sent) arrive(outgoing.packets([Buffer.from(chunk)], nowMs));
          while (outgoing.received < outgoing.offset && nowMs < 200_000) {
            nowMs += 250;
            const ack: Ack = incoming.ack();
            const answer = outgoing.take(ack, nowMs);
            expect(answer).not.toBe("restart");
            if (answer === "resend") arrive(outgoing.resend(nowMs));
            if (nowMs >= outgoing.resendAtMs) arrive(outgoing.probe(nowMs));
          }
          expect(Buffer.concat(came).equals(Buffer.concat(sent.map((chunk) => Buffer.from(chunk))))).toBe(
            true,
          );
          expect(outgoing.keptBytes).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("sends no more than the other side has room for, and one batch", () => {
    const outgoing = new SendStream(FROM, 1, 1_000_000);
    const batch = Buffer.alloc(100_000);
    let batches = 0;
    while (outgoing.hasRoom) batches += outgoing.packets([batch], 0).length;
    expect(batches).toBe(3);
    const ack = { type: "ack", epoch: 1, received: 300_000, window: 262_144, missing: false } as const;
    outgoing.take({ ...ack, consumed: 0 }, 0);
    expect(outgoing.hasRoom).toBe(false);
    outgoing.take({ ...ack, consumed: 300_000 }, 0);
    expect(outgoing.hasRoom).toBe(true);
  });

  it("is sent again from the oldest packet on when that was lost, and not when the other side was busy", () => {
    const outgoing = new SendStream(FROM, 1, 1_022);
    const ack = { type: "ack", epoch: 1, consumed: 0, window: 262_144, missing: false } as const;
    outgoing.packets([Buffer.alloc(5_000)], 0);
    expect(outgoing.resendAtMs).toBe(1_000);
    expect(outgoing.probe(1_000)).toHaveLength(1);
    expect(outgoing.take({ ...ack, received: 3_000 }, 1_100)).toBe("nothing");
    expect(outgoing.probe(outgoing.resendAtMs)).toHaveLength(1);
    expect(outgoing.take({ ...ack, received: 4_000 }, 3_000)).toBe("resend");
    expect(outgoing.resend(3_000)).toHaveLength(1);
    expect(outgoing.take({ ...ack, received: 5_000 }, 3_100)).toBe("nothing");
    expect(outgoing.resendAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  it("begins anew when the other side lost what it had", () => {
    const outgoing = new SendStream(FROM, 1, 1_000);
    outgoing.packets([Buffer.alloc(5_000)], 0);
    const ack = { type: "ack", epoch: 1, consumed: 0, window: 262_144 } as const;
    expect(outgoing.take({ ...ack, received: 3_928, missing: true }, 0)).toBe("resend");
    expect(outgoing.take({ ...ack, received: 0, missing: true }, 0)).toBe("restart");
    expect(outgoing.take({ ...ack, epoch: 0, received: 0, missing: true }, 0)).toBe("restart");
    expect(outgoing.take({ ...ack, received: 9_999_999, missing: true }, 0)).toBe("nothing");
  });
});
