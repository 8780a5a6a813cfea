import { fingerprintOf, readDigestOf, subtract, zeroSum } from "../replica/item-set/sum.js";
import type { Section } from "./section.js";

/** Above so many items it costs less to split first. */
const ITEMS_MAX = 512;
/** How many hashes one message may cost us, whatever it says: some 50 ms. */
const HASHES_MAX = 65_536;
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
