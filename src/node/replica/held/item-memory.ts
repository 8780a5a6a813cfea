import type { Item } from "../item.js";
import { Block, HeldItem, recordBytes, recordBytesMax, writeRecord } from "./held-item.js";

/** The first is small, for nodes that hold little; each is as large as all before, up to a size that is quickly filled. */
const BLOCK_BYTES_MIN = 4_096;
const BLOCK_BYTES_MAX = 262_144;
/** Bytes of removed items that may be wasted, beside as many as the remaining items have. */
const WASTE_BYTES_MAX = 2 * BLOCK_BYTES_MAX;

/**
 * The memory in which held items lie, outside of the heap: a million strings and objects there take twice their bytes, and
 * every collection walks over them. Items mostly go in the order in which they came, and a block goes with its last one.
 * Where they do not, those that are left over in thin blocks are moved together: so the memory stays within twice what is held.
 */
export class ItemMemory {
  readonly #blocks = new Set<Block>();
  #current: Block | undefined;
  #heldBytes = 0;
  #size = 0;

  /** @param find the held item of a digest */
  constructor(private readonly find: (digest: string) => HeldItem | undefined) {}

  /** Bytes of all blocks. */
  get size(): number {
    return this.#size;
  }

  /** @param item verified */
  hold(item: Item): HeldItem {
    const block = this.#blockFor(recordBytesMax(item), () => recordBytes(item));
    const bytes = writeRecord(item, block, block.end);
    this.#heldBytes += bytes;
    return new HeldItem(block, block.append(bytes));
  }

  /** @param held one that this gave; it can be read still */
  release(held: HeldItem): void {
    this.#heldBytes -= held.recordBytes;
    this.#dropIfEmpty(held.release());
    if (this.#size > 2 * this.#heldBytes + WASTE_BYTES_MAX) this.#gather();
  }

  /** @param exactly asked only where the bound does not fit in */
  #blockFor(bytesMax: number, exactly: () => number): Block {
    const current = this.#current;
    if (current && bytesMax <= current.room) return current;
    const bytes = exactly();
    if (current && bytes <= current.room) return current;
    const block = new Block(
      Math.max(bytes, Math.min(BLOCK_BYTES_MAX, Math.max(BLOCK_BYTES_MIN, this.#size))),
    );
    this.#blocks.add(block);
    this.#size += block.size;
    this.#current = block;
    if (current) this.#dropIfEmpty(current);
    return block;
  }

  #dropIfEmpty(block: Block): void {
    if (block.heldBytes > 0 || block === this.#current) return;
    this.#blocks.delete(block);
    this.#size -= block.size;
  }

  /** Moves the items of the block with the least in it, for its size. */
  #gather(): void {
    let thinnest: Block | undefined;
    const fill = (block: Block) => block.heldBytes / block.size;
    for (const block of this.#blocks)
      if (block !== this.#current && (!thinnest || fill(block) < fill(thinnest))) thinnest = block;
    for (let at = 0; thinnest && at < thinnest.end; ) {
      const record = new HeldItem(thinnest, at);
      const bytes = record.recordBytes;
      const held = this.find(record.digest);
      if (held?.isAt(thinnest, at)) held.moveTo(this.#blockFor(bytes, () => bytes));
      at += bytes;
    }
    if (thinnest) this.#dropIfEmpty(thinnest);
  }
}
