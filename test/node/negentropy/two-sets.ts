import fc from "fast-check";
import type { Item } from "../../../src/node/replica/item.js";
import { makeItem } from "../replica/item-set/make-item.js";

/** The choices that make the items of two peers: small enough to be read in a counterexample. */
interface Shape {
  common: number;
  left: number;
  right: number;
  timestampMax: number;
  seed: number;
}

/** From nothing to `itemsMax` of each kind; timestamps from all equal to nearly all different, never above 2^31. */
export function shapes(itemsMax: number): fc.Arbitrary<Shape> {
  const count = fc.oneof(fc.nat(3), fc.nat(40), fc.nat(itemsMax));
  const timestampMax = fc.constantFrom(0, 3, 1000, 2_000_000_000);
  return fc.record({ common: count, left: count, right: count, timestampMax, seed: fc.nat() });
}

/** The items of two peers: some in common, some with one of them only. */
export function makeTwoSets({ common, left, right, timestampMax, seed }: Shape) {
  const items = Array.from({ length: common + left + right }, (_, serial) =>
    makeItem(serial, (Math.imul(serial + seed, 0x9e37_79b1) >>> 0) % (timestampMax + 1)),
  );
  const onlyLeft = items.slice(common, common + left);
  const onlyRight = items.slice(common + left);
  return {
    left: [...items.slice(0, common), ...onlyLeft],
    right: [...items.slice(0, common), ...onlyRight],
    onlyLeft: digestsOf(onlyLeft),
    onlyRight: digestsOf(onlyRight),
  };
}

/** Sorted, to be compared. */
export function digestsOf(items: Iterable<Item>): string[] {
  return Array.from(items, (item) => item.digest).sort();
}
