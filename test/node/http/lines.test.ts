import fc from "fast-check";
import { expect, test } from "vitest";
import { LineBlocks, type Lines } from "../../../src/node/http/lines.js";

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
