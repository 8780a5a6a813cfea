// The wire of the load generator to a nats-server: everybody on one subject, own messages not echoed.
import type { Wire } from "../../src/hub/simulate/proof/wire.js";
import { KIND } from "./kind.ts";

const [CR, M, P, I, O, PLUS] = [13, 77, 80, 73, 79, 43];

export const wire: Wire = {
  echoes: false,
  headBytesMax: 4_096,
  hello: () => Buffer.from('CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nSUB a 1\r\nPING\r\n'),
  fence: Buffer.from("PING\r\n"),
  pong: () => Buffer.from("PONG\r\n"),
  messageHeads: (_receivers, payloadBytes) => [Buffer.from(`PUB a ${payloadBytes}\r\n`)],
  messageTail: Buffer.from("\r\n"),
  readHead(bytes, at, end, into) {
    let last = at;
    while (last < end && bytes[last] !== CR) last += 1;
    if (last + 2 > end) return false;
    into.headBytes = last + 2 - at;
    into.bodyBytes = 0;
    into.tailBytes = 0;
    const [first, second] = [bytes[at], bytes[at + 1]];
    if (first === M) {
      // MSG a 1 SIZE
      let size = 0;
      for (let digit = at + 8; digit < last; digit += 1) size = size * 10 + bytes[digit]! - 48;
      into.kind = KIND.payload;
      into.bodyBytes = size;
      into.tailBytes = 2;
    } else if (first === P) into.kind = second === O ? KIND.identity : KIND.ping;
    else if (first === I || first === PLUS) into.kind = KIND.other;
    else throw new Error(bytes.toString("latin1", at, last));
    return true;
  },
};
