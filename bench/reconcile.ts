// The cost of a round on the wire and in CPU, beside another implementation of Negentropy V1 against itself.
// npm run build && node bench/reconcile.ts [items per side]
// Read: the ratio of bytes should stay below 0.7 and that of CPU below 0.1. CPU is both sides together, rounds only:
// neither the other's sorting nor our inserts are counted. Bytes do not vary between runs, CPU does.
import { hash } from "node:crypto";
import { respond } from "../build/src/node/negentropy/respond.js";
import { Round } from "../build/src/node/negentropy/round.js";
import { Sketch } from "../build/src/node/negentropy/sketch.js";
import type { Item } from "../build/src/node/replica/item.js";
import { ItemSet } from "../build/src/node/replica/item-set/item-set.js";
import { readDigest, zeroSum } from "../build/src/node/replica/item-set/sum.js";
// @ts-expect-error the package exports neither the file nor its types
import * as untyped from "../node_modules/nostr-tools/lib/esm/nip77.js";
import type * as nip77 from "../node_modules/nostr-tools/lib/types/nip77.js";

const { Negentropy, NegentropyStorageVector } = untyped as typeof nip77;

interface Cost {
  found: number;
  trips: number;
  bytes: number;
  cpuMs: number;
}

const count = Number(process.argv[2] ?? 1_000_000);
/** Timestamps count from the start of the window: the other implementation has 32 bits for them. */
const windowMs = 24 * 3_600_000;
const frameBytesMax = 64 * 1024;

let state = 7;
/** A linear congruential generator: the same sets in every run. */
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}

function makeItems(length: number, from: number, sinceMs: number): Item[] {
  return Array.from({ length }, (_, index) => {
    const timestampMs = sinceMs + Math.floor(random() * (windowMs - sinceMs));
    return { id: "", raw: "", signature: "", timestampMs, digest: hash("sha256", String(from + index)) };
  });
}

function ours(left: Iterable<Item>, right: Iterable<Item>, options: { frameBytesMax?: number }): Cost {
  const [initiatorSet, responderSet] = [new ItemSet(left), new ItemSet(right)];
  const round = new Round(initiatorSet, { ...options, sketch: sketchOf(left) });
  const responderOptions = { ...options, sketch: sketchOf(right) };
  const cost = { found: 0, trips: 0, bytes: 0, cpuMs: 0 };
  const startCpu = process.cpuUsage();
  for (let message: Uint8Array | undefined = round.open(); message; ) {
    const answer = respond(responderSet, message, responderOptions);
    cost.bytes += message.length + answer.length;
    cost.trips++;
    const step = round.take(answer);
    cost.found += step.have.length + step.need.length;
    message = step.reply;
  }
  return { ...cost, cpuMs: cpuMsSince(startCpu) };
}

function sketchOf(items: Iterable<Item>): Sketch {
  const sketch = new Sketch();
  for (const { digest } of items) sketch.add(readDigest(digest, zeroSum()));
  return sketch;
}

function theirs(left: Iterable<Item>, right: Iterable<Item>, options: { frameBytesMax?: number }): Cost {
  const limit = options.frameBytesMax ?? Number.MAX_SAFE_INTEGER;
  const initiator = new Negentropy(sealed(left), limit);
  const responder = new Negentropy(sealed(right), limit);
  const cost = { found: 0, trips: 0, bytes: 0, cpuMs: 0 };
  const found = () => cost.found++;
  const startCpu = process.cpuUsage();
  for (let message: string | null = initiator.initiate(); message; ) {
    const answer: string | null = responder.reconcile(message, found, found);
    cost.bytes += (message.length + (answer ?? "61").length) / 2;
    cost.trips++;
    message = answer && initiator.reconcile(answer, found, found);
  }
  return { ...cost, cpuMs: cpuMsSince(startCpu) };
}

function sealed(items: Iterable<Item>): nip77.NegentropyStorageVector {
  const storage = new NegentropyStorageVector();
  for (const { timestampMs, digest } of items) storage.insert(timestampMs, digest);
  storage.seal();
  return storage;
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return Math.round((user + system) / 1000);
}

const cases: { name: string; differences: number; sinceMs?: number; frameBytesMax?: number }[] = [
  { name: "equal", differences: 0 },
  { name: "1 difference", differences: 1 },
  { name: "100 spread", differences: 100 },
  { name: "100 in the last minute", differences: 100, sinceMs: windowMs - 60_000 },
  { name: "1,000 spread", differences: 1000 },
  { name: "10,000 in the last minute", differences: 10_000, sinceMs: windowMs - 60_000 },
  { name: "100 spread, 64 KiB frames", differences: 100, frameBytesMax },
];

const common = makeItems(count, 0, 0);
let serial = count;
// Two small rounds first, so that both are compiled before anything is measured.
ours(common.slice(0, 50_000), common.slice(100, 50_100), {});
theirs(common.slice(0, 50_000), common.slice(100, 50_100), {});
console.log(`${count.toLocaleString("en")} items on each side; ours / theirs\n`);
for (const { name, differences, sinceMs = 0, ...options } of cases) {
  const extra = makeItems(differences, serial, sinceMs);
  serial += differences;
  const left = [...common, ...extra.filter((_, index) => index % 2 === 0)];
  const right = [...common, ...extra.filter((_, index) => index % 2 === 1)];
  const [us, them] = [ours(left, right, options), theirs(left, right, options)];
  const row = (["found", "trips", "bytes", "cpuMs"] as const).map(
    (key) => `${key} ${us[key]} / ${them[key]}`,
  );
  const ratios = `(bytes ${(us.bytes / them.bytes).toFixed(2)}, cpu ${(us.cpuMs / them.cpuMs).toFixed(3)})`;
  console.log(`${name.padEnd(30)} ${row.join("  ")}  ${ratios}`);
}
