/** What one session says to another (docs/protocol-nats.md#links). `link` numbers the links that one session offered. */
export type LinkMessage =
  | { readonly type: "here"; readonly id: string }
  | { readonly type: "offer"; readonly link: number; readonly id: string }
  | { readonly type: "accept"; readonly link: number }
  | {
      readonly type: "piece";
      readonly link: number;
      /** Of the piece, from 1 on. */
      readonly number: number;
      /** The frame ends with it. */
      readonly isLast: boolean;
      readonly bytes: Uint8Array;
    }
  /** The receiver has taken so many pieces. */
  | { readonly type: "credit"; readonly link: number; readonly taken: number }
  | { readonly type: "end"; readonly link: number; readonly reason: string };

const TYPES = ["", "here", "offer", "accept", "piece", "credit", "end"] as const;

export function encodeMessage(message: LinkMessage): Uint8Array {
  const type = Buffer.of(TYPES.indexOf(message.type));
  switch (message.type) {
    case "here":
      return Buffer.concat([type, Buffer.from(message.id)]);
    case "offer":
      return Buffer.concat([type, u32(message.link), Buffer.from(message.id)]);
    case "accept":
      return Buffer.concat([type, u32(message.link)]);
    case "piece":
      return Buffer.concat([
        type,
        u32(message.link),
        u32(message.number),
        Buffer.of(Number(message.isLast)),
        message.bytes,
      ]);
    case "credit":
      return Buffer.concat([type, u32(message.link), u32(message.taken)]);
    case "end":
      return Buffer.concat([type, u32(message.link), Buffer.from(message.reason)]);
  }
}

/** @returns `undefined` for what is none */
export function decodeMessage(bytes: Uint8Array): LinkMessage | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = TYPES[buffer[0] ?? 0];
  if (type === "here") return { type, id: buffer.toString("utf8", 1) };
  if (type === undefined || type === "" || buffer.length < 5) return undefined;
  const link = buffer.readUInt32BE(1);
  switch (type) {
    case "offer":
      return { type, link, id: buffer.toString("utf8", 5) };
    case "accept":
      return { type, link };
    case "piece":
      if (buffer.length < 10) return undefined;
      return {
        type,
        link,
        number: buffer.readUInt32BE(5),
        isLast: buffer[9] === 1,
        bytes: buffer.subarray(10),
      };
    case "credit":
      return buffer.length < 9 ? undefined : { type, link, taken: buffer.readUInt32BE(5) };
    case "end":
      return { type, link, reason: buffer.toString("utf8", 5) };
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
