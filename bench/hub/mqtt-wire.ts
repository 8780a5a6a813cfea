// The wire of the load generator to an MQTT 3.1.1 broker: one topic, quality of service 0.
import type { Wire } from "../../src/hub/simulate/proof/wire.js";
import { KIND } from "./kind.ts";

const [PUBLISH, PINGRESP] = [3, 13];
const PINGREQ = Buffer.of(0xc0, 0);
const TOPIC = Buffer.of(0, 1, 0x61);

export const wire: Wire = {
  echoes: true,
  headBytesMax: 8,
  hello(index) {
    const id = Buffer.from(`c${index}`);
    const connect = Buffer.concat([Buffer.from("\0\x04MQTT\x04\x02\0\0"), Buffer.of(0, id.length), id]);
    const subscribe = Buffer.concat([Buffer.of(0, 1), TOPIC, Buffer.of(0)]);
    return Buffer.concat([packet(0x10, connect), packet(0x82, subscribe), PINGREQ]);
  },
  fence: PINGREQ,
  messageHeads: (_receivers, payloadBytes) => [
    Buffer.concat([Buffer.of(0x30), length(TOPIC.length + payloadBytes), TOPIC]),
  ],
  messageTail: Buffer.alloc(0),
  readHead(bytes, at, end, into) {
    let rest = 0;
    let next = at + 1;
    for (let shift = 0; ; shift += 7, next += 1) {
      if (next >= end) return false;
      rest |= (bytes[next]! & 0x7f) << shift;
      if (bytes[next]! < 0x80) break;
    }
    next += 1;
    const type = bytes[at]! >> 4;
    const isPublish = type === PUBLISH;
    if (isPublish && next + TOPIC.length > end) return false;
    into.kind = isPublish ? KIND.payload : type === PINGRESP ? KIND.identity : KIND.other;
    into.headBytes = next - at + (isPublish ? TOPIC.length : 0);
    into.bodyBytes = rest - (isPublish ? TOPIC.length : 0);
    into.tailBytes = 0;
    return true;
  },
};

function packet(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), length(body.length), body]);
}

/** Seven bits a byte, least first. */
function length(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
    if (rest < 128) return Buffer.from(bytes);
  }
}
