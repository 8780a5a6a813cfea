import { decodeItem, encodedLength, encodeItem, type Item, ItemDecodeError } from "../../protocol/item.js";
import { Seal } from "./seal.js";

/** Key of a record: u64 timestampMs (big-endian), then the 32 bytes of the digest, so that keys sort like items. */
const KEY_BYTES = 40;
const LENGTH_BYTES = 4;

/** First byte of a record's value: a seal and the canonical encoding follow; before there were seals, the encoding. */
const SEALED = 2;
const UNSEALED = 1;

/** One stored item, or why what was stored is none. `proven`: this node verified its signature when it was stored. */
export type StoredItem =
  | { readonly item: Item; readonly key: string; readonly proven: boolean }
  | { readonly key: string; readonly fault: string };

/** Records one behind the other: u32 length of the value, key, value; integers big-endian. */
export function encodeRecords(items: readonly Item[], seal: Seal): Uint8Array {
  const bytes = items.reduce((sum, item) => sum + recordBytes(item), 0);
  const records = Buffer.allocUnsafeSlow(bytes);
  let offset = 0;
  for (const item of items) {
    records.writeUInt32BE(1 + Seal.BYTES + encodedLength(item), offset);
    offset = encodeKey(item, records, offset + LENGTH_BYTES);
    records[offset] = SEALED;
    records.write(seal.of(item.digest), offset + 1, "hex");
    offset = encodeItem(item, records, offset + 1 + Seal.BYTES);
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
  return LENGTH_BYTES + KEY_BYTES + 1 + Seal.BYTES + encodedLength(item);
}

/** Reads records back: digests are computed and compared with keys, and seals with digests. */
export function* decodeRecords(bytes: Uint8Array, seal: Seal): Generator<StoredItem> {
  const records = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < records.length; ) {
    const valueAt = at + LENGTH_BYTES + KEY_BYTES;
    const end = valueAt + records.readUInt32BE(at);
    yield decodeRecord(
      records.subarray(valueAt, end),
      records.toString("hex", at + LENGTH_BYTES, valueAt),
      seal,
    );
    at = end;
  }
}

function decodeRecord(value: Buffer, key: string, seal: Seal): StoredItem {
  const mark = value[0];
  if (mark !== SEALED && mark !== UNSEALED) return { key, fault: `its mark is ${mark}, not ${SEALED}` };
  const start = mark === SEALED ? 1 + Seal.BYTES : 1;
  try {
    const { item } = decodeItem(value.subarray(start), 0);
    const own = item.timestampMs.toString(16).padStart(16, "0") + item.digest;
    if (key !== own) return { key, fault: `its key should be ${own}` };
    return { item, key, proven: value.toString("hex", 1, start) === seal.of(item.digest) };
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
