import type { Item } from "../replica/item.js";
import type { Bound } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { fingerprintOf, zeroSum } from "../replica/item-set/sum.js";

/** The fingerprint of a range without items. */
export const EMPTY_FINGERPRINT = fingerprintOf(zeroSum(), 0);

/** Our items in one range of a message, by their ranks. Valid while the set is not changed. */
export class Section {
  constructor(
    readonly set: ItemSet,
    readonly from: number,
    readonly until: number,
    /** Upper bound of the range. */
    readonly to: Bound,
  ) {}

  /** @param from the rank of `lower`, where it is known */
  static between(set: ItemSet, lower: Bound, to: Bound, from = set.rank(lower)): Section {
    return new Section(set, from, Math.max(from, set.rank(to)), to);
  }

  get count(): number {
    return this.until - this.from;
  }

  get fingerprint(): string {
    // Most ranges of one who asks at random.
    if (this.count === 0) return EMPTY_FINGERPRINT;
    return fingerprintOf(this.set.sum(this.from, this.until), this.count);
  }

  items(): Item[] {
    return this.set.slice(this.from, this.until);
  }

  /** The bound in front of the item with that rank, or the section's own where it ends. */
  boundAt(rank: number): Bound {
    return rank >= this.until ? this.to : separate(this.set.at(rank - 1), this.set.at(rank));
  }

  /** The first items of the section, as a section that ends where they do. @param count 1 or more */
  head(count: number): Section {
    const until = Math.min(this.from + count, this.until);
    return new Section(this.set, this.from, until, this.boundAt(until));
  }

  /** The section cut into so many parts of nearly the same count. @param parts 1..count */
  cut(parts: number): Section[] {
    const cutAt = (part: number) => this.from + Math.floor((this.count * part) / parts);
    return Array.from({ length: parts }, (_, part) => {
      const until = cutAt(part + 1);
      return new Section(this.set, cutAt(part), until, this.boundAt(until));
    });
  }
}

/**
 * The shortest bound between two neighbours: "If these records' timestamps differ, then the length should be 0,
 * otherwise it should be the byte-length of their common ID-prefix plus 1" (specification, "Bound").
 */
function separate(previous: Item, next: Item): Bound {
  const { timestampMs, digest } = next;
  if (previous.timestampMs !== timestampMs) return { timestampMs, digest: "" };
  let digits = 2;
  while (digest.startsWith(previous.digest.slice(0, digits))) digits += 2;
  return { timestampMs, digest: digest.slice(0, digits) };
}
