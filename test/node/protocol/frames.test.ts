import { encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FrameDecodeError,
  packDigests,
  unpackDigests,
} from "../../../src/node/protocol/frames.js";
import { Desk } from "./replica-kit.js";

const digest = new Uint8Array(32).fill(7);
const FRAMES: readonly Frame[] = [
  new Desk().hello(),
  {
    t: "summary",
    count: 1,
    fingerprint: "0".repeat(32),
    sinceMs: 0,
    settledMs: 1,
    settledFingerprint: "f".repeat(32),
  },
  { t: "ping", atMs: 1 },
  { t: "pong", atMs: 1, nowMs: 2 },
  { t: "renamed", name: "kitchen (2)" },
  { t: "bye" },
  { t: "peers", peers: [{ id: "a", addresses: ["/ip4/127.0.0.1/tcp/1"] }] },
  { t: "reconcile", round: 1, message: digest },
  { t: "reconciled", round: 1, message: digest },
  { t: "roundDone", round: 1 },
  { t: "have", digests: digest },
  { t: "want", digests: new Uint8Array(0) },
  { t: "items", served: 1, batch: digest },
  { t: "confirm", digest },
  { t: "confirmed", digest },
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
    ["with two digests to confirm", { t: "confirm", digest: new Uint8Array(64) }],
    ["with a fingerprint in capitals", { ...FRAMES[1], fingerprint: "F".repeat(32) }],
    ["with a name too long", { t: "renamed", name: "x".repeat(129) }],
    [
      "with too many peers",
      { t: "peers", peers: Array.from({ length: LIMITS.peersMax + 1 }, () => ({ id: "", addresses: [] })) },
    ],
  ])("%s", (_, value) => {
    expect(() => decodeFrame(encode(value))).toThrow(FrameDecodeError);
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
