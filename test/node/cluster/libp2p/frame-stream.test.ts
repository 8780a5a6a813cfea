import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameReader, FrameTooLarge, frameHeader } from "../../../../src/node/cluster/libp2p/frame-stream.js";

const FRAMES = ["", "a", "frame", "x".repeat(300), ""];

function encode(frames: readonly string[]): Buffer {
  return Buffer.concat(frames.flatMap((frame) => [frameHeader(frame.length), Buffer.from(frame)]));
}

function read(chunks: readonly Uint8Array[]): string[] {
  const reader = new FrameReader(1_000);
  const frames: string[] = [];
  for (const chunk of chunks) reader.push(chunk, (frame) => frames.push(Buffer.from(frame).toString()));
  return frames;
}

test("frames cut at any two bytes are read as they were sent", () => {
  const bytes = encode(FRAMES);
  for (let first = 0; first <= bytes.length; first += 1) {
    for (let second = first; second <= bytes.length; second += 7) {
      const chunks = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
      expect(read(chunks)).toEqual(FRAMES);
    }
  }
});

test("frames are read a byte at a time, and after any cuts", () => {
  const bytes = encode(FRAMES);
  expect(read(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(FRAMES);
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary-ascii", maxLength: 40 })),
      fc.integer({ min: 1, max: 30 }),
      (frames, size) => {
        const all = encode(frames);
        const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
          all.subarray(at * size, (at + 1) * size),
        );
        expect(read(chunks)).toEqual(frames);
      },
    ),
  );
});

test("a length over the limit is refused before anything is kept for it", () => {
  expect(() => read([frameHeader(1_001)])).toThrow(FrameTooLarge);
  expect(() => read([Buffer.from("GET / HTTP/1.1")])).toThrow(FrameTooLarge);
  expect(read([frameHeader(1_000)])).toEqual([]);
});
