import { decodeItem, encodedLength, encodeItem, type Item, ItemDecodeError } from "./item.js";

interface Surroundings {
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

const NOTHING: Surroundings = { head: new Uint8Array(), tail: new Uint8Array() };

/** First byte of every batch. */
const BATCH_VERSION = 1;
/** Bytes of a batch beside its items. */
export const BATCH_BYTES = 1;

/**
 * Packs items into one batch: a version byte, then canonical encodings back to back (docs/protocol.md#batches).
 * Gossip messages and the `items` frames of anti-entropy carry the same bytes.
 * @param around what stands before and behind a batch of so many bytes, in the memory that it gets
 */
export function encodeBatch(items: readonly Item[], around?: (batchBytes: number) => Surroundings): Buffer {
  const bytes = items.reduce((sum, item) => sum + encodedLength(item), BATCH_BYTES);
  const { head, tail } = around?.(bytes) ?? NOTHING;
  const whole = Buffer.allocUnsafeSlow(head.length + bytes + tail.length);
  whole.set(head);
  whole.set(tail, head.length + bytes);
  const batch = whole.subarray(head.length, head.length + bytes);
  batch[0] = BATCH_VERSION;
  let offset = BATCH_BYTES;
  for (const item of items) offset = encodeItem(item, batch, offset);
  return batch;
}

/**
 * Unpacks a batch, oldest place first. Digests are computed here; signatures are not looked at.
 * @param severalBytesMax largest batch that may hold more than one item: an item costs more than its bytes
 * @throws ItemDecodeError when the version is unknown, or any item cannot be read or breaks a rule
 */
export function decodeBatch(bytes: Uint8Array, severalBytesMax = Number.POSITIVE_INFINITY): Item[] {
  const batch = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (batch[0] !== BATCH_VERSION)
    throw new ItemDecodeError(`batch version ${batch[0]} is not ${BATCH_VERSION}`);
  const items: Item[] = [];
  for (let offset = BATCH_BYTES; offset < batch.length; ) {
    const { item, end } = decodeItem(batch, offset);
    items.push(item);
    offset = end;
    if (offset < batch.length && batch.length > severalBytesMax)
      throw new ItemDecodeError(`several items in ${batch.length} bytes; at most ${severalBytesMax}`);
  }
  return items;
}
