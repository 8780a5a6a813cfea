import { describe, expect, it } from "vitest";
import { FrameReader, type FrameSink } from "../../../../src/hub/simulate/protocol/frame-reader.js";
import { wire } from "../../../../src/hub/simulate/protocol/hub-wire.js";
import { KIND } from "../../../../src/hub/simulate/protocol/wire.js";
import { frame, u64 } from "../../raw-client.js";

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
    answer: (kind, body) =>
      found.push(`${kind === KIND.identity ? "identity" : "list"} ${body.toString("hex")}`),
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

describe("a reader of frames", () => {
  it("finds the same wherever the stream is cut in three", () => {
    for (let first = 0; first <= STREAM.length; first += 1) {
      for (let second = first; second <= STREAM.length; second += 1) {
        const sink = collector();
        const reader = new FrameReader(wire, sink);
        for (const part of [
          STREAM.subarray(0, first),
          STREAM.subarray(first, second),
          STREAM.subarray(second),
        ]) {
          reader.feed(part, part.length);
        }
        expect(sink.found, `${first} ${second}`).toEqual(FOUND);
      }
    }
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
