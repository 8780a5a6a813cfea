import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as encode from "../../../src/hub/machine/frames.js";
import {
  CLOSE_REASONS,
  type CloseReason,
  closeReasonOf,
  decodeHubFrame,
  FRAME,
  readId,
  writeId,
} from "../../../src/hub/machine/frames.js";
import { Inbox } from "../../../src/hub/machine/inbox.js";
import { FrameBuffers, MemoryBudget } from "../../../src/hub/machine/memory.js";
import { Receipt } from "../../../src/hub/machine/outbox.js";

const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const name = fc
  .string({ unit: "binary", maxLength: 20 })
  .filter((text) => Buffer.from(text).toString() === text);
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const reason = fc.constantFrom(...(Object.keys(CLOSE_REASONS) as CloseReason[]));

function decoded(frame: Buffer): object {
  expect(frame.readUInt32BE(0)).toBe(frame.length - 4);
  return decodeHubFrame(frame.subarray(4));
}

describe("an id", () => {
  it("survives, and is nobody's from 2^53 on", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64BE(value);
        expect(readId(bytes, 0)).toBe(value < 2n ** 53n ? Number(value) : 0);
        if (value >= 2n ** 53n) return;
        const written = Buffer.alloc(8);
        writeId(written, Number(value), 0);
        expect(written).toEqual(bytes);
      }),
      { examples: [[0n], [2n ** 32n], [2n ** 53n - 1n], [2n ** 53n], [2n ** 63n], [2n ** 64n - 1n]] },
    );
  });
});

describe("what a hub writes, its client reads", () => {
  it("identity, presence, groups, texts, pings", () => {
    fc.assert(
      fc.property(id, name, u32, reason, (one, text, count, why) => {
        expect(decoded(encode.identityFrame(one))).toEqual({ type: "identity", id: one });
        expect(decoded(encode.presenceFrame(one, text))).toEqual({ type: "arrived", id: one, name: text });
        const departed = { type: "departed", id: one, name: text, reason: why };
        expect(decoded(encode.presenceFrame(one, text, why))).toEqual(departed);
        const joined = { type: "joined", members: count, group: text };
        expect(decoded(encode.groupFrame(FRAME.join, count, text))).toEqual(joined);
        expect(decoded(encode.textFrame(FRAME.error, 2, text))).toEqual({ type: "error", code: 2, text });
        expect(decoded(encode.goodbyeFrame(why))).toMatchObject({ type: "goodbye", reason: why });
      }),
    );
  });

  it("welcome and receipts", () => {
    fc.assert(
      fc.property(id, name, u32, fc.array(id), fc.array(id), (one, text, count, unknown, evicted) => {
        const welcome = {
          version: 2,
          features: 1,
          id: one,
          pingIntervalMs: count,
          payloadBytesMax: 7,
          name: text,
        };
        expect(decoded(encode.welcomeFrame(welcome))).toEqual({ type: "welcome", ...welcome });
        const receipt = new Receipt(one, unknown, () => {});
        receipt.reached = count;
        receipt.evicted.push(...evicted);
        const expected = { type: "receipt", number: one, reached: count, unknown, evicted };
        expect(decoded(encode.receiptFrame(receipt))).toEqual(expected);
      }),
    );
  });

  it("and of anything else it says so, without crashing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), (bytes) => {
        try {
          expect(decodeHubFrame(Buffer.from(bytes)).type).toBeTypeOf("string");
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("close reasons have codes of their own", () => {
    const reasons = Object.keys(CLOSE_REASONS) as CloseReason[];
    expect(reasons.map((one) => closeReasonOf(CLOSE_REASONS[one].code))).toEqual(reasons);
  });
});

describe("the inbox", () => {
  it("gives back all memory, whatever came and however it was cut", () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 20 }), (chunks) => {
        const memory = new MemoryBudget();
        const inbox = new Inbox(new FrameBuffers(memory), 100);
        for (const bytes of chunks) {
          inbox.push(Buffer.from(bytes));
          for (;;) {
            const found = inbox.peek();
            if (found === "frame") inbox.advance();
            else if (found !== "begins" || !inbox.begin()) break;
          }
        }
        inbox.drop();
        expect(memory.usedBytes).toBe(0);
      }),
    );
  });
});
