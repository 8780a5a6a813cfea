import { hash as sha256 } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HashTable, KeyedHash } from "../../../../src/node/replica/held/hash-table.js";

interface Entry {
  readonly key: string;
}

const tableOf = () => new HashTable<Entry>((entry, key) => entry.key === key);

describe("a hash table", () => {
  const good = new KeyedHash([1, 2]);
  const hashes: readonly [string, (key: string) => number][] = [
    ["a good hash", (key) => good.of(key)],
    ["few hashes, that of the empty place among them", (key) => key.length % 3],
    ["hashes that differ in the last bits only", (key) => Number(key.slice(1)) % 64],
    ["hashes that differ in the first bits only", (key) => (Number(key.slice(1)) << 24) >>> 0],
    ["the largest hashes", (key) => 0xffff_ffff - (Number(key.slice(1)) % 5)],
  ];

  it.each(hashes)("agrees with a Map, by %s", (_, hashOf) => {
    const step = fc.tuple(fc.constantFrom("set", "set", "delete"), fc.nat(300));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1_000, size: "max" }), (steps) => {
        const [table, model] = [tableOf(), new Map<string, Entry>()];
        for (const [what, number] of steps) {
          const key = `k${number}`;
          const before = model.get(key);
          if (what === "set") {
            const entry = { key };
            expect(table.set(hashOf(key), key, entry)).toBe(before);
            model.set(key, entry);
          } else {
            expect(table.delete(hashOf(key), key)).toBe(before);
            model.delete(key);
          }
          expect(table.size).toBe(model.size);
        }
        for (let number = 0; number <= 300; number++)
          expect(table.get(hashOf(`k${number}`), `k${number}`)).toBe(model.get(`k${number}`));
      }),
      { numRuns: 30 },
    );
  });

  // Segments split, thirty-two of them and more, and shrink again.
  it("holds many, and lets them go", () => {
    const table = tableOf();
    const entries = Array.from({ length: 50_000 }, (_, number) => ({ key: `key ${number}` }));
    for (const entry of entries) table.set(good.of(entry.key), entry.key, entry);
    expect(entries.every((entry) => table.get(good.of(entry.key), entry.key) === entry)).toBe(true);
    for (const [index, { key }] of entries.entries()) if (index % 7 !== 0) table.delete(good.of(key), key);
    const left = entries.map((entry) => table.get(good.of(entry.key), entry.key));
    expect(left).toEqual(entries.map((entry, index) => (index % 7 === 0 ? entry : undefined)));
    for (const { key } of entries) table.delete(good.of(key), key);
    expect(table.size).toBe(0);
  });
});

describe("a keyed hash", () => {
  const keys = Array.from({ length: 20_000 }, (_, number) => `item-${number}`);

  it("spreads over all bits, under each key in another way", () => {
    for (const shift of [0, 16, 24]) {
      const counts = new Array<number>(256).fill(0);
      for (const key of keys) counts[(good(1, 2, key) >>> shift) & 255]!++;
      // 78 are expected; eight standard deviations off would be a bug, not chance.
      expect(Math.min(...counts)).toBeGreaterThan(10);
      expect(Math.max(...counts)).toBeLessThan(150);
    }
    expect(keys.filter((key) => good(1, 2, key) === good(1, 3, key)).length).toBeLessThan(3);
    expect(new Set(keys.map((key) => good(1, 2, key))).size).toBeGreaterThan(19_990);
  });

  it("counts every unit and the length", () => {
    const all = ["", "\0", "\0\0", "a", "b", "ab", "ba", "abc", "abd", "abca", "é", "\u{1f600}"];
    expect(new Set(all.map((text) => good(7, 7, text))).size).toBe(all.length);
  });

  it("spreads digests likewise, those with the same first half, too", () => {
    const digests = keys.map((key) => sha256("sha256", key));
    for (const change of [(digest: string) => digest, (digest: string) => `00000000${digest.slice(8)}`]) {
      const counts = new Array<number>(256).fill(0);
      const hash = new KeyedHash([5, 6]);
      for (const digest of digests) counts[hash.ofDigest(change(digest)) >>> 24]!++;
      for (const digest of digests) counts[hash.ofDigest(change(digest)) & 255]!++;
      expect(Math.min(...counts)).toBeGreaterThan(70);
      expect(Math.max(...counts)).toBeLessThan(260);
    }
    const other = new KeyedHash([5, 7]);
    const same = digests.filter(
      (digest) => other.ofDigest(digest) === new KeyedHash([5, 6]).ofDigest(digest),
    );
    expect(same.length).toBeLessThan(3);
  });

  function good(key0: number, key1: number, text: string): number {
    return new KeyedHash([key0, key1]).of(text);
  }
});
