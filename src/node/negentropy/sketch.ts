import { type Sum, zeroSum } from "../replica/item-set/sum.js";

/** Cells that a set keeps: as many as one message carries, and enough to tell some 2,000 differences. */
export const CELLS_MAX = 3_600;
/** Words of a cell: the XOR of its digests, and that of their checks. */
export const CELL_WORDS = 9;
const CHECK = 8;

/**
 * A rateless sketch of a set of digests (L. Yang, Y. Gilad, M. Alizadeh, "Practical Rateless Set Reconciliation", 2024):
 * any prefix of its cells, XORed with the same cells of another set, tells what differs when it has some 1.4 to 1.7 cells
 * for each difference. Half of all digests are in the first few cells, and ever fewer in later ones, so that a change
 * touches some 15 cells of 3,600 and 0.15 us (bench/item-set.ts); the cells of a set of any size take 130 kB.
 */
export class Sketch {
  /** @param cells nine words each */
  constructor(readonly cells = new Uint32Array(CELLS_MAX * CELL_WORDS)) {}

  /** Adds a digest, or takes out one that is in. @param touched gets the cells that changed */
  toggle(digest: Sum, touched?: number[]): void {
    const { cells } = this;
    const cellCount = cells.length / CELL_WORDS;
    const check = checkOf(digest);
    const [w0, w1, w2, w3] = [digest[0]!, digest[1]!, digest[2]!, digest[3]!];
    const [w4, w5, w6, w7] = [digest[4]!, digest[5]!, digest[6]!, digest[7]!];
    let [low, high] = [w0 | 0, w1 | 0];
    for (let index = 0; ; ) {
      const at = index * CELL_WORDS;
      // Written out, which takes a third less.
      cells[at]! ^= w0;
      cells[at + 1]! ^= w1;
      cells[at + 2]! ^= w2;
      cells[at + 3]! ^= w3;
      cells[at + 4]! ^= w4;
      cells[at + 5]! ^= w5;
      cells[at + 6]! ^= w6;
      cells[at + 7]! ^= w7;
      cells[at + CHECK]! ^= check;
      touched?.push(index);

      // xoroshiro64* (D. Blackman, S. Vigna) draws the next cell, so that cell i has a digest with chance 1 / (1 + i / 2).
      const drawn = Math.imul(low, 0x9e3779bb) >>> 0;
      high ^= low;
      low = ((low << 26) | (low >>> 6)) ^ high ^ (high << 9);
      high = (high << 13) | (high >>> 19);
      const skipped = (index + 1.5) * (65_536 / Math.sqrt(drawn + 1) - 1);
      // Compared first: an index beyond 32 bits would make this loop four times as slow.
      if (skipped >= cellCount - index - 1) return;
      index += 1 + (skipped | 0);
    }
  }

  /**
   * What is in one of two sets only. Each digest that stands alone in a cell is taken out of its others, where then
   * another may stand alone. No cells, whoever made them, take more than one such step each.
   * @param theirs the first cells of the other set, as many as there are
   * @returns undefined when these cells do not tell it
   */
  difference(theirs: Uint32Array): Sum[] | undefined {
    const rest = new Sketch(theirs.map((word, at) => word ^ this.cells[at]!));
    const cellCount = theirs.length / CELL_WORDS;
    const digests: Sum[] = [];
    const due = Array.from({ length: cellCount }, (_, index) => index);
    for (let index = due.pop(); index !== undefined; index = due.pop()) {
      const digest = rest.#alone(index);
      if (!digest) continue;
      if (digests.length === cellCount) return undefined;
      digests.push(digest);
      rest.toggle(digest, due);
    }
    return rest.cells.every((word) => word === 0) ? digests : undefined;
  }

  /** The digest of a cell that has but one. */
  #alone(index: number): Sum | undefined {
    const at = index * CELL_WORDS;
    const digest = zeroSum();
    for (let word = 0; word < CHECK; word++) digest[word] = this.cells[at + word]!;
    const isEmpty = digest.every((word) => word === 0);
    return isEmpty || checkOf(digest) !== this.cells[at + CHECK] ? undefined : digest;
  }
}

/** 32 bits that are no XOR of those of other digests: the last steps of MurmurHash3. */
function checkOf(digest: Sum): number {
  const third = digest[2]!;
  let hash = Math.imul(third ^ (third >>> 16), 0x85ebca6b) ^ digest[3]!;
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
