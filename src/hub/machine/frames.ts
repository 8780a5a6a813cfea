/**
 * The type byte of every frame, docs/protocol-hub.md. 1 to 3 are version 1; from 16 on version 2. A number means one
 * thing in each direction: most questions and their answers share one.
 */
export const FRAME = {
  /** Question: no body. Answer: u64 own id. */
  identity: 1,
  /** Question: no body. Answer: u64 ids of all other clients. */
  list: 2,
  /** To the hub: u8 n, n x u64 receiver, payload. From it: payload. */
  relay: 3,

  /** To the hub: version, wanted features, name, token. From the hub: the agreed version and features. */
  hello: 16,
  /** To the hub: flags, u64 number, u8 n, n x u64 receiver, payload. From it: u64 sender, payload. */
  namedRelay: 17,
  /** To the hub: flags, u64 number, payload. From it: u64 sender, payload. */
  toAll: 18,
  /** To the hub: flags, u64 number, u8 length, group, payload. From it: u64 sender, u8 length, group, payload. */
  toGroup: 19,
  /** Group name. Answer: u32 members, group name. */
  join: 20,
  /** Group name. Answer: u32 members left, group name. */
  leave: 21,
  /** Question: no body. Answer: u8 more, then per client u64 id, u8 version, u8 length, name. */
  roster: 22,
  /** From the hub: u8 change (1 arrived, 2 left), u8 close reason, u64 id, name. */
  presence: 23,
  /** In both directions: 8 bytes that come back in a pong. */
  ping: 24,
  pong: 25,
  /** From the hub: u64 number, u32 reached, unknown, evicted, then the ids of the last two. */
  receipt: 26,
  /** From the hub: u8 code, text. The connection goes on. */
  error: 27,
  /** From the hub: u8 close reason, text. The connection is closed behind it. */
  goodbye: 28,
  /** From the hub: u64 since (epoch ms), u64 until, then the name of another hub. */
  gap: 29,
} as const;

/** The highest version that this hub and client speak. */
export const VERSION = 2;

/** Bytes in front of a delivered payload: length and type, and in version 2 the sender's id. */
export const V1_HEADER = 5;
export const V2_HEADER = 13;

/** Bits of the features in a hello. */
export const FEATURE = {
  /** Frame 23 when clients come and go. */
  presence: 1,
} as const;

/** Bits of the flags of a message of version 2. */
export const FLAG = {
  /** The sender wants a frame 26. */
  receipt: 1,
} as const;

/** Codes of an error frame. */
export const WIRE_ERROR = { tooManyGroups: 1, badName: 2 } as const;

/** Why a connection ended. A closed list, also in logs, metrics, `/v1/clients` and goodbye frames. */
export const CLOSE_REASONS = {
  clientClosed: { code: 1, meaning: "The client ended the connection." },
  connectionLost: { code: 2, meaning: "The connection broke." },
  slowConsumer: { code: 3, meaning: "The client did not read what was sent to it." },
  memoryBudget: {
    code: 4,
    meaning: "The hub's memory was used up and this client made no progress for longest.",
  },
  malformedFrame: { code: 5, meaning: "A frame contradicts itself: empty, or its parts exceed its length." },
  frameTooLarge: { code: 6, meaning: "A frame or payload is longer than allowed." },
  unknownType: { code: 7, meaning: "A frame has a type that the hub does not know." },
  frameTimeout: { code: 8, meaning: "A frame was begun and not finished in time." },
  handshakeTimeout: { code: 9, meaning: "The hub asks for a hello and none came in time." },
  unauthorized: { code: 10, meaning: "The hub asks for a token and the first frame was no hello with it." },
  pingTimeout: { code: 11, meaning: "The client answered no ping in time." },
  clientsMax: { code: 12, meaning: "The hub has as many clients as it is allowed to have." },
  stopping: { code: 13, meaning: "The hub shuts down." },
  hubLost: { code: 14, meaning: "The hub of that client is gone, or out of reach of the other hubs." },
  messagesLost: {
    code: 15,
    meaning:
      "Messages to the client were lost between two hubs, and version 1 of the protocol has no frame to report it.",
  },
  idsUsedUp: { code: 16, meaning: "The hub has no id left to give, and cannot get more now." },
  tooManyGuesses: { code: 17, meaning: "Too many wrong tokens came from the address of the client." },
  tlsFailed: { code: 18, meaning: "The hub talks TLS, and the client did not, or not in time." },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

export type CloseReason = keyof typeof CLOSE_REASONS;

/** The reason with that code; undefined for a code of a newer hub. */
export function closeReasonOf(code: number): CloseReason | undefined {
  return (Object.keys(CLOSE_REASONS) as CloseReason[]).find((reason) => CLOSE_REASONS[reason].code === code);
}

/** Ids are u64 on the wire and numbers here: a hub that gives out a million a second needs 285 years to 2^53. */
const HIGH = 2 ** 32;

/** The id at `offset`; 0, which no client has, when it is 2^53 or more. No BigInt on the hot path. */
export function readId(bytes: Buffer, offset: number): number {
  const low =
    bytes[offset + 4]! * 0x100_0000 +
    ((bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!);
  const high =
    (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  if (high === 0) return low;
  return high > 0 && high < 0x20_0000 ? high * HIGH + low : 0;
}

export function writeId(bytes: Buffer, id: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(id / HIGH), offset);
  bytes.writeUInt32BE(id % HIGH, offset + 4);
}

/** A frame of `bodyBytes` with its length and type written; the body begins at 5. */
export function newFrame(type: number, bodyBytes: number): Buffer {
  const frame = Buffer.allocUnsafeSlow(5 + bodyBytes);
  frame.writeUInt32BE(1 + bodyBytes, 0);
  frame[4] = type;
  return frame;
}

/** Version 1: u64 own id. */
export function identityFrame(id: number): Buffer {
  const frame = newFrame(FRAME.identity, 8);
  writeId(frame, id, 5);
  return frame;
}

/** u32 members, group name. @param type FRAME.join or FRAME.leave */
export function groupFrame(type: number, members: number, group: string): Buffer {
  const name = Buffer.from(group);
  const frame = newFrame(type, 4 + name.length);
  frame.writeUInt32BE(members, 5);
  name.copy(frame, 9);
  return frame;
}

/** u8 version, u8 features, u64 own id, u32 ping interval in ms, u32 payload limit, name of the hub. */
export function welcomeFrame(welcome: {
  readonly version: number;
  readonly features: number;
  readonly id: number;
  readonly pingIntervalMs: number;
  readonly payloadBytesMax: number;
  readonly name: string;
}): Buffer {
  const name = Buffer.from(welcome.name);
  const frame = newFrame(FRAME.hello, 18 + name.length);
  frame[5] = welcome.version;
  frame[6] = welcome.features;
  writeId(frame, welcome.id, 7);
  frame.writeUInt32BE(welcome.pingIntervalMs, 15);
  frame.writeUInt32BE(welcome.payloadBytesMax, 19);
  name.copy(frame, 23);
  return frame;
}

/** u8 change (1 arrived, 2 left), u8 close reason, u64 id, name. */
export function presenceFrame(id: number, name: string, reason?: CloseReason): Buffer {
  const nameBytes = Buffer.from(name);
  const frame = newFrame(FRAME.presence, 10 + nameBytes.length);
  frame[5] = reason === undefined ? 1 : 2;
  frame[6] = reason === undefined ? 0 : CLOSE_REASONS[reason].code;
  writeId(frame, id, 7);
  nameBytes.copy(frame, 15);
  return frame;
}

/** 8 bytes that come back in a pong. @param type FRAME.ping or FRAME.pong */
export function pingFrame(type: number, token: Buffer): Buffer {
  const frame = newFrame(type, 8);
  token.copy(frame, 5, 0, 8);
  return frame;
}

/** u64 number, u32 reached, u32 unknown, u32 evicted, then the ids of the last two. */
export function receiptFrame(receipt: {
  readonly number: number;
  readonly reached: number;
  readonly unknown: readonly number[];
  readonly evicted: readonly number[];
}): Buffer {
  const { unknown, evicted } = receipt;
  const frame = newFrame(FRAME.receipt, 20 + 8 * (unknown.length + evicted.length));
  writeId(frame, receipt.number, 5);
  frame.writeUInt32BE(receipt.reached, 13);
  frame.writeUInt32BE(unknown.length, 17);
  frame.writeUInt32BE(evicted.length, 21);
  let at = 25;
  for (const ids of [unknown, evicted]) {
    for (const id of ids) {
      writeId(frame, id, at);
      at += 8;
    }
  }
  return frame;
}

/** u8 code, text. @param type FRAME.error or FRAME.goodbye */
export function textFrame(type: number, code: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  const frame = newFrame(type, 1 + bytes.length);
  frame[5] = code;
  bytes.copy(frame, 6);
  return frame;
}

/** u64 since, u64 until (epoch ms), name of the hub from which something may be missing. */
export function gapFrame(fromMs: number, untilMs: number, hub: string): Buffer {
  const name = Buffer.from(hub);
  const frame = newFrame(FRAME.gap, 16 + name.length);
  writeId(frame, Math.floor(fromMs), 5);
  writeId(frame, Math.ceil(untilMs), 13);
  name.copy(frame, 21);
  return frame;
}

export function goodbyeFrame(reason: CloseReason): Buffer {
  const { code, meaning } = CLOSE_REASONS[reason];
  return textFrame(FRAME.goodbye, code, meaning);
}

/** u8 version, u8 features, u8 length, name, then the token. */
export function helloFrame(hello: {
  readonly version: number;
  readonly features: number;
  readonly name: string;
  readonly token: string;
}): Buffer {
  const name = Buffer.from(hello.name);
  const token = Buffer.from(hello.token);
  const frame = newFrame(FRAME.hello, 3 + name.length + token.length);
  frame[5] = hello.version;
  frame[6] = hello.features;
  frame[7] = name.length;
  name.copy(frame, 8);
  token.copy(frame, 8 + name.length);
  return frame;
}

/** A frame whose body is a group's name, or nothing. */
export function nameFrame(type: number, name = ""): Buffer {
  const bytes = Buffer.from(name);
  const frame = newFrame(type, bytes.length);
  bytes.copy(frame, 5);
  return frame;
}

/** The head of a relay of version 1; its length counts the payload. */
export function plainRelayHead(receivers: readonly number[], payloadBytes: number): Buffer {
  const head = Buffer.allocUnsafe(6 + 8 * receivers.length);
  head.writeUInt32BE(head.length - 4 + payloadBytes, 0);
  head[4] = FRAME.relay;
  writeList(head, receivers, 5);
  return head;
}

/** The head of a relay of version 2. @param number returned in the receipt; 0: none is wanted */
export function namedRelayHead(receivers: readonly number[], payloadBytes: number, number: number): Buffer {
  const head = messageHead(FRAME.namedRelay, 1 + 8 * receivers.length, payloadBytes, number);
  writeList(head, receivers, 14);
  return head;
}

export function toAllHead(payloadBytes: number, number: number): Buffer {
  return messageHead(FRAME.toAll, 0, payloadBytes, number);
}

export function toGroupHead(group: string, payloadBytes: number, number: number): Buffer {
  const name = Buffer.from(group);
  const head = messageHead(FRAME.toGroup, 1 + name.length, payloadBytes, number);
  head[14] = name.length;
  name.copy(head, 15);
  return head;
}

function messageHead(type: number, extraBytes: number, payloadBytes: number, number: number): Buffer {
  const head = Buffer.allocUnsafe(14 + extraBytes);
  head.writeUInt32BE(head.length - 4 + payloadBytes, 0);
  head[4] = type;
  head[5] = number === 0 ? 0 : FLAG.receipt;
  writeId(head, number, 6);
  return head;
}

function writeList(head: Buffer, receivers: readonly number[], at: number): void {
  head[at] = receivers.length;
  for (const [index, id] of receivers.entries()) writeId(head, id, at + 1 + 8 * index);
}

/** A client as others see it. */
export interface HubPeer {
  readonly id: number;
  /** Empty when it has none. */
  readonly name: string;
  readonly version: number;
}

/** The outcome of a message, for the client that sent it; hubs pass it on to each other. */
export interface ReceiptFrame {
  readonly type: "receipt";
  readonly number: number;
  readonly reached: number;
  readonly unknown: readonly number[];
  readonly evicted: readonly number[];
}

/** A frame from a hub to a client. `payload` is a view of the bytes given. */
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
  | ReceiptFrame
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
