import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ReconcileError } from "../../../src/node/negentropy/message.js";
import { respond } from "../../../src/node/negentropy/respond.js";
import { Round } from "../../../src/node/negentropy/round.js";
import { ItemSet } from "../../../src/node/replica/item-set/item-set.js";
import { makeItem } from "../replica/item-set/make-item.js";

const set = new ItemSet(Array.from({ length: 500 }, (_, serial) => makeItem(serial, serial)));
const noMessage = ["", "40", "ff"];
const rows: [string, string, string][] = [
  ["truncated", "no mode", "610000"],
  ["truncated", "half a fingerprint", "6100000100112233"],
  ["truncated", "fewer ids than announced", `61000002${"02"}${"ab".repeat(32)}`],
  ["truncated", "ids beyond any memory", "610000029f7f"],
  ["truncated", "a varint without an end", "618180"],
  ["truncated", "half an id prefix", "610520ab"],
  ["malformed", "an unknown mode", "61000003"],
  ["malformed", "an id prefix of 33 bytes", `610121${"ab".repeat(33)}00`],
  ["malformed", "a varint with leading zeros", "61800000"],
  ["malformed", "a number beyond 2^53", `61${"ff".repeat(9)}7f0000`],
  ["malformed", "a bound behind infinity", "610001ab00"],
  ["malformed", "a range behind infinity", "6100000005000000"],
  ["outOfOrder", "an id prefix that goes back", "610201bb000101aa00"],
];

describe("a message that is none", () => {
  test.each(rows)("%s: %s", (reason, _what, hex) => {
    const message = Buffer.from(hex, "hex");
    const round = new Round(set);
    round.open();
    expect(() => respond(set, message)).toThrow(expect.objectContaining({ name: "ReconcileError", reason }));
    expect(() => round.take(message)).toThrow(expect.objectContaining({ name: "ReconcileError", reason }));
  });

  test.each(noMessage)("first byte %s", (hex) => {
    expect(() => respond(set, Buffer.from(hex, "hex"))).toThrow(ReconcileError);
  });

  test("a responder answers another version with its own; an initiator gives up", () => {
    expect(respond(set, Uint8Array.of(0x62, 1, 2, 3))).toEqual(Uint8Array.of(0x61));
    const reason = "unsupportedVersion";
    expect(() => new Round(set).take(Uint8Array.of(0x60))).toThrow(expect.objectContaining({ reason }));
  });

  test("a message over the limit is not read", () => {
    const reason = "tooLong";
    const message = new Uint8Array(101).fill(0x61);
    expect(() => respond(set, message, { messageBytesMax: 100 })).toThrow(
      expect.objectContaining({ reason }),
    );
  });

  test("whatever the bytes, nothing is thrown but ReconcileError, and answers stay within the limit", () => {
    const valid = fc.constantFrom(...validMessages());
    const mutated = fc.tuple(
      valid,
      fc.array(fc.tuple(fc.nat(5000), fc.nat(255)), { maxLength: 4 }),
      fc.nat(),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((tail) => Uint8Array.of(0x61, ...tail)),
      mutated.map(([message, pokes, cut]) => {
        const copy = Uint8Array.from(message);
        for (const [at, value] of pokes) copy[at % copy.length] = value;
        return cut % 2 === 0 ? copy : copy.subarray(0, cut % copy.length);
      }),
    );
    fc.assert(
      fc.property(bytes, (message) => {
        onlyReconcileError(() => {
          expect(respond(set, message, { frameBytesMax: 4096 }).length).toBeLessThanOrEqual(4096);
        });
        onlyReconcileError(() => {
          const step = new Round(set, { frameBytesMax: 4096 }).take(message);
          expect(step.reply?.length ?? 0).toBeLessThanOrEqual(4096);
          expect(step.have.length).toBeLessThanOrEqual(set.size);
        });
      }),
      { numRuns: 5000 },
    );
  });
});

describe("a peer that leads nowhere", () => {
  const everything = (byte: number) =>
    Buffer.from(`61000001${Buffer.alloc(16, byte).toString("hex")}`, "hex");

  test("is given up when it settles nothing", () => {
    const round = new Round(set);
    round.open();
    const reason = "noProgress";
    expect(() => {
      for (let trip = 0; trip < 1000; trip++) round.take(everything(trip % 256));
    }).toThrow(expect.objectContaining({ reason }));
  });

  test("is given up when it settles a little for ever", () => {
    const round = new Round(set);
    round.open();
    const reason = "noProgress";
    expect(() => {
      for (let trip = 1; trip < 1000; trip++) {
        // Skip to (trip, ""), then a wrong fingerprint of all the rest.
        const skip = trip < 127 ? [trip + 1, 0, 0] : [128 + ((trip + 1) >> 7), (trip + 1) % 128, 0, 0];
        round.take(Buffer.concat([Uint8Array.of(0x61, ...skip), everything(trip % 256).subarray(1)]));
      }
    }).toThrow(expect.objectContaining({ reason }));
  });

  test("may not come back to a range that is settled", () => {
    const round = new Round(set, { sinceMs: 100 });
    round.open();
    const reason = "wrongRange";
    expect(() => round.take(everything(1))).toThrow(expect.objectContaining({ reason }));
    expect(() => round.take(Uint8Array.of(0x61))).toThrow(ReconcileError);
  });
});

test("a frame limit that cannot hold one split is refused", () => {
  expect(() => respond(set, Uint8Array.of(0x61), { frameBytesMax: 4095 })).toThrow(RangeError);
});

function onlyReconcileError(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ReconcileError)) throw error;
  }
}

/** Messages of both directions, to be spoilt. */
function validMessages(): Uint8Array[] {
  const other = new ItemSet(Array.from({ length: 500 }, (_, serial) => makeItem(serial + 40, serial + 40)));
  const round = new Round(other);
  const messages: Uint8Array[] = [];
  for (let message: Uint8Array | undefined = round.open(); message; ) {
    const answer = respond(set, message);
    messages.push(message, answer);
    message = round.take(answer).reply;
  }
  return messages;
}
