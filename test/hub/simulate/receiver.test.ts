import { expect, it } from "vitest";
import { Histogram } from "../../../src/core/histogram.js";
import { BodySource, writeStamp } from "../../../src/hub/simulate/proof/payload.js";
import { DeliveryLog } from "../../../src/hub/simulate/proof/proof.js";
import { FrameReader, version2 } from "../../../src/hub/simulate/proof/wire.js";
import { Receiver } from "../../../src/hub/simulate/traffic.js";
import { frame, u64 } from "../../hub/raw-client.js";

const SIZE = 100;
const TAG = 7;
/** By client index. The receiver is client 2. */
const IDS = [11, 12, 13];

/** A delivery whose payload client 0 wrote. @param sender id that the hub names */
function delivery(source: BodySource, sender: number, sequence: number): Buffer {
  const payload = Buffer.alloc(SIZE);
  writeStamp(payload, 0, { sender: 0, sequence, intendedUs: 1, actualUs: 1 }, TAG);
  const start = source.start(0, sequence);
  source.bytes.copy(payload, SIZE - source.bodyBytes, start, start + source.bodyBytes);
  return frame(17, u64(sender), payload);
}

it.each([
  ["whole", Number.POSITIVE_INFINITY],
  ["in pieces", 20],
])(
  "a delivery that comes %s is corrupt when the hub names another sender than wrote it",
  (_how, chunkBytes) => {
    const source = new BodySource(SIZE);
    const [recent, intended, actual] = [new Histogram(), new Histogram(), new Histogram()];
    const counters = {
      deliveries: 0,
      distinct: 0,
      deliveredBytes: 0,
      lastDeliveryUs: 0,
      recent,
      intended,
      actual,
    };
    const log = new DeliveryLog(IDS.length, 3, 2);
    const receiver = new Receiver(log, counters, source, TAG, (index) => IDS[index]);
    const reader = new FrameReader(version2, Object.assign(receiver, { answer: () => {} }));
    const stream = Buffer.concat([11, 12, 11].map((sender, sequence) => delivery(source, sender, sequence)));
    for (let at = 0; at < stream.length; at += chunkBytes) {
      const chunk = stream.subarray(at, Math.min(at + chunkBytes, stream.length));
      reader.feed(chunk, chunk.length);
    }
    expect(counters.deliveries).toBe(2);
    expect([...log.faults()]).toEqual([[0, { skipped: 1, duplicated: 0, outOfOrder: 0, corrupt: 1 }]]);
  },
);
