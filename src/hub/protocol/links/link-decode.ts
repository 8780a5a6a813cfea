import { type CloseReason, closeReasonOf } from "../close-reason.js";
import { readId } from "../id.js";
import { LINK_FRAME } from "./link-frame.js";

/** What one hub says to another. `block` is where frames for clients begin; they go to the end. */
export type LinkFrame =
  | {
      readonly type: "relay";
      readonly number: number;
      /** Where the u64 ids of the receivers begin; they go to `blockStart`. */
      readonly idsStart: number;
      readonly blockStart: number;
    }
  | {
      readonly type: "toAll" | "toGroup";
      readonly number: number;
      readonly idsStart?: undefined;
      readonly blockStart: number;
    }
  | {
      readonly type: "client";
      readonly id: number;
      readonly version: number;
      readonly announced: boolean;
      readonly name: string;
      readonly groups: readonly string[];
    }
  | { readonly type: "gone"; readonly id: number; readonly reason: CloseReason }
  | { readonly type: "join" | "leave"; readonly id: number; readonly group: string }
  | { readonly type: "allNamed" }
  | {
      readonly type: "receipt";
      readonly number: number;
      readonly reached: number;
      readonly unknown: readonly number[];
      readonly evicted: readonly number[];
    }
  | { readonly type: "hold" | "release"; readonly id: number }
  | {
      readonly type: "gap";
      readonly fromMs: number;
      readonly untilMs: number;
      readonly ids: readonly number[] | undefined;
    };

/**
 * Reads the frame whose length field is at `start` and which ends before `end`.
 * @returns undefined when it is none of ours, or contradicts itself
 */
export function decodeLinkFrame(bytes: Buffer, start: number, end: number): LinkFrame | undefined {
  const at = start + 5;
  const size = end - at;
  switch (bytes[start + 4]) {
    case LINK_FRAME.relay: {
      if (size < 10) return undefined;
      const count = bytes.readUInt16BE(at + 8);
      if (size < 10 + 8 * count) return undefined;
      const idsStart = at + 10;
      return { type: "relay", number: readId(bytes, at), idsStart, blockStart: idsStart + 8 * count };
    }
    case LINK_FRAME.toAll:
      return size < 8 ? undefined : { type: "toAll", number: readId(bytes, at), blockStart: at + 8 };
    case LINK_FRAME.toGroup:
      return size < 8 ? undefined : { type: "toGroup", number: readId(bytes, at), blockStart: at + 8 };
    case LINK_FRAME.client:
      return size < 11 ? undefined : client(bytes, at, end);
    case LINK_FRAME.gone:
      if (size !== 9) return undefined;
      return {
        type: "gone",
        id: readId(bytes, at),
        reason: closeReasonOf(bytes[at + 8]!) ?? "connectionLost",
      };
    case LINK_FRAME.join:
    case LINK_FRAME.leave: {
      if (size < 9) return undefined;
      const type = bytes[start + 4] === LINK_FRAME.join ? "join" : "leave";
      return { type, id: readId(bytes, at), group: bytes.toString("utf8", at + 8, end) };
    }
    case LINK_FRAME.allNamed:
      return { type: "allNamed" };
    case LINK_FRAME.receipt:
      return size < 20 ? undefined : receipt(bytes, at, size);
    case LINK_FRAME.hold:
    case LINK_FRAME.release:
      if (size !== 8) return undefined;
      return { type: bytes[start + 4] === LINK_FRAME.hold ? "hold" : "release", id: readId(bytes, at) };
    case LINK_FRAME.gap: {
      if (size < 16 || size % 8 !== 0) return undefined;
      const ids = size === 16 ? undefined : readIds(bytes, at + 16, size / 8 - 2);
      return { type: "gap", fromMs: readId(bytes, at), untilMs: readId(bytes, at + 8), ids };
    }
    default:
      return undefined;
  }
}

function client(bytes: Buffer, at: number, end: number): LinkFrame | undefined {
  const names: string[] = [];
  for (let next = at + 10; next < end; ) {
    const nameEnd = next + 1 + bytes[next]!;
    if (nameEnd > end) return undefined;
    names.push(bytes.toString("utf8", next + 1, nameEnd));
    next = nameEnd;
  }
  const [name = "", ...groups] = names;
  const announced = bytes[at + 9] === 1;
  return { type: "client", id: readId(bytes, at), version: bytes[at + 8]!, announced, name, groups };
}

function receipt(bytes: Buffer, at: number, size: number): LinkFrame | undefined {
  const unknown = bytes.readUInt32BE(at + 12);
  const evicted = bytes.readUInt32BE(at + 16);
  if (size !== 20 + 8 * (unknown + evicted)) return undefined;
  return {
    type: "receipt",
    number: readId(bytes, at),
    reached: bytes.readUInt32BE(at + 8),
    unknown: readIds(bytes, at + 20, unknown),
    evicted: readIds(bytes, at + 20 + 8 * unknown, evicted),
  };
}

function readIds(bytes: Buffer, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => readId(bytes, at + 8 * index));
}
