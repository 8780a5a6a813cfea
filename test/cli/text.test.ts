import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstLine, shown } from "../../src/cli/text.js";

describe("shown", () => {
  it.each([
    ["plain", 10, "plain"],
    ["exactly ten", 11, "exactly ten"],
    ["one too long", 11, "one too lo…"],
    ["日本語", 6, "日本語"],
    ["日本語", 5, "日本…"],
    ["日本語", 4, "日…"],
    ["e\u0301e\u0301", 2, "e\u0301e\u0301"],
    ["\x1b[31mred\x07", Number.POSITIVE_INFINITY, "␛[31mred␇"],
    ["a\u202eb\x7f\x9bc", Number.POSITIVE_INFINITY, "a\ufffdb␡\ufffdc"],
  ])("%j in %d columns", (text, columns, line) => {
    expect(shown(text, columns)).toBe(line);
  });

  it("never passes a control character on to the terminal", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/\p{Cc}/u.test(shown(text, 20))));
  });
});

describe("firstLine", () => {
  it.each([
    ["one", "one"],
    ["one\n", "one"],
    ["one\r\ntwo", "one …"],
    ["\ntwo", " …"],
  ])("of %j is %j", (text, line) => {
    expect(firstLine(text)).toBe(line);
  });
});
