import { type EncodedItem, type Item, textBytes, textBytesMax } from "../item.js";
import { byteAt, nibble, type Sum } from "../item-set/sum.js";
import { IMPLIED_BYTES, type IntegrityScheme, impliedScheme, integritySignature } from "../signature.js";

// A record: digest (32 bytes), timestampMs (f64), how many bytes id, signature (u16 each) and raw (u32) have, then these,
// in UTF-8.
const TIMESTAMP = 32;
const ID_BYTES = 40;
const SIGNATURE_BYTES = 42;
const RAW_BYTES = 44;
const TEXTS = 48;
const DIGEST_BYTES = 32;

/** In place of the length of a signature that is not kept, since it is but a hash of raw: which one. */
const IMPLIED: readonly IntegrityScheme[] = ["md5", "sha256"];
const IMPLIED_MARK = 0xfffe;

/** A bound on the bytes of an item's record that costs nothing. */
function recordBytesMax(item: Item): number {
  return TEXTS + textBytesMax(item);
}

function recordBytes(item: Item): number {
  return TEXTS + textBytes(item);
}

/** Writes the record of an item, where there is room for it. @param item verified @returns its bytes */
function writeRecord(item: Item, { bytes, view }: Block, at: number): number {
  for (let index = 0; index < DIGEST_BYTES; index++) bytes[at + index] = byteAt(item.digest, 2 * index);
  view.setFloat64(at + TIMESTAMP, item.timestampMs);
  const idBytes = bytes.write(item.id, at + TEXTS);
  view.setUint16(at + ID_BYTES, idBytes);
  let end = at + TEXTS + idBytes;
  const scheme = impliedScheme(item.signature);
  if (scheme) {
    view.setUint16(at + SIGNATURE_BYTES, IMPLIED_MARK + IMPLIED.indexOf(scheme));
  } else {
    const signatureBytes = bytes.write(item.signature, end);
    view.setUint16(at + SIGNATURE_BYTES, signatureBytes);
    end += signatureBytes;
  }
  const rawBytes = bytes.write(item.raw, end);
  view.setUint32(at + RAW_BYTES, rawBytes);
  return end + rawBytes - at;
}

/**
 * An item as it is kept: a place in a block, 40 bytes of heap instead of 400. What it says is read from the bytes there, each
 * time anew: who needs a field twice takes a copy by `wholeItem`. The fields are not properties of its own, so copies by
 * `...` see none of them; whoever gets items out of a node gets whole ones.
 */
export class HeldItem implements EncodedItem {
  #block: Block;
  #at: number;

  /** @param at where a record begins */
  constructor(block: Block, at: number) {
    this.#block = block;
    this.#at = at;
  }

  get id(): string {
    const start = this.#at + TEXTS;
    return this.#block.bytes.toString("utf8", start, start + this.idBytes);
  }

  get raw(): string {
    const start = this.rawStart;
    return this.#block.bytes.toString("utf8", start, start + this.rawBytes);
  }

  get signature(): string {
    const scheme = this.impliedScheme;
    const { bytes } = this.#block;
    const { rawStart } = this;
    if (scheme) return integritySignature(bytes.subarray(rawStart, rawStart + this.rawBytes), scheme);
    return bytes.toString("utf8", this.#at + TEXTS + this.idBytes, rawStart);
  }

  get timestampMs(): number {
    return this.#block.view.getFloat64(this.#at + TIMESTAMP);
  }

  get digest(): string {
    return this.#block.bytes.toString("hex", this.#at, this.#at + DIGEST_BYTES);
  }

  /** Bytes of the canonical encoding's three texts. */
  get textBytes(): number {
    const scheme = this.impliedScheme;
    return this.recordBytes - TEXTS + (scheme ? IMPLIED_BYTES[scheme] : 0);
  }

  get recordBytes(): number {
    return this.rawStart + this.rawBytes - this.#at;
  }

  /** Whether its digest lies before that which begins with these digits: omitted ones count as zeros. */
  isDigestBefore(digits: string): boolean {
    const length = Math.min(digits.length, 2 * DIGEST_BYTES);
    for (let index = 0; index < length; index++) {
      const byte = this.#block.bytes[this.#at + (index >> 1)]!;
      const digit = (index & 1) === 0 ? byte >> 4 : byte & 15;
      const other = nibble(digits.charCodeAt(index));
      if (digit !== other) return digit < other;
    }
    return digits.length > 2 * DIGEST_BYTES;
  }

  /** @param digest 64 hex digits */
  hasDigest(digest: string): boolean {
    const { bytes } = this.#block;
    for (let index = 0; index < DIGEST_BYTES; index++)
      if (bytes[this.#at + index] !== byteAt(digest, 2 * index)) return false;
    return true;
  }

  /** Its digest as a little-endian number. */
  readDigest(into: Sum): Sum {
    for (let word = 0; word < into.length; word++)
      into[word] = this.#block.view.getUint32(this.#at + 4 * word, true);
    return into;
  }

  copyDigest(target: Buffer, offset: number): void {
    this.#block.bytes.copy(target, offset, this.#at, this.#at + DIGEST_BYTES);
  }

  copyId(target: Buffer, offset: number): number {
    const start = this.#at + TEXTS;
    return this.#block.bytes.copy(target, offset, start, start + this.idBytes);
  }

  copyRaw(target: Buffer, offset: number): number {
    const start = this.rawStart;
    return this.#block.bytes.copy(target, offset, start, start + this.rawBytes);
  }

  toJSON(): Item {
    return wholeItem(this);
  }

  isAt(block: Block, at: number): boolean {
    return this.#block === block && this.#at === at;
  }

  /** Its item is held no longer; who has it may read it still. @returns the block where it lies */
  release(): Block {
    this.#block.heldBytes -= this.recordBytes;
    return this.#block;
  }

  /** Moves its record. @param block another, with room for it */
  moveTo(block: Block): void {
    const { recordBytes } = this;
    this.#block.bytes.copy(block.bytes, block.end, this.#at, this.#at + recordBytes);
    this.release();
    this.#at = block.append(recordBytes);
    this.#block = block;
  }

  // Not `#idBytes`: V8 marks each instance of a class with private accessors, in 8 bytes.
  private get idBytes(): number {
    return this.#block.view.getUint16(this.#at + ID_BYTES);
  }

  private get rawBytes(): number {
    return this.#block.view.getUint32(this.#at + RAW_BYTES);
  }

  private get impliedScheme(): IntegrityScheme | undefined {
    return IMPLIED[this.#block.view.getUint16(this.#at + SIGNATURE_BYTES) - IMPLIED_MARK];
  }

  private get rawStart(): number {
    const signatureBytes = this.#block.view.getUint16(this.#at + SIGNATURE_BYTES);
    return this.#at + TEXTS + this.idBytes + (signatureBytes < IMPLIED_MARK ? signatureBytes : 0);
  }
}

/** A plain copy: for who reads it more than once, and for those outside of the node. */
export function wholeItem({ id, raw, signature, timestampMs, digest }: Item): Item {
  return { id, raw, signature, timestampMs, digest };
}

/** A block of memory outside of the heap, which records fill one behind the other. What was written never changes. */
export class Block {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the next record goes. */
  end = 0;
  /** Bytes of records whose items are still held. */
  heldBytes = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.bytes.buffer);
  }

  get size(): number {
    return this.bytes.length;
  }

  get room(): number {
    return this.size - this.end;
  }

  /** Counts what was written from `end` on as one record of a held item. @returns where it begins */
  append(recordBytes: number): number {
    const at = this.end;
    this.end += recordBytes;
    this.heldBytes += recordBytes;
    return at;
  }
}

/** The first is small, for nodes that hold little; each is as large as all before, up to a size that is quickly filled. */
const BLOCK_BYTES_MIN = 4_096;
const BLOCK_BYTES_MAX = 262_144;
/** Bytes of removed items that may be wasted, beside as many as the remaining items have. */
const WASTE_BYTES_MAX = 2 * BLOCK_BYTES_MAX;

/**
 * The memory in which held items lie, outside of the heap: a million strings and objects there take twice their bytes,
 * and every collection walks over them. Items mostly go in the order in which they came, and a block goes with its last
 * one. Where they do not, those that are left over in thin blocks are moved together: so the memory stays within twice
 * what is held.
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
