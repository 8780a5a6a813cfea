import type { Item } from "../item.js";
import { type Bound, END, START } from "./bound.js";
import {
  addDigest,
  type Fingerprint,
  fingerprintOf,
  readDigest,
  readDigestOf,
  type Sum,
  subtract,
  zeroSum,
} from "./sum.js";
import { Branch, Leaf, type TreeNode } from "./tree.js";

/** Items read at a time by an iteration: one descent of the tree is paid for so many. */
const CHUNK_ITEMS = 128;
/** So few items are summed one by one: two descents would parse as many digests in leaves they cover in part. */
const SCAN_ITEMS_MAX = 128;

/**
 * The replicated set in order of (timestampMs, digest): a B+-tree whose nodes know the count and the sum of what is
 * below them, so that any range is fingerprinted without reading it. It refers to the items it is given and adds 22 to
 * 46 bytes to each, least where they come in order of time; of `HeldItem`s it reads the bytes in place. Insert, delete,
 * rank and fingerprint cost O(log n) (bench/item-set.ts).
 */
export class ItemSet {
  private root: TreeNode = new Leaf();
  private readonly term = zeroSum();

  constructor(items: Iterable<Item> = []) {
    for (const item of items) this.insert(item);
  }

  get size(): number {
    return this.root.count;
  }

  /**
   * @param place that of the item; given where its digest is at hand as text
   * @returns false when the item is held already
   */
  insert(item: Item, place: Bound = placeOf(item)): boolean {
    const result = this.root.insert(item, place, readDigestOf(item, this.term), true);
    if (typeof result !== "boolean") this.root = new Branch([this.root, result], [START, result.low]);
    return result !== false;
  }

  /**
   * @param item needs no more than its timestampMs and its whole digest
   * @returns false when the item is not held
   */
  delete(item: Bound): boolean {
    const place = placeOf(item);
    if (!this.root.delete(place, readDigest(place.digest, this.term))) return false;
    // A branch over one node is no branch, and one over none is an empty leaf.
    while (this.root instanceof Branch && this.root.children.length < 2) {
      this.root = this.root.children[0] ?? new Leaf();
    }
    return true;
  }

  /** @param item needs no more than its timestampMs and its whole digest */
  has(item: Bound): boolean {
    return this.root.has(placeOf(item));
  }

  first(): Item | undefined {
    return this.size === 0 ? undefined : this.root.at(0);
  }

  last(): Item | undefined {
    return this.size === 0 ? undefined : this.root.at(this.size - 1);
  }

  /** How many items lie before the bound: 0..size. */
  rank(bound: Bound): number {
    return this.root.rank(placeOf(bound));
  }

  /** The item with that many before it. @throws RangeError when rank is not in 0..size-1 */
  at(rank: number): Item {
    if (!(rank >= 0 && rank < this.size)) throw new RangeError(`no item has rank ${rank} among ${this.size}`);
    return this.root.at(rank);
  }

  /** Items with ranks `from` up to but without `to`, as an array of its own. */
  slice(from: number, to: number): Item[] {
    const items: Item[] = [];
    this.root.collect(Math.max(from, 0), Math.min(to, this.size), items);
    return items;
  }

  /**
   * The next items behind a place, oldest first. With the last one as the next `cursor` this pages through the
   * set while it changes: each item that stays is seen once, none twice.
   * @param cursor a bound, or an item, which is not given again
   */
  after(cursor: Bound, limit: number): Item[] {
    const from = this.rankAfter(cursor);
    return this.slice(from, from + limit);
  }

  /**
   * Items from a bound up to but without another, oldest first. The set may change meanwhile: every item that stays is
   * given once; one that comes ahead of the reader may be given or not; one that goes may still be given.
   */
  *range(from: Bound = START, to: Bound = END): IterableIterator<Item> {
    let rank = this.rank(from);
    for (;;) {
      const items = this.slice(rank, Math.min(rank + CHUNK_ITEMS, this.rank(to)));
      yield* items;
      if (items.length < CHUNK_ITEMS) return;
      rank = this.rankAfter(items.at(-1)!);
    }
  }

  /** The same items, newest first; what changes meanwhile is given or not likewise. */
  *rangeBack(from: Bound = START, to: Bound = END): IterableIterator<Item> {
    let end = this.rank(to);
    for (;;) {
      const items = this.slice(Math.max(this.rank(from), end - CHUNK_ITEMS), end).reverse();
      yield* items;
      if (items.length < CHUNK_ITEMS) return;
      end = this.rank(items.at(-1)!);
    }
  }

  [Symbol.iterator](): IterableIterator<Item> {
    return this.range();
  }

  /** Count and fingerprint of the items from a bound up to but without another. */
  fingerprint(from: Bound = START, to: Bound = END): Fingerprint {
    const [fromRank, toRank] = [this.rank(from), this.rank(to)];
    const count = Math.max(toRank - fromRank, 0);
    return { count, fingerprint: fingerprintOf(this.sum(fromRank, fromRank + count), count) };
  }

  /** Sum of the digests with ranks `from` up to but without `to`. */
  sum(from: number, to: number): Sum {
    if (to - from <= SCAN_ITEMS_MAX) return sumOf(this.slice(from, to));
    const sum = this.prefixSum(to);
    if (from > 0) subtract(sum, this.prefixSum(from));
    return sum;
  }

  private rankAfter(cursor: Bound): number {
    return this.rank(cursor) + (this.has(cursor) ? 1 : 0);
  }

  private prefixSum(rank: number): Sum {
    const sum = zeroSum();
    this.root.addPrefix(rank, sum);
    return sum;
  }
}

/** The bound of a search, prepared for many comparisons. */
function placeOf({ timestampMs, digest }: Bound): Bound {
  return { timestampMs, digest };
}

function sumOf(items: readonly Item[]): Sum {
  const sum = zeroSum();
  for (const item of items) addDigest(sum, item);
  return sum;
}
