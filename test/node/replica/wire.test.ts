import { createHash } from "node:crypto";
import { encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import {
  batchFrame,
  COUNT_BYTES,
  decodeFrame,
  decodeQuestion,
  encodeFrame,
  encodeQuestion,
  type Frame,
  FrameDecodeError,
  HELD_BYTES,
  packDigests,
  payloadOf,
  type Question,
  ROSTER_ENTRY_BYTES,
  unpackDigests,
} from "../../../src/node/replica/wire.js";

const digest = new Uint8Array(32).fill(7);
const id = digest.subarray(0, 16);
const roster = "0123456789abcdef";
const FRAMES: readonly Frame[] = [
  {
    t: "hello",
    v: 2,
    cluster: "test",
    record: digest,
    nowMs: 1,
    starting: true,
    links: 3,
    linked: false,
    roster,
  },
  {
    t: "summary",
    count: 1,
    fingerprint: "0".repeat(32),
    sinceMs: 0,
    settledMs: 1,
    settledFingerprint: "f".repeat(32),
  },
  { t: "ping", atMs: 1, roster },
  { t: "pong", atMs: 1, nowMs: 2 },
  { t: "refer", peers: [{ id: "a", addresses: ["/ip4/127.0.0.1/tcp/1"] }], release: true },
  { t: "roster", members: new Uint8Array(2 * ROSTER_ENTRY_BYTES), part: true },
  { t: "records", records: [digest, id], lost: new Uint8Array(8), want: new Uint8Array(16) },
  { t: "announce", ids: digest },
  { t: "graft", id },
  { t: "prune" },
  { t: "beacon", root: roster, number: 7 },
  { t: "gone", id },
  {
    t: "answers",
    question: id,
    held: new Uint8Array(2 * HELD_BYTES),
    refused: new Uint8Array(HELD_BYTES),
    counts: new Uint8Array(COUNT_BYTES),
  },
  { t: "reconcile", round: 1, message: digest },
  { t: "reconciled", round: 1, message: digest },
  { t: "roundDone", round: 1 },
  { t: "have", digests: digest },
  { t: "want", digests: new Uint8Array(0) },
  { t: "items", served: 1, batch: digest },
];

describe.each(FRAMES.map((frame) => [frame.t, frame] as const))("a frame of type %s", (_, frame) => {
  const bytes = encodeFrame(frame);

  it("comes out as it went in", () => {
    expect(decodeFrame(bytes)).toEqual(frame);
  });

  it("is refused when it is cut anywhere", () => {
    for (let end = 0; end < bytes.length; end++)
      expect(() => decodeFrame(bytes.subarray(0, end))).toThrow(FrameDecodeError);
  });

  it("is refused without any one of its fields", () => {
    for (const field of Object.keys(frame)) {
      const { [field as "t"]: _, ...rest } = frame as Frame & Record<string, unknown>;
      expect(() => decodeFrame(encode(rest))).toThrow(FrameDecodeError);
    }
  });
});

const peers = (count: number, addresses = 1) =>
  Array.from({ length: count }, () => ({ id: "a", addresses: Array(addresses).fill("/ip4/10.0.0.1/tcp/1") }));

describe("a frame is refused", () => {
  const over = LIMITS.digestsPerFrameMax + 1;
  it.each<[string, unknown]>([
    ["of an unknown type", { t: "hullo" }],
    ["of a type that every object inherits", { t: "constructor" }],
    ["that is a list", ["ping"]],
    ["that is null", null],
    ["with a negative instant", { t: "ping", atMs: -1 }],
    ["with half a millisecond", { t: "ping", atMs: 0.5 }],
    ["with a number too large to be exact", { t: "ping", atMs: 2 ** 60 }],
    ["with half a digest", { t: "have", digests: new Uint8Array(33) }],
    ["with too many digests", { t: "want", digests: new Uint8Array(32 * over) }],
    ["with half an id of a batch", { t: "announce", ids: new Uint8Array(24) }],
    ["with two batches to graft", { t: "graft", id: new Uint8Array(32) }],
    [
      "with half an entry of a roster",
      { t: "roster", members: new Uint8Array(ROSTER_ENTRY_BYTES + 1), part: false },
    ],
    [
      "with half an answer",
      { ...FRAMES.find(({ t }) => t === "answers"), held: new Uint8Array(HELD_BYTES + 1) },
    ],
    ["with the fingerprint of a roster cut off", { t: "ping", atMs: 1, roster: roster.slice(1) }],
    [
      "with a record that is text",
      { t: "records", records: ["record"], lost: new Uint8Array(0), want: new Uint8Array(0) },
    ],
    ["with a fingerprint in capitals", { ...FRAMES[1], fingerprint: "F".repeat(32) }],
    ["with the name of a cluster too long", { ...FRAMES[0], cluster: "x".repeat(65) }],
    ["with too many peers", { t: "refer", peers: peers(LIMITS.referredMax + 1), release: false }],
    ["with a peer of too many addresses", { t: "refer", peers: peers(1, 33), release: false }],
    [
      "with too many records",
      {
        t: "records",
        records: Array(LIMITS.recordsPerFrameMax + 1).fill(digest),
        lost: new Uint8Array(0),
        want: new Uint8Array(0),
      },
    ],
  ])("%s", (_, value) => {
    expect(() => decodeFrame(encode(value))).toThrow(FrameDecodeError);
  });
});

describe.each(["items", "question"] as const)("a batch of %s", (kind) => {
  const frame = batchFrame(kind, digest);

  it("comes out as it went in, and its id is the hash of its bytes", () => {
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
    expect(payloadOf(frame)).toEqual(Buffer.from(digest));
    const sha256 = createHash("sha256").update(frame.bytes).digest("hex");
    expect(frame.id).toBe(sha256.slice(0, 32));
  });

  it("has another id with any other byte", () => {
    const others = [...digest.keys()].map((at) =>
      batchFrame(
        kind,
        digest.map((byte, index) => (at === index ? 0 : byte)),
      ),
    );
    expect(new Set([frame, ...others].map(({ id }) => id)).size).toBe(1 + digest.length);
  });
});

it("batches of two kinds have two ids, whatever they carry", () => {
  const kinds = ["items", "question"] as const;
  expect(new Set(kinds.map((kind) => batchFrame(kind, digest).id)).size).toBe(kinds.length);
});

describe("a question", () => {
  const header = { asker: "me", number: 1 };
  it.each<Question>([
    { t: "held", ...header, digests: digest },
    { t: "count", ...header, sinceMs: 1, untilMs: 2 },
  ])(
    "of type $t comes out as it went in, and is refused when it is cut anywhere or lacks a field",
    (question) => {
      const bytes = encodeQuestion(question);
      expect(decodeQuestion(bytes)).toEqual(question);
      for (let end = 0; end < bytes.length; end++)
        expect(() => decodeQuestion(bytes.subarray(0, end))).toThrow(FrameDecodeError);
      for (const field of Object.keys(question)) {
        const { [field as "t"]: _, ...rest } = question as Question & Record<string, unknown>;
        expect(() => decodeQuestion(encode(rest))).toThrow(FrameDecodeError);
      }
    },
  );

  it("of another type is refused", () => {
    expect(() => decodeQuestion(encode({ t: "why", ...header }))).toThrow(FrameDecodeError);
  });
});

it("whatever the bytes, nothing else is thrown", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeFrame(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameDecodeError);
      }
    }),
    { numRuns: 2_000 },
  );
});

it("digests travel as 32 bytes each", () => {
  const hex = ["0".repeat(64), "ab".repeat(32)];
  expect(packDigests(hex)).toHaveLength(64);
  expect(unpackDigests(packDigests(hex))).toEqual(hex);
});
