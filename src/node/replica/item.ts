import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import { LIMITS } from "../../core/limits.js";

/** One broadcast item. Immutable: the same four fields always have the same digest. */
export interface Item {
  /** 1..256 bytes of UTF-8 without control characters. */
  readonly id: string;
  /** 1..1,000,000 bytes of UTF-8: what is broadcast. */
  readonly raw: string;
  /** 1..512 bytes; names its scheme (docs/protocol.md#signatures); hex is lower case. */
  readonly signature: string;
  /** When it was stamped, epoch ms; retention counts from here. */
  readonly timestampMs: number;
  /** SHA-256 of the canonical encoding of the four fields above: 64 lower-case hex digits. */
  readonly digest: string;
}

/** An item as somebody hands it in; what is absent is filled in by the node. */
export interface ItemDraft {
  /** Absent: a UUIDv7. */
  readonly id?: string;
  readonly raw: string;
  /** Absent: `sha256:` and the SHA-256 of raw. */
  readonly signature?: string;
  /** Epoch ms, within 2 min of the node's clock. Absent: that clock stamps the item. */
  readonly timestampMs?: number;
}

/** An item that lies encoded: its texts are copied as they are, without making strings of them. */
export interface EncodedItem extends Item {
  readonly textBytes: number;
  /** @returns bytes written */
  copyId(target: Buffer, offset: number): number;
  copyRaw(target: Buffer, offset: number): number;
}

function isEncoded(item: object): item is EncodedItem {
  return "copyRaw" in item;
}

/** Bytes that frame the four fields in the canonical encoding. */
const FRAMING_BYTES = 2 + 2 + 8 + 4;

/** The order of the replicated set: by (timestampMs, digest). Hex digests compare like their bytes. */
export function compareItems(a: Item, b: Item): number {
  if (a.timestampMs !== b.timestampMs) return a.timestampMs - b.timestampMs;
  return a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0;
}

/**
 * Says what is wrong with a field of an item, or nothing.
 * @returns a sentence with the offending value's measure, for people; `undefined` when all fields keep the rules
 */
export function itemFault(item: Omit<Item, "digest">): string | undefined {
  return (
    textFault("id", item.id, LIMITS.idBytesMax) ??
    (hasControlCharacter(item.id) ? "id has a control character" : undefined) ??
    textFault("raw", item.raw, LIMITS.rawBytesMax) ??
    textFault("signature", item.signature, LIMITS.signatureBytesMax) ??
    (Number.isSafeInteger(item.timestampMs) && item.timestampMs >= 0
      ? undefined
      : `timestampMs ${item.timestampMs} is not a whole number of milliseconds since 1970`)
  );
}

function textFault(field: string, text: string, bytesMax: number): string | undefined {
  if (text.length === 0) return `${field} is empty`;
  if (!text.isWellFormed()) return `${field} is not valid UTF-8 (it has a lone surrogate)`;
  // A UTF-16 unit takes at most 3 bytes: most texts need no counting.
  const bytes = text.length * 3 <= bytesMax ? 0 : Buffer.byteLength(text);
  return bytes > bytesMax ? `${field} has ${bytes} bytes; at most ${bytesMax} are allowed` : undefined;
}

/** C0, DEL and C1 controls (Unicode category Cc). */
function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true;
  }
  return false;
}

/** Bytes that the canonical encoding of an item takes. */
export function encodedLength(item: Omit<Item, "digest">): number {
  return FRAMING_BYTES + (isEncoded(item) ? item.textBytes : textBytes(item));
}

/** A bound on `encodedLength` that costs nothing. */
export function encodedLengthMax(item: Omit<Item, "digest">): number {
  return FRAMING_BYTES + textBytesMax(item);
}

/**
 * Writes the canonical encoding (docs/protocol.md#items) at `offset`; all integers big-endian:
 * u16 length and id, u16 length and signature, u64 timestampMs, u32 length and raw.
 * @param target with at least `encodedLength(item)` bytes from offset on
 * @returns the offset behind the last byte
 */
export function encodeItem(item: Omit<Item, "digest">, target: Buffer, offset: number): number {
  const held = isEncoded(item) ? item : undefined;
  const idBytes = held?.copyId(target, offset + 2) ?? target.write(item.id, offset + 2);
  target.writeUInt16BE(idBytes, offset);
  let end = offset + 2 + idBytes;
  const signatureBytes = target.write(item.signature, end + 2);
  target.writeUInt16BE(signatureBytes, end);
  end += 2 + signatureBytes;
  const { timestampMs } = item;
  target.writeUInt32BE(Math.floor(timestampMs / 0x1_0000_0000), end);
  target.writeUInt32BE(timestampMs >>> 0, end + 4);
  const rawBytes = held?.copyRaw(target, end + 12) ?? target.write(item.raw, end + 12);
  target.writeUInt32BE(rawBytes, end + 8);
  return end + 12 + rawBytes;
}

/** An encoded item that cannot be read: cut short, a length past its limit, or text that is no UTF-8. */
export class ItemDecodeError extends Error {
  override readonly name = "ItemDecodeError";
}

/**
 * Reads one canonical encoding and computes its digest.
 * @returns the item and the offset behind it
 * @throws ItemDecodeError when the bytes are no item that keeps the rules of `itemFault`
 */
export function decodeItem(source: Buffer, offset: number): { item: Item; end: number } {
  const idStart = need(source, offset, 2) + 2;
  const idEnd = need(source, idStart, source.readUInt16BE(offset)) + source.readUInt16BE(offset);
  const signatureStart = need(source, idEnd, 2) + 2;
  const signatureBytes = source.readUInt16BE(idEnd);
  const signatureEnd = need(source, signatureStart, signatureBytes) + signatureBytes;
  const rawStart = need(source, signatureEnd, 12) + 12;
  const timestampMs =
    source.readUInt32BE(signatureEnd) * 0x1_0000_0000 + source.readUInt32BE(signatureEnd + 4);
  const rawBytes = source.readUInt32BE(signatureEnd + 8);
  const end = need(source, rawStart, rawBytes) + rawBytes;

  const fields = {
    id: textIn(source, idStart, idEnd),
    raw: textIn(source, rawStart, end),
    signature: textIn(source, signatureStart, signatureEnd),
    timestampMs,
  };
  const fault = itemFault(fields);
  if (fault) throw new ItemDecodeError(fault);
  const { id, raw, signature } = fields;
  // Spelled out: an object made by a spread takes 32 bytes more, for every item held.
  return {
    item: { id, raw, signature, timestampMs, digest: hash("sha256", source.subarray(offset, end)) },
    end,
  };
}

function textIn(source: Buffer, start: number, end: number): string {
  const text = source.toString("utf8", start, end);
  // Bytes that are no UTF-8 come out as U+FFFD. Encoded again they would be another item than the digest says,
  // and the next node would take this one for a liar.
  if (text.includes("\ufffd") && !isUtf8(source.subarray(start, end)))
    throw new ItemDecodeError("a text is not valid UTF-8");
  return text;
}

function need(source: Buffer, offset: number, bytes: number): number {
  if (offset + bytes > source.length) throw new ItemDecodeError("the encoding ends inside an item");
  return offset;
}

/** Completes an item with its digest. @param fields must have no `itemFault` */
export function withDigest(fields: Omit<Item, "digest">): Item {
  const encoded = Buffer.allocUnsafe(encodedLength(fields));
  encodeItem(fields, encoded, 0);
  const { id, raw, signature, timestampMs } = fields;
  return { id, raw, signature, timestampMs, digest: hash("sha256", encoded) };
}

interface Texts {
  readonly id: string;
  readonly signature: string;
  readonly raw: string;
}

/** Bytes of an item's texts in UTF-8. */
export function textBytes({ id, signature, raw }: Texts): number {
  return Buffer.byteLength(id) + Buffer.byteLength(signature) + Buffer.byteLength(raw);
}

/** A bound on them that costs nothing: a UTF-16 unit takes at most 3 bytes. */
export function textBytesMax({ id, signature, raw }: Texts): number {
  return 3 * (id.length + signature.length + raw.length);
}

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
