// The wire of the load generator to a redis-server: publish and subscribe on one connection, which RESP3 allows.
import type { Wire } from "../../src/hub/simulate/proof/wire.js";
import { KIND } from "./kind.ts";

const PREFIX = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$";
const [CR, PUSH, BULK, SEVEN, PLUS, MINUS] = [13, 62, 36, 55, 43, 45];

export const wire: Wire = {
  echoes: true,
  headBytesMax: 4_096,
  hello: () => Buffer.from("HELLO 3\r\nSUBSCRIBE a\r\nPING\r\n"),
  fence: Buffer.from("PING\r\n"),
  messageHeads: (_receivers, payloadBytes) => [
    Buffer.from(`*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$${payloadBytes}\r\n`),
  ],
  messageTail: Buffer.from("\r\n"),
  readHead(bytes, at, end, into) {
    if (end - at < 6) return readLine(bytes, at, end) > 0 && bytes[at] !== PUSH ? simple() : false;
    const isMessage = bytes[at] === PUSH && bytes[at + 4] === BULK && bytes[at + 5] === SEVEN;
    const lineAt = isMessage ? at + PREFIX.length : at;
    const last = readLine(bytes, lineAt, end);
    if (last < 0) return false;
    if (!isMessage) return simple();
    into.kind = KIND.payload;
    into.bodyBytes = digits(bytes, lineAt, last);
    into.headBytes = last + 2 - at;
    into.tailBytes = 2;
    return true;

    /** One line, or a bulk string that is part of an answer: all of it is of no interest but +PONG. */
    function simple(): boolean {
      const lineEnd = readLine(bytes, at, end);
      if (bytes[at] === MINUS) throw new Error(bytes.toString("latin1", at, lineEnd));
      const bulk = bytes[at] === BULK;
      into.kind = bytes[at] === PLUS ? KIND.identity : KIND.other;
      into.headBytes = lineEnd + 2 - at;
      into.bodyBytes = bulk ? digits(bytes, at + 1, lineEnd) : 0;
      into.tailBytes = bulk ? 2 : 0;
      return true;
    }
  },
};

/** Where the line ends, or -1 when its end is not here yet. */
function readLine(bytes: Buffer, at: number, end: number): number {
  let last = at;
  while (last < end && bytes[last] !== CR) last += 1;
  return last + 2 > end ? -1 : last;
}

function digits(bytes: Buffer, from: number, to: number): number {
  let value = 0;
  for (let digit = from; digit < to; digit += 1) value = value * 10 + bytes[digit]! - 48;
  return value;
}
