import fc from "fast-check";
import type { Item } from "../../../../src/node/protocol/item.js";
import { makeItem } from "../item-set/make-item.js";

/** The items of two peers: some in common, some with one of them only. */
export interface TwoSets {
  left: Item[];
  right: Item[];
  onlyLeft: string[];
  onlyRight: string[];
}

/** From empty to `itemsMax` of each kind; timestamps from all equal to nearly all different, never above 2^31. */
export function twoSets(itemsMax: number): fc.Arbitrary<TwoSets> {
  const count = fc.oneof(fc.nat(3), fc.nat(40), fc.nat(itemsMax));
  return fc
    .record({
      common: count,
      left: count,
      right: count,
      timestampMax: fc.constantFrom(0, 3, 1000, 2_000_000_000),
      seed: fc.nat(),
    })
    .map(({ common, left, right, timestampMax, seed }) => {
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
    });
}

/** Sorted, to be compared. */
export function digestsOf(items: Iterable<Item>): string[] {
  return Array.from(items, (item) => item.digest).sort();
}
