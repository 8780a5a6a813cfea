import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareItems, type Item } from "../../../../src/node/replica/item.js";
import { type Bound, compareBounds, END, START } from "../../../../src/node/replica/item-set/bound.js";
import { ItemSet } from "../../../../src/node/replica/item-set/item-set.js";
import { checkTree, leafFill } from "./check-tree.js";
import { makeItem } from "./make-item.js";

const item = fc
  .record({ serial: fc.nat(400), timestampMs: fc.nat(30) })
  .map(({ serial, timestampMs }) => makeItem(serial, timestampMs));
const bound: fc.Arbitrary<Bound> = fc.oneof(
  item,
  fc.constantFrom(START, END),
  fc.record({ timestampMs: fc.nat(31), digest: fc.stringMatching(/^([0-9a-f]{2}){0,3}$/) }),
);

/** Inserts items in this order. The tree is looked at on the way. */
function filled(items: readonly Item[]): ItemSet {
  const set = new ItemSet();
  for (const [index, item] of items.entries()) {
    set.insert(item);
    if (index % 997 === 0) checkTree(set);
  }
  return set;
}

describe("ItemSet", () => {
  test("agrees with a sorted array whatever is inserted and deleted", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), item), { maxLength: 300 }), (steps) => {
        const set = new ItemSet();
        const model = new Map<string, Item>();
        for (const [isInsert, item] of steps) {
          if (isInsert) expect(set.insert(item)).toBe(!model.has(item.digest));
          else expect(set.delete(item)).toBe(model.has(item.digest));
          // An item that is held stays the object that it was.
          if (!isInsert) model.delete(item.digest);
          else if (!model.has(item.digest)) model.set(item.digest, item);
        }
        expectSame(set, sorted(model.values()));
      }),
    );
  });

  test("ranks, reads and fingerprints any range as a scan would", () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 300 }), bound, bound, fc.nat(50), (items, from, to, limit) => {
        const set = new ItemSet(items);
        const all = sorted(new Map(items.map((item) => [item.digest, item])).values());
        const within = all.filter((item) => !isBelow(item, from) && isBelow(item, to));
        expect(set.rank(from)).toBe(all.filter((item) => isBelow(item, from)).length);
        expect([...set.range(from, to)]).toEqual(within);
        expect(set.fingerprint(from, to)).toEqual({
          count: within.length,
          fingerprint: scannedFingerprint(within),
        });
        const behind = all.filter((item) => compareBounds(item, from) > 0);
        expect(set.after(from, limit)).toEqual(behind.slice(0, limit));
      }),
    );
  });

  // Large enough for three levels, so that branches split, thin out and merge.
  test.each(["ascending", "descending", "random"] as const)("keeps its shape: %s, 20,000 items", (order) => {
    const items = sorted(Array.from({ length: 20_000 }, (_, serial) => makeItem(serial, serial % 7_000)));
    if (order === "descending") items.reverse();
    if (order === "random") items.sort((a, b) => (a.digest < b.digest ? -1 : 1));
    const set = filled(items);
    expectSame(set, sorted(items));

    for (const [index, item] of items.entries()) {
      if (index % 10 === 0) continue;
      set.delete(item);
      if (index % 997 === 0) checkTree(set);
    }
    const left = items.filter((_, index) => index % 10 === 0);
    expectSame(set, sorted(left));
    for (const item of left) set.delete(item);
    expectSame(set, []);
  });

  // Within a millisecond, items come in the order of nothing: their digests are hashes.
  test.each([
    { perMs: 1, order: "in order of time", fill: 0.99 },
    { perMs: 20, order: "in order of time", fill: 0.9 },
    { perMs: 50, order: "in order of time", fill: 0.7 },
    { perMs: 300, order: "in order of time", fill: 0.5 },
    { perMs: 20, order: "newest first", fill: 0.5 },
    { perMs: 20, order: "in any order", fill: 0.6 },
  ])("fills its leaves: $perMs items a millisecond, $order", ({ perMs, order, fill }) => {
    const items = Array.from({ length: 20_000 }, (_, serial) => makeItem(serial, Math.floor(serial / perMs)));
    if (order === "newest first") items.reverse();
    if (order === "in any order") items.sort((a, b) => (a.digest < b.digest ? -1 : 1));
    const set = filled(items);
    expectSame(set, sorted(items));
    expect(leafFill(set)).toBeGreaterThan(fill);

    const left = items.filter((_, index) => index % 3 === 0);
    for (const [index, item] of items.entries()) {
      if (index % 3 !== 0) set.delete(item);
      if (index % 997 === 0) checkTree(set);
    }
    expectSame(set, sorted(left));
    for (const item of items) set.insert(item);
    expectSame(set, sorted(items));
  });

  test("finds every item after stretches went, a few came back, and branches merged", () => {
    const items = sorted(Array.from({ length: 30_000 }, (_, serial) => makeItem(serial, serial)));
    const set = new ItemSet([...items].sort((a, b) => (a.digest < b.digest ? -1 : 1)));
    // A stretch that holds the first children of a branch moves its lowest separator up; what comes back lies below it.
    for (let start = 0; start < items.length; start += 600) {
      for (const item of items.slice(start, start + 500)) set.delete(item);
      for (let rank = start; rank < start + 500; rank += 7) set.insert(items[rank]!);
    }
    checkTree(set);
    const stays = (rank: number) => rank % 35 === 0;
    const left = items.filter((item, rank) => stays(rank) && set.has(item));
    for (const [rank, item] of items.entries()) {
      if (!stays(rank)) set.delete(item);
      if (rank % 97 === 0) checkTree(set);
    }
    expectSame(set, left);
    expect(left.every((item) => set.has(item))).toBe(true);
    for (const item of items) set.insert(item);
    expectSame(set, items);
  });

  test("holds the very objects it was given", () => {
    const item = makeItem(1, 5);
    expect(new ItemSet([item]).at(0)).toBe(item);
  });

  test("refuses a rank that no item has", () => {
    const set = new ItemSet([makeItem(1, 5)]);
    for (const rank of [-1, 1, Number.NaN]) expect(() => set.at(rank)).toThrow(RangeError);
    expect(new ItemSet().first()).toBeUndefined();
    expect(new ItemSet().last()).toBeUndefined();
  });

  test("an iteration gives every item that stays once, whatever changes meanwhile", () => {
    const staying = Array.from({ length: 3_000 }, (_, serial) => makeItem(serial, serial * 2));
    const going = Array.from({ length: 3_000 }, (_, serial) => makeItem(10_000 + serial, serial * 2));
    const set = new ItemSet([...staying, ...going]);
    const seen: Item[] = [];
    for (const item of set) {
      seen.push(item);
      if (seen.length > 20_000) break;
      const gone = going.pop();
      if (gone) set.delete(gone);
      // Half of the new ones come behind the reader, half ahead of it, so that it also comes to an end.
      set.insert(makeItem(20_000 + seen.length, seen.length % 2 === 0 ? 0 : item.timestampMs + 500));
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(sorted(seen));
    const digests = new Set(seen.map((item) => item.digest));
    expect(staying.filter((item) => !digests.has(item.digest))).toEqual([]);
  });
});

test("compareBounds counts omitted digits as zeros", () => {
  expect(compareBounds({ timestampMs: 1, digest: "ab" }, { timestampMs: 1, digest: "ab00" })).toBe(0);
  expect(compareBounds({ timestampMs: 1, digest: "ab" }, { timestampMs: 1, digest: "ab01" })).toBe(-1);
  expect(compareBounds(END, { timestampMs: 1, digest: "ab01" })).toBe(1);
  expect(compareBounds(END, END)).toBe(0);
});

function expectSame(set: ItemSet, expected: readonly Item[]): void {
  checkTree(set);
  expect(set.size).toBe(expected.length);
  expect([...set]).toEqual(expected);
  expect(set.first()).toBe(expected[0]);
  expect(set.last()).toBe(expected.at(-1));
  expect(expected.every((item, rank) => set.rank(item) === rank && set.at(rank) === item)).toBe(true);
  expect(set.fingerprint()).toEqual({ count: expected.length, fingerprint: scannedFingerprint(expected) });
}

function sorted(items: Iterable<Item>): Item[] {
  return [...items].sort(compareItems);
}

function isBelow(item: Item, bound: Bound): boolean {
  return compareBounds(item, bound) < 0;
}

/** The definition in the specification, with big integers. */
function scannedFingerprint(items: readonly Item[]): string {
  const littleEndian = (digest: string) =>
    BigInt(`0x${Buffer.from(digest, "hex").reverse().toString("hex")}`);
  const sum = items.reduce((total, item) => total + littleEndian(item.digest), 0n) % 2n ** 256n;
  const bytes = Buffer.from(sum.toString(16).padStart(64, "0"), "hex").reverse();
  const count =
    items.length < 128 ? [items.length] : [128 + Math.floor(items.length / 128), items.length % 128];
  if (items.length >= 16_384)
    count.splice(0, 1, 128 + (items.length >> 14), 128 + ((items.length >> 7) % 128));
  return createHash("sha256").update(bytes).update(Buffer.from(count)).digest("hex").slice(0, 32);
}
