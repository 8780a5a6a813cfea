import { decodeItem, encodedLength, encodeItem, type Item, ItemDecodeError } from "./item.js";

/** First byte of every batch. */
const BATCH_VERSION = 1;

/**
 * Packs items into one batch: a version byte, then canonical encodings back to back (docs/protocol.md#batches).
 * Gossip messages and the `items` frames of anti-entropy carry the same bytes.
 */
export function encodeBatch(items: readonly Item[]): Buffer {
  const bytes = items.reduce((sum, item) => sum + encodedLength(item), 1);
  const batch = Buffer.allocUnsafeSlow(bytes);
  batch[0] = BATCH_VERSION;
  let offset = 1;
  for (const item of items) offset = encodeItem(item, batch, offset);
  return batch;
}

/**
 * Unpacks a batch, oldest place first. Digests are computed here; signatures are not looked at.
 * @throws ItemDecodeError when the version is unknown, or any item cannot be read or breaks a rule
 */
export function decodeBatch(bytes: Uint8Array): Item[] {
  const batch = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (batch[0] !== BATCH_VERSION)
    throw new ItemDecodeError(`batch version ${batch[0]} is not ${BATCH_VERSION}`);
  const items: Item[] = [];
  for (let offset = 1; offset < batch.length; ) {
    const { item, end } = decodeItem(batch, offset);
    items.push(item);
    offset = end;
  }
  return items;
}
