import { newFrame } from "./encode.js";
import { FLAG, FRAME } from "./frame-type.js";
import { writeId } from "./id.js";

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

/** What stands in front of a payload in a relay of version 1; its length counts the payload. */
export function plainRelayHead(receivers: readonly number[], payloadBytes: number): Buffer {
  const head = Buffer.allocUnsafe(6 + 8 * receivers.length);
  head.writeUInt32BE(head.length - 4 + payloadBytes, 0);
  head[4] = FRAME.relay;
  writeList(head, receivers, 5);
  return head;
}

/** ... in a relay of version 2. @param number comes back in the receipt; 0: none is wanted */
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
