import { describe, expect, it } from "vitest";
import { type HeldItem, ItemMemory, wholeItem } from "../../../../src/node/replica/held/held-item.js";
import { type Item, withDigest } from "../../../../src/node/replica/item.js";

const itemOf = (serial: number, rawBytes = 200): Item =>
  withDigest({ id: `item-${serial}`, raw: "x".repeat(rawBytes), signature: "none", timestampMs: serial });

function shelved(items: readonly Item[]) {
  const byDigest = new Map<string, HeldItem>();
  const memory = new ItemMemory((digest) => byDigest.get(digest));
  for (const item of items) byDigest.set(item.digest, memory.hold(item));
  const release = (item: Item) => {
    const held = byDigest.get(item.digest)!;
    byDigest.delete(item.digest);
    memory.release(held);
    return held;
  };
  return { byDigest, memory, release };
}

describe("the memory", () => {
  const items = Array.from({ length: 20_000 }, (_, serial) => itemOf(serial));
  const heldBytes = (byDigest: ReadonlyMap<string, HeldItem>) =>
    [...byDigest.values()].reduce((sum, held) => sum + held.recordBytes, 0);

  it("take little for few, and hardly more than the records for many", () => {
    expect(shelved([]).memory.size).toBe(0);
    expect(shelved(items.slice(0, 1)).memory.size).toBeLessThan(5_000);
    const { memory, byDigest } = shelved(items);
    expect(memory.size).toBeLessThan(1.1 * heldBytes(byDigest));
  });

  it("give everything back when items go in the order in which they came", () => {
    const { memory, byDigest, release } = shelved(items);
    for (const item of items) {
      release(item);
      expect(memory.size).toBeLessThanOrEqual(heldBytes(byDigest) + 2 * 262_144);
      if (byDigest.size === 19_000) break;
    }
    for (const { digest } of [...byDigest.values()]) release({ digest } as Item);
    expect(memory.size).toBeLessThanOrEqual(262_144);
  });

  it("stay within twice what is held when one of many stays, and move none of those out of reach", () => {
    const { memory, byDigest, release } = shelved(items);
    const gone: [Item, HeldItem][] = [];
    for (const [index, item] of items.entries()) if (index % 50 !== 0) gone.push([item, release(item)]);
    expect(memory.size).toBeLessThanOrEqual(2 * heldBytes(byDigest) + 2 * 262_144);
    for (const item of items.filter((_, index) => index % 50 === 0))
      expect(wholeItem(byDigest.get(item.digest)!)).toEqual(item);
    // An item that went can still be read by its holder, an event for example.
    for (const [item, held] of gone.slice(0, 100)) expect(wholeItem(held)).toEqual(item);
  });

  it("hold items of any size", () => {
    const large = [1_000_000, 10, 262_144, 262_000, 131_000, 1, 300_000].map((bytes, serial) =>
      itemOf(serial, bytes),
    );
    const { byDigest, release, memory } = shelved(large);
    for (const item of large) expect(wholeItem(byDigest.get(item.digest)!)).toEqual(item);
    for (const item of large) release(item);
    expect(memory.size).toBeLessThanOrEqual(300_400);
  });
});
