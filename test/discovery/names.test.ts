import { describe, expect, test } from "vitest";
import { HubcastError } from "../../src/core/errors.js";
import {
  compareRecordSets,
  type DnsRecord,
  decodeTxt,
  encodeTxt,
  hostName,
  instanceLabel,
  labelOf,
  sameName,
} from "../../src/discovery/records.js";

describe("names", () => {
  test.each([
    ["web", 1, "web"],
    ["web", 2, "web (2)"],
    ["node.example.org", 1, "node.example.org"],
    ["a\u0085b\u202ec", "0a1b2c3d", "abc (0a1b2c3d)"],
    ["  a\u0007b ", 1, "ab"],
    ["", 1, "hubcast"],
    ["...", 3, "... (3)"],
    ["x".repeat(70), 12, `${"x".repeat(58)} (12)`],
    ["é".repeat(40), 1, "é".repeat(31)],
    ["😀".repeat(20), 2, `${"😀".repeat(14)} (2)`],
  ])("%j as label %i is %j", (wish, attempt, label) => {
    expect(instanceLabel(wish, attempt)).toBe(label);
    expect(Buffer.byteLength(label)).toBeLessThanOrEqual(63);
  });

  test.each([
    ["Web._HUBCAST._tcp.LOCAL", "Web"],
    ["a.b._hubcast._tcp.local", "a.b"],
    ["_hubcast._tcp.local", undefined],
    ["._hubcast._tcp.local", undefined],
    ["web._hubcast-hub._tcp.local", undefined],
    ["a\u0000._hubcast._tcp.local", undefined],
    ["a\u202eb._hubcast._tcp.local", undefined],
    [`${"a".repeat(63)}._hubcast._tcp.local`, "a".repeat(63)],
    [`${"a".repeat(60)}.bcd._hubcast._tcp.local`, undefined],
  ])("the label of %j is %j", (name, label) => {
    expect(labelOf(name, "_hubcast._tcp")).toBe(label);
  });

  test("case counts for letters outside ASCII only", () => {
    expect(sameName("WEB.local", "web.LOCAL")).toBe(true);
    expect(sameName("É.local", "é.local")).toBe(false);
  });

  test("a host name is one label, whatever the id", () => {
    expect(hostName("12D3KooWAbc")).toBe("hubcast-12D3KooWAbc.local");
    expect(hostName("a.b/c")).toMatch(/^hubcast-[0-9a-f]{32}\.local$/);
    expect(hostName("x".repeat(60))).toMatch(/^hubcast-[0-9a-f]{32}\.local$/);
  });
});

describe("TXT", () => {
  test("is written with txtvers first and read back", () => {
    const txt = { id: "A", cluster: "", txtvers: "1", k: "0a=b" };
    const entries = encodeTxt(txt);
    expect(entries.map(String)).toEqual(["txtvers=1", "id=A", "cluster=", "k=0a=b"]);
    expect(decodeTxt(entries)).toEqual(txt);
    expect(encodeTxt({}).map(String)).toEqual([""]);
  });

  test.each([
    [["ID=1", "id=2"], { id: "1" }],
    [["flag", "=x", ""], { flag: "" }],
    [["a=\u001b[31m", "b=1"], { b: "1" }],
    [[Buffer.of(0x61, 0x3d, 0xff), "b=1"], { b: "1" }],
  ])("%j reads as %j", (strings, txt) => {
    expect(decodeTxt(strings.map((text) => Buffer.from(text as string)))).toEqual(txt);
  });

  test("a key that would reach the prototype is an entry like any other", () => {
    const txt = decodeTxt([Buffer.from("__proto__=x")]);
    expect(Object.getPrototypeOf(txt)).toBe(Object.prototype);
    expect(Object.entries(txt)).toEqual([["__proto__", "x"]]);
  });

  test("only the first 64 entries of a foreign record are read", () => {
    const entries = Array.from({ length: 5_000 }, (_, index) => Buffer.from(`k${index}=v`));
    expect(Object.keys(decodeTxt(entries))).toHaveLength(64);
  });

  test.each([
    [{ k: "x".repeat(254) }],
    [{ "a=b": "1" }],
    [{ "": "1" }],
    [Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`k${index}`, "x".repeat(200)]))],
  ])("what does not fit is refused: %#", (txt) => {
    expect(() => encodeTxt(txt)).toThrow(HubcastError);
  });
});

describe("simultaneous probes", () => {
  const txt = (...entries: string[]): DnsRecord => ({
    name: "x",
    type: "TXT",
    ttlS: 1,
    flush: true,
    data: entries.map((entry) => Buffer.from(entry)),
  });
  const srv = (port: number, target: string): DnsRecord => ({
    name: "x",
    type: "SRV",
    ttlS: 1,
    flush: true,
    data: { priority: 0, weight: 0, port, target },
  });

  test.each([
    ["equal sets tie, in any order", [txt("a"), srv(1, "h.local")], [srv(1, "h.local"), txt("a")], 0],
    ["later data wins", [srv(200, "h.local")], [srv(199, "h.local")], 1],
    ["data is compared as unsigned bytes", [srv(128 << 8, "h")], [srv(127 << 8, "h")], 1],
    ["a later type wins over later data", [srv(0, "a")], [txt("zzz")], 1],
    ["what runs out first loses", [txt("a")], [txt("a"), srv(1, "h.local")], -1],
    ["nothing loses against something", [], [txt("a")], -1],
  ])("%s", (_, ours, theirs, sign) => {
    expect(Math.sign(compareRecordSets(ours, theirs))).toBe(sign);
    expect(Math.sign(compareRecordSets(theirs, ours))).toBe(sign === 0 ? 0 : -sign);
  });
});
