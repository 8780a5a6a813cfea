import { encode } from "cborg";
import { describe, expect, it } from "vitest";
import { decodeBatch, encodeBatch, type Item, withDigest } from "../../../src/node/replica/item.js";
import { decodeFrame, encodeFrame, type ItemsFrame, itemsFrame } from "../../../src/node/replica/wire.js";

const itemOf = (rawBytes: number): Item =>
  withDigest({ id: "id", raw: "r".repeat(rawBytes), signature: "s", timestampMs: 1 });

describe("an items frame", () => {
  // Around each length at which CBOR takes another byte.
  const lengths = [23, 24, 255, 256, 65_535, 65_536, 300_000].flatMap((bytes) => [
    bytes - 22,
    bytes - 21,
    bytes - 20,
  ]);
  const rows = lengths
    .filter((bytes) => bytes > 0)
    .flatMap((bytes) => [0, 23, 24, 255, 256, 1_024].map((served) => [bytes, served]));

  it.each(rows)(
    "with raw of %d bytes and %d served is the CBOR that it was, and nothing is copied",
    (bytes, served) => {
      const item = itemOf(bytes!);
      const frame = itemsFrame(served!, [item]);
      const encoded = encodeFrame(frame);
      expect(Buffer.compare(encoded, encode(frame))).toBe(0);
      expect(encoded.buffer).toBe(frame.batch.buffer);
      expect(decodeBatch((decodeFrame(encoded) as ItemsFrame).batch)).toEqual([item]);
    },
  );

  it("without items, too", () => {
    expect(Buffer.compare(encodeFrame(itemsFrame(3, [])), encode(itemsFrame(3, [])))).toBe(0);
  });

  it("is right wherever the batch lies, and whatever lies around it", () => {
    const frame = itemsFrame(1, [itemOf(100)]);
    const batch = encodeBatch([itemOf(100)]);
    const before = Buffer.from(encodeFrame(frame));
    for (const other of [
      { ...frame, served: 2 },
      { ...frame, served: 1_000 },
      { ...frame, batch },
      { ...frame, batch: frame.batch.subarray(0, 0) },
      { ...frame, batch: frame.batch.subarray(1) },
    ])
      expect(Buffer.compare(encodeFrame(other), encode(other))).toBe(0);
    expect(Buffer.compare(encodeFrame(frame), before)).toBe(0);
  });
});
