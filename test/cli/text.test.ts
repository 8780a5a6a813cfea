import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { table } from "../../src/cli/output.js";
import { columnsOf, firstLine, fitting, shown } from "../../src/core/text.js";

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

describe("columns", () => {
  it.each([
    ["kitchen", 7],
    ["日本語ノード", 12],
    ["Küche…", 6],
    ["e\u0301", 1],
    ["👨‍👩‍👧", 2],
    ["🇩🇪", 2],
    ["▁█▸≠", 4],
  ])("of %j are %d", (text, columns) => {
    expect(columnsOf(text)).toBe(columns);
  });

  it("a text is cut between graphemes, and as much is kept as fits", () => {
    const unit = fc.constantFrom("a", "é", "e\u0301", "日", "👨‍👩‍👧", "🇩🇪", " ", "…");
    fc.assert(
      fc.property(fc.array(unit), fc.nat(30), (units, columns) => {
        const text = units.join("");
        const end = fitting(text, columns);
        let whole = 0;
        while (whole < units.length && columnsOf(units.slice(0, whole + 1).join("")) <= columns) whole++;
        expect(text.slice(0, end)).toBe(units.slice(0, whole).join(""));
      }),
    );
  });

  it("line up in a table beside wide names", () => {
    const [head, ...rows] = table(
      ["name", "state"],
      [
        ["日本語ノード", "lost"],
        ["👨‍👩‍👧 attic", "left"],
        ["kitchen", "connected"],
      ],
    );
    expect([head, ...rows]).toEqual([
      "NAME          STATE",
      "日本語ノード  lost",
      "👨‍👩‍👧 attic      left",
      "kitchen       connected",
    ]);
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
