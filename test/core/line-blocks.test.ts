import fc from "fast-check";
import { expect, test } from "vitest";
import { JoinedBytes, LineBlocks, type Lines, portionsOf } from "../../src/core/buffers.js";

const LINE_BYTES_MAX = 40;

test("however a stream is cut into chunks, the lines are the same", () => {
  const line = fc.string({ unit: fc.constantFrom("a", "é", "✓", " "), maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(line),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (lines, ends, cuts) => {
        const bytes = Buffer.from(lines.join("\n") + (ends ? "\n" : ""));
        const expected = bytes
          .toString()
          .split("\n")
          .filter((text) => text !== "");
        expect(linesOf(bytes, cuts)).toEqual(expected);
      },
    ),
  );
});

test("a line past the limit is one mark, wherever it is cut", () => {
  const bytes = Buffer.from(`before\n${"x".repeat(1_000)}\nafter\n`);
  for (let size = 1; size < LINE_BYTES_MAX; size++) {
    expect(linesOf(bytes, [size])).toEqual(["before", "tooLong", "after"]);
  }
});

test("portions have the same lines in the same order, and no more than they may", () => {
  const text = fc.array(fc.constantFrom("", "a", "bb"), { maxLength: 40 }).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(
      fc.array(fc.oneof(text, fc.constant("tooLong"))),
      fc.integer({ min: 1, max: 9 }),
      (texts, max) => {
        const lines = texts.map((part): Lines => (part === "tooLong" ? part : { block: Buffer.from(part) }));
        const textOf = (part: Lines) => (part === "tooLong" ? part : part.block.toString());
        const portions = [...portionsOf(lines, max)].map((portion) =>
          portion.map(textOf).join("\n").split("\n"),
        );
        for (const portion of portions) expect(portion.length).toBeLessThanOrEqual(max);
        expect(portions.flat()).toEqual(texts.flatMap((part) => part.split("\n")));
      },
    ),
  );
});

test("joined bytes are what came, and pieces of one byte take no Buffer each", () => {
  const joined = new JoinedBytes();
  fc.assert(
    fc.property(fc.array(fc.constantFrom(1, 2, 4_095, 4_096, 20_000), { maxLength: 12 }), (sizes) => {
      const pieces = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const piece of pieces) joined.push(piece);
      expect(joined.take().equals(Buffer.concat(pieces))).toBe(true);
      expect(joined.length).toBe(0);
    }),
  );
});

function linesOf(bytes: Buffer, cuts: readonly number[]): string[] {
  const blocks = new LineBlocks(LINE_BYTES_MAX);
  const found: Lines[] = [];
  for (let start = 0, index = 0; start < bytes.length; index++) {
    const end = start + cuts[index % cuts.length]!;
    found.push(...blocks.push(bytes.subarray(start, end)));
    start = end;
  }
  found.push(...blocks.end());
  return found
    .flatMap((lines) => (lines === "tooLong" ? [lines] : lines.block.toString().split("\n")))
    .filter((text) => text !== "");
}
