import type { Item } from "../item.js";
import { HeldItem, recordBytes, recordBytesMax, writeRecord } from "./held-item.js";
import { Slab } from "./slab.js";

/** The first is small, for nodes that hold little; each is as large as all before, up to a size that is quickly filled. */
const SLAB_BYTES_MIN = 4_096;
const SLAB_BYTES_MAX = 262_144;
/** Bytes of removed items that may be wasted, beside as many as the remaining items have. */
const WASTE_BYTES_MAX = 2 * SLAB_BYTES_MAX;

/**
 * The memory in which held items lie, outside of the heap: a million strings and objects there take twice their bytes, and
 * every collection walks over them. Items mostly go in the order in which they came, and a slab goes with its last one.
 * Where they do not, those that are left over in thin slabs are moved together: so the memory stays within twice what is held.
 */
export class Shelves {
  readonly #slabs = new Set<Slab>();
  #current: Slab | undefined;
  #heldBytes = 0;
  #size = 0;

  /** @param find the held item of a digest */
  constructor(private readonly find: (digest: string) => HeldItem | undefined) {}

  /** Bytes of all slabs. */
  get size(): number {
    return this.#size;
  }

  /** @param item verified */
  hold(item: Item): HeldItem {
    const slab = this.#slabFor(recordBytesMax(item), () => recordBytes(item));
    const bytes = writeRecord(item, slab, slab.end);
    this.#heldBytes += bytes;
    return new HeldItem(slab, slab.append(bytes));
  }

  /** @param held one that this gave; it can be read still */
  release(held: HeldItem): void {
    this.#heldBytes -= held.recordBytes;
    this.#dropIfEmpty(held.release());
    if (this.#size > 2 * this.#heldBytes + WASTE_BYTES_MAX) this.#gather();
  }

  /** @param exactly asked only where the bound does not fit in */
  #slabFor(bytesMax: number, exactly: () => number): Slab {
    const current = this.#current;
    if (current && bytesMax <= current.room) return current;
    const bytes = exactly();
    if (current && bytes <= current.room) return current;
    const slab = new Slab(Math.max(bytes, Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, this.#size))));
    this.#slabs.add(slab);
    this.#size += slab.size;
    this.#current = slab;
    if (current) this.#dropIfEmpty(current);
    return slab;
  }

  #dropIfEmpty(slab: Slab): void {
    if (slab.heldBytes > 0 || slab === this.#current) return;
    this.#slabs.delete(slab);
    this.#size -= slab.size;
  }

  /** Moves the items of the slab with the least in it, for its size. */
  #gather(): void {
    let thinnest: Slab | undefined;
    const fill = (slab: Slab) => slab.heldBytes / slab.size;
    for (const slab of this.#slabs)
      if (slab !== this.#current && (!thinnest || fill(slab) < fill(thinnest))) thinnest = slab;
    for (let at = 0; thinnest && at < thinnest.end; ) {
      const record = new HeldItem(thinnest, at);
      const bytes = record.recordBytes;
      const held = this.find(record.digest);
      if (held?.isAt(thinnest, at)) held.moveTo(this.#slabFor(bytes, () => bytes));
      at += bytes;
    }
    if (thinnest) this.#dropIfEmpty(thinnest);
  }
}
