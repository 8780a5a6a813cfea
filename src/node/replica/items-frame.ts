import { encodeBatch } from "./batch.js";
import type { Item } from "./item.js";
import type { ItemsFrame } from "./wire.js";

/**
 * The answer to a `want`, its batch written where the frame will have it: an answer has 256 KiB, and V8 collects the heap by
 * the bytes of buffers: with a copy of each a join takes a tenth longer (bench/join.ts). Which keys come first is in
 * docs/protocol.md#frames.
 */
export function itemsFrame(served: number, items: readonly Item[]): ItemsFrame {
  const tail = tailOf(served);
  const batch = encodeBatch(items, (batchBytes) => ({ head: headOf(batchBytes), tail }));
  return { t: "items", served, batch };
}

/** The frame as bytes: those in which its batch lies already, or a copy. */
export function encodeItemsFrame({ served, batch }: ItemsFrame): Uint8Array {
  const [head, tail] = [headOf(batch.length), tailOf(served)];
  const whole = Buffer.from(batch.buffer);
  const tailStart = head.length + batch.length;
  const isAround =
    batch.byteOffset === head.length &&
    whole.length === tailStart + tail.length &&
    head.equals(whole.subarray(0, head.length)) &&
    tail.equals(whole.subarray(tailStart));
  return isAround ? whole : Buffer.concat([head, batch, tail]);
}

/** CBOR: a map of 3, `t`: "items", `batch`: so many bytes... */
function headOf(batchBytes: number): Buffer {
  return Buffer.concat([Buffer.from("\xa3\x61t\x65items\x65batch", "latin1"), cborHead(0x40, batchBytes)]);
}

/** ... `served`: a number. */
function tailOf(served: number): Buffer {
  return Buffer.concat([Buffer.from("\x66served", "latin1"), cborHead(0x00, served)]);
}

/** A type and its number, as short as it goes. @param value 32 bits at most */
function cborHead(type: number, value: number): Buffer {
  if (value < 24) return Buffer.of(type + value);
  if (value < 0x100) return Buffer.of(type + 24, value);
  if (value < 0x1_0000) return Buffer.of(type + 25, value >> 8, value & 255);
  const head = Buffer.of(type + 26, 0, 0, 0, 0);
  head.writeUInt32BE(value, 1);
  return head;
}
