import { CLOSE_REASONS, type CloseReason } from "./close-reason.js";
import { FRAME } from "./frame-type.js";
import { writeId } from "./id.js";
import type { Receipt } from "./receipt.js";

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

/** u8 what (1 arrived, 2 left), u8 close reason, u64 id, name. */
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
export function receiptFrame(receipt: Receipt): Buffer {
  const { unknown, evicted } = receipt;
  const frame = newFrame(FRAME.receipt, 20 + 8 * (unknown.length + evicted.length));
  writeId(frame, receipt.number, 5);
  frame.writeUInt32BE(receipt.reached, 13);
  frame.writeUInt32BE(unknown.length, 17);
  frame.writeUInt32BE(evicted.length, 21);
  let at = 25;
  for (const id of [...unknown, ...evicted]) {
    writeId(frame, id, at);
    at += 8;
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
