import type { Item } from "../replica/item.js";
import type { Bound } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { fingerprintOf, readDigestOf, subtract, zeroSum } from "../replica/item-set/sum.js";
import type { MessageWriter } from "./message.js";

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
    // A hostile peer can ask for many empty ranges: they cost no hash.
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

/**
 * Answers a fingerprint that differs with those of the parts of our section, until the message is full.
 * @param section of 4 items or more: so every part has one, and is smaller than the whole
 */
export function split(section: Section, writer: MessageWriter): void {
  for (const part of section.cut(partsOf(section.count))) {
    writer.fingerprint(part.to, part.fingerprint);
    if (writer.isFull) return;
  }
}

/**
 * Into how many parts to cut; the specification leaves it open. Finding one difference costs parts / log(parts), least
 * for 3 and 4, so that is best once a range has but one. Above that size ranges are few and the wider cut saves
 * round trips (bench/reconcile.ts; docs/protocol.md says what else was tried).
 */
function partsOf(count: number): number {
  if (count >= 65_536) return 64;
  if (count >= 4096) return 8;
  return 4;
}

/** Above so many items it costs less to split first. */
const ITEMS_MAX = 512;
/** How many hashes one message may cost us, whatever it says: some 50 ms... */
const HASHES_MAX = 65_536;
/** ... of which a range takes so many: its fingerprint is of several sums. */
const RANGE_HASHES = 4;
/** How many may be in vain, until an item is found: sets that differ in many items have few ranges with one difference. */
const HASHES_IN_VAIN_MAX = 4_096;

/**
 * Finds a difference without a byte on the wire. In a small range there is mostly one, and half of these are an
 * item that we have and the peer lacks. Then the peer's fingerprint is that of our items without that one, and
 * we can try each: a hash is cheaper than a round trip, and equal fingerprints of 128 bits are proof enough.
 */
export class ExtraItemSearch {
  private hashesLeft = HASHES_MAX;
  private vainHashesLeft = HASHES_IN_VAIN_MAX;

  /** Before the fingerprint of a range is computed. @returns false when the message has cost enough */
  takeRange(): boolean {
    this.hashesLeft -= RANGE_HASHES;
    return this.hashesLeft > 0;
  }

  /** @returns the rank of our item that the peer lacks, when that is the only difference */
  find(section: Section, theirFingerprint: string): number | undefined {
    const { set, from, until, count } = section;
    if (count > Math.min(ITEMS_MAX, this.hashesLeft, this.vainHashesLeft)) return undefined;
    this.hashesLeft -= count;
    this.vainHashesLeft -= count;
    const sum = set.sum(from, until);
    const [without, digest] = [zeroSum(), zeroSum()];
    const index = section.items().findIndex((item) => {
      without.set(sum);
      subtract(without, readDigestOf(item, digest));
      return fingerprintOf(without, count - 1) === theirFingerprint;
    });
    if (index < 0) return undefined;
    this.vainHashesLeft = HASHES_IN_VAIN_MAX;
    return from + index;
  }
}
