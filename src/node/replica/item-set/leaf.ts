import { HeldItem } from "../held/held-item.js";
import type { Item } from "../item.js";
import type { Bound } from "./bound.js";
import { add, addDigest, type Sum, subtract, zeroSum } from "./sum.js";

/** Items in a leaf: more make inserts shift more, fewer make the tree larger. 64 and 256 were no better. */
export const LEAF_ITEMS_MAX = 128;

/** The bottom of the tree: a short sorted array of items, with their sum. */
export class Leaf {
  readonly items: Item[] = [];
  readonly sum: Sum = zeroSum();
  /** The items' timestamps side by side: a search touches these and few items, which lie all over the heap. */
  private readonly timestampsMs = new Float64Array(LEAF_ITEMS_MAX + 1);

  get count(): number {
    return this.items.length;
  }

  /** Lowest place that an item of this leaf takes now. */
  get low(): Bound {
    const { timestampMs, digest } = this.items[0]!;
    return { timestampMs, digest };
  }

  /** How many items lie before the bound: also the index where an item belongs. */
  rank(bound: Bound): number {
    let from = 0;
    let to = this.items.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const timestampMs = this.timestampsMs[middle]!;
      const before =
        timestampMs < bound.timestampMs ||
        (timestampMs === bound.timestampMs && isDigestBefore(this.items[middle]!, bound.digest));
      if (before) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  at(rank: number): Item {
    return this.items[rank]!;
  }

  /** Appends the items with ranks `from` up to but without `to`. */
  collect(from: number, to: number, into: Item[]): void {
    for (let index = from; index < to; index++) into.push(this.items[index]!);
  }

  has(item: Bound): boolean {
    return this.holdsAt(this.rank(item), item);
  }

  /**
   * @param place that of the item, its digest as text
   * @param term the item's digest as a number
   * @param isLast whether nothing lies behind this leaf
   * @returns false when the item is held already; a new leaf to put behind this one when it had to split
   */
  insert(item: Item, place: Bound, term: Sum, isLast: boolean): Leaf | boolean {
    const index = this.rank(place);
    if (this.holdsAt(index, place)) return false;
    this.timestampsMs.copyWithin(index + 1, index, this.items.length);
    this.timestampsMs[index] = place.timestampMs;
    this.items.splice(index, 0, item);
    add(this.sum, term);

    const { length } = this.items;
    if (length <= LEAF_ITEMS_MAX) return true;
    // Items mostly come in order: at the very end a full leaf stays full, and the newcomer opens the next.
    return this.split(isLast && index === length - 1 ? index : length >>> 1);
  }

  delete(place: Bound, term: Sum): boolean {
    const index = this.rank(place);
    if (!this.holdsAt(index, place)) return false;
    this.timestampsMs.copyWithin(index, index + 1, this.items.length);
    this.items.splice(index, 1);
    subtract(this.sum, term);
    return true;
  }

  /** Takes over all items of the leaf behind this one. */
  absorb(next: Leaf): void {
    this.timestampsMs.set(next.timestampsMs.subarray(0, next.count), this.count);
    this.items.push(...next.items);
    add(this.sum, next.sum);
  }

  /** Adds the digests of the first `rank` items. Costs a parse per item: a leaf has few. */
  addPrefix(rank: number, into: Sum): void {
    for (let index = 0; index < rank; index++) addDigest(into, this.items[index]!);
  }

  private holdsAt(index: number, item: Bound): boolean {
    const held = this.items[index];
    return (
      held !== undefined && this.timestampsMs[index] === item.timestampMs && hasDigest(held, item.digest)
    );
  }

  private split(index: number): Leaf {
    const right = new Leaf();
    right.timestampsMs.set(this.timestampsMs.subarray(index, this.count));
    right.items.push(...this.items.splice(index));
    right.addPrefix(right.count, right.sum);
    subtract(this.sum, right.sum);
    return right;
  }
}

function isDigestBefore(item: Item, digits: string): boolean {
  return item instanceof HeldItem ? item.isDigestBefore(digits) : item.digest < digits;
}

function hasDigest(item: Item, digest: string): boolean {
  return item instanceof HeldItem ? item.hasDigest(digest) : item.digest === digest;
}
