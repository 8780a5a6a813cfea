import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeBatch,
  decodeItem,
  encodeBatch,
  encodedLength,
  encodeItem,
  ItemDecodeError,
  itemFault,
  withDigest,
} from "../../../src/node/replica/item.js";
import {
  integritySignature,
  normaliseSignature,
  schemeOf,
  verifySignature,
} from "../../../src/node/replica/signature.js";
import { itemOf, itemsOf, NOW } from "./replica-kit.js";

const good = { id: "id", raw: "raw", signature: "s", timestampMs: NOW };

describe("the fields of an item", () => {
  it.each([
    ["as they should be", good],
    [
      "at their longest",
      { ...good, id: "i".repeat(256), raw: "r".repeat(1_000_000), signature: "s".repeat(512) },
    ],
    ["in other scripts", { ...good, id: "ключ 🔑", raw: "日本語" }],
    ["with line breaks in raw", { ...good, raw: "a\nb\u0000" }],
  ])("are good %s", (_, fields) => {
    expect(itemFault(fields)).toBeUndefined();
  });

  it.each([
    ["id is empty", { ...good, id: "" }],
    ["id has 257 bytes", { ...good, id: `${"é".repeat(128)}x` }],
    ["id has a control character", { ...good, id: "a\u0085" }],
    ["id has a control character", { ...good, id: "a\n" }],
    ["id is not valid UTF-8", { ...good, id: "\ud800" }],
    ["raw is empty", { ...good, raw: "" }],
    ["raw has 1000002 bytes", { ...good, raw: "日".repeat(333_334) }],
    ["signature has 513 bytes", { ...good, signature: "s".repeat(513) }],
    ["timestampMs -1 is not", { ...good, timestampMs: -1 }],
    ["timestampMs 0.5 is not", { ...good, timestampMs: 0.5 }],
  ])("%s", (said, fields) => {
    expect(itemFault(fields)).toContain(said);
  });
});

describe("the canonical encoding", () => {
  const text = (maxLength: number) =>
    fc.string({ unit: "grapheme", minLength: 1, maxLength }).filter((value) => value.isWellFormed());
  const fields = fc.record({
    id: text(60).filter((id) => !itemFault({ ...good, id })),
    raw: text(300),
    signature: text(60),
    timestampMs: fc.nat(Number.MAX_SAFE_INTEGER),
  });

  it("comes out as it went in, with the SHA-256 of its bytes as digest", () => {
    fc.assert(
      fc.property(fields, (item) => {
        const bytes = Buffer.alloc(encodedLength(item) + 3);
        const end = encodeItem(item, bytes, 3);
        expect(end).toBe(bytes.length);
        const digest = createHash("sha256").update(bytes.subarray(3)).digest("hex");
        expect(decodeItem(bytes, 3)).toEqual({ item: { ...item, digest }, end });
        expect(withDigest(item)).toEqual({ ...item, digest });
      }),
      { numRuns: 500 },
    );
  });

  it("of any two different items differs", () => {
    const base = withDigest(good).digest;
    const others = [
      { id: "ie" },
      { raw: "rax" },
      { signature: "t" },
      { timestampMs: NOW + 1 },
      { id: "i", raw: "draw" },
    ];
    for (const other of others) expect(withDigest({ ...good, ...other }).digest).not.toBe(base);
  });
});

describe("a batch", () => {
  it.each([0, 1, 100])("of %d items comes out as it went in", (count) => {
    const items = itemsOf(count);
    expect(decodeBatch(encodeBatch(items))).toEqual(items);
  });

  it("is refused when it is cut anywhere but between items", () => {
    const items = itemsOf(2);
    const bytes = encodeBatch(items);
    const between = 1 + encodedLength(items[0]!);
    for (let end = 0; end < bytes.length; end++) {
      if (end === 1 || end === between)
        expect(decodeBatch(bytes.subarray(0, end))).toHaveLength(end === 1 ? 0 : 1);
      else expect(() => decodeBatch(bytes.subarray(0, end))).toThrow(ItemDecodeError);
    }
  });

  it("is refused for another version, or an item that breaks a rule", () => {
    expect(() => decodeBatch(Uint8Array.of(2))).toThrow(/version 2/);
    expect(() => decodeBatch(encodeBatch([{ ...itemOf("a"), id: "a\n" }]))).toThrow(/control character/);
  });
});

describe("a signature", () => {
  const md5 = createHash("md5").update("raw").digest("hex");
  const sha256 = `sha256:${createHash("sha256").update("raw").digest("hex")}`;

  it.each([
    ["md5", md5],
    ["sha256", sha256],
    [undefined, "none"],
    [undefined, md5.slice(1)],
    [undefined, `${md5}0`],
    [undefined, "sha256:"],
  ])("names its scheme: %s", (scheme, signature) => {
    expect(schemeOf(signature)).toBe(scheme);
  });

  it.each([md5, sha256])("holds for its raw alone: %s", (signature) => {
    expect(verifySignature({ id: "a", timestampMs: 1, raw: "raw", signature })).toBe(true);
    expect(verifySignature({ id: "a", timestampMs: 1, raw: "Raw", signature })).toBe(false);
    expect(
      verifySignature({ id: "a", timestampMs: 1, raw: "raw", signature: signature.replace(/.$/, "g") }),
    ).toBe(false);
  });

  it("has one spelling: hex in lower case", () => {
    expect([md5, sha256].map((value) => normaliseSignature(value.toUpperCase()))).toEqual([md5, sha256]);
    expect(normaliseSignature("Anything Else")).toBe("Anything Else");
  });

  it("that a node makes is accepted by all", () => {
    expect(verifySignature({ id: "a", timestampMs: 1, raw: "x", signature: integritySignature("x") })).toBe(
      true,
    );
  });
});
