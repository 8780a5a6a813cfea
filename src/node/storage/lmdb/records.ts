import { decodeItem, encodedLength, encodeItem, type Item, ItemDecodeError } from "../../protocol/item.js";

/** Key of a record: u64 timestampMs (big-endian), then the 32 bytes of the digest, so that keys sort like items. */
const KEY_BYTES = 40;
const LENGTH_BYTES = 4;

/** First byte of a record's value: the signature was verified, and the canonical encoding follows. */
const VERIFIED = 1;

/** One stored item, or why what was stored is none. */
export type StoredItem = { readonly item: Item } | { readonly key: string; readonly fault: string };

/** Records one behind the other: u32 length of the value, key, value; integers big-endian. */
export function encodeRecords(items: readonly Item[]): Uint8Array {
  const bytes = items.reduce((sum, item) => sum + recordBytes(item), 0);
  const records = Buffer.allocUnsafeSlow(bytes);
  let offset = 0;
  for (const item of items) {
    records.writeUInt32BE(1 + encodedLength(item), offset);
    offset = encodeKey(item, records, offset + LENGTH_BYTES);
    records[offset] = VERIFIED;
    offset = encodeItem(item, records, offset + 1);
  }
  return records;
}

/** Keys of items, one behind the other. */
export function encodeKeys(items: readonly Item[]): Uint8Array {
  const keys = Buffer.allocUnsafeSlow(items.length * KEY_BYTES);
  for (const [index, item] of items.entries()) encodeKey(item, keys, index * KEY_BYTES);
  return keys;
}

/** Digests of the items that have these keys. */
export function digestsIn(keys: Uint8Array): string[] {
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
  const digests: string[] = [];
  for (let at = 0; at < bytes.length; at += KEY_BYTES)
    digests.push(bytes.toString("hex", at + 8, at + KEY_BYTES));
  return digests;
}

/** Bytes that an item takes among records. */
export function recordBytes(item: Item): number {
  return LENGTH_BYTES + KEY_BYTES + 1 + encodedLength(item);
}

/** Reads records back. Their signatures were verified before they were stored; digests are computed and compared. */
export function* decodeRecords(bytes: Uint8Array): Generator<StoredItem> {
  const records = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < records.length; ) {
    const valueAt = at + LENGTH_BYTES + KEY_BYTES;
    const end = valueAt + records.readUInt32BE(at);
    yield decodeRecord(records, at + LENGTH_BYTES, valueAt, end);
    at = end;
  }
}

function decodeRecord(records: Buffer, keyAt: number, valueAt: number, end: number): StoredItem {
  const key = records.toString("hex", keyAt, valueAt);
  const mark = records[valueAt];
  if (valueAt === end || mark !== VERIFIED) return { key, fault: `its mark is ${mark}, not ${VERIFIED}` };
  try {
    const { item } = decodeItem(records.subarray(valueAt + 1, end), 0);
    return key.endsWith(item.digest) ? { item } : { key, fault: `its digest is ${item.digest}` };
  } catch (error) {
    if (error instanceof ItemDecodeError) return { key, fault: error.message };
    throw error;
  }
}

function encodeKey(item: Item, target: Buffer, offset: number): number {
  target.writeUInt32BE(Math.floor(item.timestampMs / 0x1_0000_0000), offset);
  target.writeUInt32BE(item.timestampMs >>> 0, offset + 4);
  target.write(item.digest, offset + 8, "hex");
  return offset + KEY_BYTES;
}
