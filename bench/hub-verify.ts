// The rate that the load generator can receive and check on one core, without sockets: reads of 64 KiB, as they come off one.
// npm run build && node bench/hub-verify.ts [SIZE...]
import type { ReceiveCounters } from "../src/hub/simulate/traffic.js";

const from = async (path: string) => await import(new URL(`../build/src/${path}.js`, import.meta.url).href);
const { Histogram } = (await from("core/histogram")) as typeof import("../src/core/histogram.js");
const { BodySource, STAMP_BYTES, writeStamp } = (await from(
  "hub/simulate/proof/payload",
)) as typeof import("../src/hub/simulate/proof/payload.js");
const { DeliveryLog } = (await from(
  "hub/simulate/proof/proof",
)) as typeof import("../src/hub/simulate/proof/proof.js");
const { FrameReader } = (await from(
  "hub/simulate/proof/wire",
)) as typeof import("../src/hub/simulate/proof/wire.js");
const { version1: wire } = (await from(
  "hub/simulate/proof/hub-wire",
)) as typeof import("../src/hub/simulate/proof/wire.js");
const { Receiver } = (await from("hub/simulate/traffic")) as typeof import("../src/hub/simulate/traffic.js");

const READ_BYTES = 65_536;
const STREAM_BYTES = 64 * 2 ** 20;
const SENDERS = 100;

const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [128, 1_024, 10_240, 1_024_000];
for (const size of sizes) {
  const results = [1, 2, 3].map(() => verify(size)).toSorted((a, b) => a - b);
  const [us] = results as [number];
  console.log(
    `${String(size).padStart(8)} B  ${us.toFixed(3)} us CPU  ${Math.round(1e6 / us).toLocaleString("en")} deliveries/s  ${(size / us / 1_000).toFixed(1)} GB/s`,
  );
}

/** @returns microseconds of processor for each delivery */
function verify(size: number): number {
  const source = new BodySource(size);
  const count = Math.floor(STREAM_BYTES / (5 + size));
  const stream = streamOf(count, source);
  const histogram = () => new Histogram();
  const counters: ReceiveCounters = {
    ...{ deliveries: 0, distinct: 0, deliveredBytes: 0, lastDeliveryUs: 0 },
    ...{ recent: histogram(), intended: histogram(), actual: histogram() },
  };
  const receiver = new Receiver(new DeliveryLog(SENDERS, count), counters, source, 1, () => undefined);
  const reader = new FrameReader(wire, Object.assign(receiver, { answer: () => {} }));
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const before = process.cpuUsage();
  for (let at = 0; at < stream.length; at += READ_BYTES) {
    const end = stream.copy(buffer, 0, at, at + READ_BYTES);
    receiver.chunkCame();
    reader.feed(buffer, end);
  }
  const { user, system } = process.cpuUsage(before);
  if (counters.distinct !== count) throw new Error(`${counters.distinct} of ${count} were sound`);
  return (user + system) / count;
}

function streamOf(count: number, source: InstanceType<typeof BodySource>): Buffer {
  const frameBytes = 5 + source.payloadBytes;
  const stream = Buffer.alloc(count * frameBytes);
  for (let index = 0; index < count; index += 1) {
    const at = index * frameBytes;
    const [sender, sequence] = [index % SENDERS, Math.floor(index / SENDERS)];
    stream.writeUInt32BE(frameBytes - 4, at);
    stream[at + 4] = 3;
    writeStamp(stream, at + 5, { sender, sequence, intendedUs: 0, actualUs: 0 }, 1);
    const start = source.start(sender, sequence);
    source.bytes.copy(stream, at + 5 + STAMP_BYTES, start, start + source.bodyBytes);
  }
  return stream;
}
