// What the load generator can receive and check on one core, without sockets: reads of 64 KiB, as they come off one.
// npm run build && node bench/hub-verify.ts [SIZE...]
import type { Tally } from "../src/hub/simulate/receiver.js";

const from = async (path: string) => await import(new URL(`../dist/${path}.js`, import.meta.url).href);
const { Histogram } = (await from("core/histogram")) as typeof import("../src/core/histogram.js");
const { Tape, STAMP_BYTES, writeStamp } = (await from(
  "hub/simulate/protocol/payload",
)) as typeof import("../src/hub/simulate/protocol/payload.js");
const { Ledger } = (await from(
  "hub/simulate/protocol/ledger",
)) as typeof import("../src/hub/simulate/protocol/ledger.js");
const { FrameReader } = (await from(
  "hub/simulate/protocol/frame-reader",
)) as typeof import("../src/hub/simulate/protocol/frame-reader.js");
const { wire } = (await from(
  "hub/simulate/protocol/hub-wire",
)) as typeof import("../src/hub/simulate/protocol/hub-wire.js");
const { Receiver } = (await from(
  "hub/simulate/receiver",
)) as typeof import("../src/hub/simulate/receiver.js");

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
  const tape = new Tape(size);
  const count = Math.floor(STREAM_BYTES / (5 + size));
  const stream = streamOf(count, tape);
  const histogram = () => new Histogram();
  const tally: Tally = {
    ...{ deliveries: 0, distinct: 0, deliveredBytes: 0, lastDeliveryUs: 0 },
    ...{ recent: histogram(), intended: histogram(), actual: histogram() },
  };
  const receiver = new Receiver(new Ledger(SENDERS, count), tally, tape, 1);
  const reader = new FrameReader(wire, Object.assign(receiver, { answer: () => {} }));
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const before = process.cpuUsage();
  for (let at = 0; at < stream.length; at += READ_BYTES) {
    const end = stream.copy(buffer, 0, at, at + READ_BYTES);
    receiver.chunkCame();
    reader.feed(buffer, end);
  }
  const { user, system } = process.cpuUsage(before);
  if (tally.distinct !== count) throw new Error(`${tally.distinct} of ${count} were sound`);
  return (user + system) / count;
}

function streamOf(count: number, tape: InstanceType<typeof Tape>): Buffer {
  const frameBytes = 5 + tape.payloadBytes;
  const stream = Buffer.alloc(count * frameBytes);
  for (let index = 0; index < count; index += 1) {
    const at = index * frameBytes;
    const [sender, sequence] = [index % SENDERS, Math.floor(index / SENDERS)];
    stream.writeUInt32BE(frameBytes - 4, at);
    stream[at + 4] = 3;
    writeStamp(stream, at + 5, { sender, sequence, intendedUs: 0, actualUs: 0 }, 1);
    const start = tape.start(sender, sequence);
    tape.bytes.copy(stream, at + 5 + STAMP_BYTES, start, start + tape.bodyBytes);
  }
  return stream;
}
