import { HeldItem } from "../held/held-item.js";
import type { Item } from "../item.js";
import { type Bound, isBefore, START } from "./bound.js";
import { add, addDigest, type Sum, subtract, zeroSum } from "./sum.js";

/** Items in a leaf: more make inserts shift more, fewer make the tree larger. 64 and 256 were no better. */
export const LEAF_ITEMS_MAX = 128;

/** The bottom of the tree: a short sorted array of items, with their sum. */
export class Leaf {
  readonly items: Item[] = [];
  readonly sum: Sum = zeroSum();
  /** The items' timestamps side by side: a search touches these and few items, which lie all over the heap. */
  private readonly timestampsMs = new Float64Array(LEAF_ITEMS_MAX + 1);

  /** @param low what separates this leaf from the one before it, when it is made */
  constructor(readonly low: Bound = START) {}

  get count(): number {
    return this.items.length;
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
    const middle = length >>> 1;
    if (!isLast) return this.split(middle);
    // Items mostly come in order of time, and in any order within a millisecond: at the end of the tree the newcomer's
    // millisecond opens the next leaf, and this one stays nearly full. A millisecond that fills half of it is cut instead:
    // at a newcomer at the very end, or else in the middle.
    const start = this.rank({ timestampMs: place.timestampMs, digest: "" });
    if (start > middle) return this.split(start);
    return this.split(index === length - 1 ? index : middle);
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
    const timestampMs = this.timestampsMs[index]!;
    // Where nothing of its millisecond stays in this leaf, nothing of it that comes later belongs here either.
    const digest = this.timestampsMs[index - 1] === timestampMs ? this.items[index]!.digest : "";
    const right = new Leaf({ timestampMs, digest });
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

export type TreeNode = Leaf | Branch;

/** Children of a branch: with 128 items a leaf, three levels hold 500,000 items and four hold 30 million. */
export const BRANCH_CHILDREN_MAX = 64;

/** An inner node: its children in order, with the count and the sum of everything below. */
export class Branch {
  count = 0;
  readonly sum: Sum = zeroSum();
  readonly children: TreeNode[] = [];
  /**
   * `lows[i]` separates child i from the one before it. It may have been deleted since, so only the bound is
   * kept, not the item. `lows[0]` is never compared: what is lower than all belongs to the first child.
   */
  private readonly lows: Bound[] = [];

  constructor(children: readonly TreeNode[] = [], lows: readonly Bound[] = []) {
    this.children.push(...children);
    this.lows.push(...lows);
    for (const child of children) {
      this.count += child.count;
      add(this.sum, child.sum);
    }
  }

  get low(): Bound {
    return this.lows[0]!;
  }

  rank(bound: Bound): number {
    const index = this.childFor(bound);
    let rank = this.children[index]!.rank(bound);
    for (let before = 0; before < index; before++) rank += this.children[before]!.count;
    return rank;
  }

  at(rank: number): Item {
    let rest = rank;
    let index = 0;
    while (rest >= this.children[index]!.count) rest -= this.children[index++]!.count;
    return this.children[index]!.at(rest);
  }

  /** As `Leaf.collect`. */
  collect(from: number, to: number, into: Item[]): void {
    let start = 0;
    for (const child of this.children) {
      if (start >= to) return;
      const end = start + child.count;
      if (end > from) child.collect(Math.max(from - start, 0), Math.min(to, end) - start, into);
      start = end;
    }
  }

  has(item: Bound): boolean {
    return this.children[this.childFor(item)]!.has(item);
  }

  /** As `Leaf.insert`; a new branch to put behind this one when it had to split. */
  insert(item: Item, place: Bound, term: Sum, isLast: boolean): Branch | boolean {
    const index = this.childFor(place);
    const isLastChild = isLast && index === this.children.length - 1;
    const result = this.children[index]!.insert(item, place, term, isLastChild);
    if (result === false) return false;
    this.count++;
    add(this.sum, term);
    return result === true || this.adopt(index + 1, result, isLast);
  }

  delete(place: Bound, term: Sum): boolean {
    const index = this.childFor(place);
    if (!this.children[index]!.delete(place, term)) return false;
    this.count--;
    subtract(this.sum, term);
    this.mend(index);
    return true;
  }

  /** Adds the digests of the first `rank` items below: whole children by their sums, one of them in part. */
  addPrefix(rank: number, into: Sum): void {
    let rest = rank;
    for (const child of this.children) {
      if (rest < child.count) {
        child.addPrefix(rest, into);
        return;
      }
      add(into, child.sum);
      rest -= child.count;
    }
  }

  /** The last child whose low is not behind the bound. */
  private childFor(bound: Bound): number {
    let from = 1;
    let to = this.lows.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (isBefore(bound, this.lows[middle]!)) to = middle;
      else from = middle + 1;
    }
    return from - 1;
  }

  private adopt(index: number, child: TreeNode, isLast: boolean): Branch | true {
    this.children.splice(index, 0, child);
    this.lows.splice(index, 0, child.low);
    const { length } = this.children;
    if (length <= BRANCH_CHILDREN_MAX) return true;

    const at = isLast && index === length - 1 ? index : length >>> 1;
    const right = new Branch(this.children.splice(at), this.lows.splice(at));
    this.count -= right.count;
    subtract(this.sum, right.sum);
    return right;
  }

  /**
   * Keeps the tree from thinning out after a delete below child `index`: an empty child goes, and neighbours that
   * fit together in half a node become one. So any two neighbours fill more than half a node between them.
   */
  private mend(index: number): void {
    if (sizeOf(this.children[index]!) === 0) this.drop(index);
    else if (!this.merge(index)) this.merge(index - 1);
  }

  /** Merges child `index + 1` into child `index` when they fit. */
  private merge(index: number): boolean {
    const left = this.children[index];
    const right = this.children[index + 1];
    if (left === undefined || right === undefined) return false;
    if (left instanceof Leaf && right instanceof Leaf) {
      if (left.count + right.count > LEAF_ITEMS_MAX / 2) return false;
      left.absorb(right);
    } else if (left instanceof Branch && right instanceof Branch) {
      if (left.children.length + right.children.length > BRANCH_CHILDREN_MAX / 2) return false;
      left.absorb(right, this.lows[index + 1]!);
    }
    this.drop(index + 1);
    return true;
  }

  /** @param low what separates the two: the next one's own first low is not kept up */
  private absorb(next: Branch, low: Bound): void {
    this.children.push(...next.children);
    this.lows.push(low, ...next.lows.slice(1));
    this.count += next.count;
    add(this.sum, next.sum);
  }

  private drop(index: number): void {
    this.children.splice(index, 1);
    this.lows.splice(index, 1);
  }
}

/** Entries of a node: items of a leaf, children of a branch. */
function sizeOf(node: TreeNode): number {
  return node instanceof Leaf ? node.count : node.children.length;
}
