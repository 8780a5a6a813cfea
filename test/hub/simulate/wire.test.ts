import { describe, expect, it } from "vitest";
import {
  FrameReader,
  type FrameSink,
  KIND,
  version2 as secondVersion,
  version1 as wire,
} from "../../../src/hub/simulate/proof/wire.js";
import { frame, u64 } from "../raw-client.js";

const NAMES = Object.keys(KIND);

/** Collects what a reader finds. */
function collector(): FrameSink & { readonly found: string[] } {
  const found: string[] = [];
  let pieces: Buffer[] = [];
  return {
    found,
    payload: (bytes, from, to) => found.push(`payload ${bytes.toString("latin1", from, to)}`),
    payloadBegins: () => {
      pieces = [];
    },
    payloadPiece: (bytes, from, to) => pieces.push(Buffer.from(bytes.subarray(from, to))),
    payloadEnds: () => found.push(`payload ${Buffer.concat(pieces).toString("latin1")}`),
    answer: (kind, body) => found.push(`${NAMES[kind]} ${body.toString("hex")}`),
  };
}

const STREAM = Buffer.concat([
  frame(1, u64(7)),
  frame(3, "hello"),
  frame(3, ""),
  frame(2, u64(1, 2)),
  frame(3, "x".repeat(40)),
  frame(2),
  frame(3, "end"),
]);
const FOUND = [
  "identity 0000000000000007",
  "payload hello",
  "payload ",
  "list 00000000000000010000000000000002",
  `payload ${"x".repeat(40)}`,
  "list ",
  "payload end",
];

const SECOND_STREAM = Buffer.concat([
  frame(16, Buffer.of(2, 0), u64(7), Buffer.alloc(8), "hub"),
  frame(17, u64(9), "hello"),
  frame(17, u64(9)),
  frame(24, "12345678"),
  frame(1, u64(7)),
  frame(23, Buffer.of(1, 0), u64(8)),
  frame(17, u64(9), "x".repeat(40)),
  frame(28, Buffer.of(3), "slow"),
]);
const SECOND_FOUND = [
  `identity 02000000000000000007${"00".repeat(8)}687562`,
  "payload hello",
  "payload ",
  "ping 3132333435363738",
  "identity 0000000000000007",
  "other 01000000000000000008",
  `payload ${"x".repeat(40)}`,
  "goodbye 03736c6f77",
];

describe("a reader of frames", () => {
  it.each([
    ["version 1", wire, STREAM, FOUND],
    ["version 2", secondVersion, SECOND_STREAM, SECOND_FOUND],
  ])("finds the same wherever a stream of %s is cut in three", (_name, version, stream, expected) => {
    for (let first = 0; first <= stream.length; first += 1) {
      for (let second = first; second <= stream.length; second += 1) {
        const sink = collector();
        const reader = new FrameReader(version, sink);
        for (const part of [
          stream.subarray(0, first),
          stream.subarray(first, second),
          stream.subarray(second),
        ]) {
          reader.feed(part, part.length);
        }
        expect(sink.found, `${first} ${second}`).toEqual(expected);
      }
    }
  });

  it("throws at a delivery of version 2 that is too short for its sender", () => {
    const reader = new FrameReader(secondVersion, collector());
    expect(() => reader.feed(frame(17, "1234567"), 12)).toThrow("a frame of type 17 and 8 bytes");
  });

  it("finds the same byte by byte", () => {
    const sink = collector();
    const reader = new FrameReader(wire, sink);
    for (const byte of STREAM) reader.feed(Buffer.of(byte), 1);
    expect(sink.found).toEqual(FOUND);
  });

  it("throws at what no hub says", () => {
    const reader = new FrameReader(wire, collector());
    const answer = Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect(() => reader.feed(answer, answer.length)).toThrow(/frame of type/);
  });
});
