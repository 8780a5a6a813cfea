import { type CloseReason, closeReasonOf } from "./close-reason.js";
import { FRAME } from "./frame-type.js";
import { readId } from "./id.js";

/** A client as others see it. */
export interface HubPeer {
  readonly id: number;
  /** Empty when it said none. */
  readonly name: string;
  readonly version: number;
}

/** What a hub says to a client. `payload` is a view of the bytes given. */
export type HubFrame =
  | { readonly type: "identity"; readonly id: number }
  | { readonly type: "list"; readonly ids: readonly number[] }
  | {
      readonly type: "message";
      readonly sender?: number;
      readonly to: "you" | "all";
      readonly payload: Buffer;
    }
  | {
      readonly type: "groupMessage";
      readonly sender: number;
      readonly group: string;
      readonly payload: Buffer;
    }
  | {
      readonly type: "welcome";
      readonly version: number;
      readonly features: number;
      readonly id: number;
      readonly pingIntervalMs: number;
      readonly payloadBytesMax: number;
      readonly name: string;
    }
  | { readonly type: "joined" | "left"; readonly members: number; readonly group: string }
  | { readonly type: "roster"; readonly more: boolean; readonly peers: readonly HubPeer[] }
  | { readonly type: "arrived"; readonly id: number; readonly name: string }
  | { readonly type: "departed"; readonly id: number; readonly name: string; readonly reason: CloseReason }
  | { readonly type: "ping" | "pong"; readonly token: Buffer }
  | {
      readonly type: "receipt";
      readonly number: number;
      readonly reached: number;
      readonly unknown: readonly number[];
      readonly evicted: readonly number[];
    }
  | { readonly type: "error"; readonly code: number; readonly text: string }
  | { readonly type: "goodbye"; readonly reason: CloseReason; readonly text: string }
  | { readonly type: "gap"; readonly hub: string; readonly fromMs: number; readonly untilMs: number }
  | { readonly type: "unknown"; readonly frameType: number };

/**
 * Reads one frame of a hub, docs/protocol-hub.md.
 * @param bytes type byte and body, without the length
 * @throws RangeError when the body is shorter than its type needs
 */
export function decodeHubFrame(bytes: Buffer): HubFrame {
  switch (bytes[0]) {
    case FRAME.identity:
      return { type: "identity", id: idAt(bytes, 1) };
    case FRAME.list:
      return { type: "list", ids: readIds(bytes, 1, Math.floor((bytes.length - 1) / 8)) };
    case FRAME.relay:
      return { type: "message", to: "you", payload: bytes.subarray(1) };
    case FRAME.namedRelay:
      return { type: "message", to: "you", sender: idAt(bytes, 1), payload: bytes.subarray(9) };
    case FRAME.toAll:
      return { type: "message", to: "all", sender: idAt(bytes, 1), payload: bytes.subarray(9) };
    case FRAME.toGroup: {
      const payloadAt = 10 + bytes.readUInt8(9);
      const group = bytes.toString("utf8", 10, payloadAt);
      return { type: "groupMessage", sender: idAt(bytes, 1), group, payload: bytes.subarray(payloadAt) };
    }
    case FRAME.hello:
      return {
        type: "welcome",
        version: bytes.readUInt8(1),
        features: bytes.readUInt8(2),
        id: idAt(bytes, 3),
        pingIntervalMs: bytes.readUInt32BE(11),
        payloadBytesMax: bytes.readUInt32BE(15),
        name: bytes.toString("utf8", 19),
      };
    case FRAME.join:
      return { type: "joined", members: bytes.readUInt32BE(1), group: bytes.toString("utf8", 5) };
    case FRAME.leave:
      return { type: "left", members: bytes.readUInt32BE(1), group: bytes.toString("utf8", 5) };
    case FRAME.roster:
      return { type: "roster", more: bytes.readUInt8(1) !== 0, peers: readPeers(bytes) };
    case FRAME.presence: {
      const peer = { id: idAt(bytes, 3), name: bytes.toString("utf8", 11) };
      if (bytes[1] === 1) return { type: "arrived", ...peer };
      return { type: "departed", ...peer, reason: closeReasonOf(bytes.readUInt8(2)) ?? "connectionLost" };
    }
    case FRAME.ping:
      return { type: "ping", token: bytes.subarray(1) };
    case FRAME.pong:
      return { type: "pong", token: bytes.subarray(1) };
    case FRAME.receipt: {
      const unknown = bytes.readUInt32BE(13);
      const evicted = bytes.readUInt32BE(17);
      return {
        type: "receipt",
        number: idAt(bytes, 1),
        reached: bytes.readUInt32BE(9),
        unknown: readIds(bytes, 21, unknown),
        evicted: readIds(bytes, 21 + 8 * unknown, evicted),
      };
    }
    case FRAME.error:
      return { type: "error", code: bytes.readUInt8(1), text: bytes.toString("utf8", 2) };
    case FRAME.goodbye: {
      const reason = closeReasonOf(bytes.readUInt8(1)) ?? "connectionLost";
      return { type: "goodbye", reason, text: bytes.toString("utf8", 2) };
    }
    case FRAME.gap:
      return {
        type: "gap",
        fromMs: idAt(bytes, 1),
        untilMs: idAt(bytes, 9),
        hub: bytes.toString("utf8", 17),
      };
    default:
      return { type: "unknown", frameType: bytes[0] ?? 0 };
  }
}

function idAt(bytes: Buffer, at: number): number {
  if (at + 8 > bytes.length) throw new RangeError("an id does not fit");
  return readId(bytes, at);
}

function readIds(bytes: Buffer, at: number, count: number): number[] {
  if (at + 8 * count > bytes.length) throw new RangeError(`${count} ids do not fit`);
  return Array.from({ length: count }, (_, index) => idAt(bytes, at + 8 * index));
}

function readPeers(bytes: Buffer): HubPeer[] {
  const peers: HubPeer[] = [];
  for (let at = 2; at < bytes.length; ) {
    const nameEnd = at + 10 + bytes.readUInt8(at + 9);
    if (nameEnd > bytes.length) throw new RangeError("a name does not fit");
    const name = bytes.toString("utf8", at + 10, nameEnd);
    peers.push({ id: idAt(bytes, at), version: bytes.readUInt8(at + 8), name });
    at = nameEnd;
  }
  return peers;
}
