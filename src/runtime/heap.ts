import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** A busier process collects garbage by itself, and a collection would delay its answers. */
const QUIET_UTILIZATION = 0.2;

/** Of a node: smaller ones make posts cost up to a third more, larger ones only hold more garbage. */
const YOUNG_BYTES = 16 * 1024 * 1024;

/** Garbage of a node may grow to so much of what lives... */
const GARBAGE_PERCENT = 30;
/** ... or to so much: full collections of a small heap would take an eighth of the processor that posts take. */
const GARBAGE_BYTES_MIN = 24 * 1024 * 1024;

/** Longer than probing and announcing a node or hub by multicast DNS. */
const START_IS_OVER_MS = 3_000;

/** How often memory is checked, and how many unused bytes justify a collection. */
const LOOK_MS = 10_000;
const UNUSED_BYTES_MAX = 48 * 1024 * 1024;

/**
 * Keeps the heap of a process near the size of its live data. Left alone, V8 doubles its young
 * generation when objects survive, up to 128 MiB, and lets garbage grow to as much again as is in use: 100,000 items of
 * 256 B cost a node 220 MB, of which it used 65. Call it when what the process needs is loaded.
 *
 * A quiet node gives memory back: 12 MB that its start left behind, and after a busy hour once for each 48 MiB that it
 * took, or half of what it held, whichever is more.
 */
export function tuneNodeHeap(): void {
  const limitYoung = youngGenerationLimit();
  limitYoung();
  limitGarbage();
  new PerformanceObserver(limitGarbage).observe({ entryTypes: ["gc"] });
  const isQuiet = quietness();
  let heldBytes = takenBytes();
  const collected = (): void => {
    heldBytes = takenBytes();
    limitYoung();
  };
  collectAfterStart(isQuiet, collected);
  collectWhatIsUnused(() => {
    const grownBytes = takenBytes() - heldBytes;
    return isQuiet() && grownBytes > heldBytes / 2 ? grownBytes : 0;
  }, collected);
}

/** For the collections to come. */
function limitGarbage(): void {
  const percent = Math.max(GARBAGE_PERCENT, (100 * GARBAGE_BYTES_MIN) / getHeapStatistics().used_heap_size);
  setFlagsFromString(`--heap-growing-percent=${Math.ceil(percent)}`);
}

/** @returns lets the young generation, which a collection shrinks, grow up to its working size and no further */
function youngGenerationLimit(): () => void {
  const look = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")!;
    if (young.space_size < YOUNG_BYTES) return;
    setFlagsFromString("--semi-space-growth-factor=1");
    look.disconnect();
  });
  return () => {
    setFlagsFromString("--semi-space-growth-factor=2");
    look.observe({ entryTypes: ["gc"] });
  };
}

function takenBytes(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

/**
 * For a process that only runs a hub: full collections come when live memory, buffers included, has grown to four
 * times. A lagging receiver's queue is new memory, to which V8 answered with a full collection each second, of 3 to
 * 10 ms: as long as the p99 of the other clients (bench/hub.ts stops-paced). Costs some 15 % more memory at full
 * load.
 *
 * An unused hub gives back 2 MB that its start left behind, and after a busy time what that took: 300 MB in
 * bench/abuse-hub.ts frames.
 * @param usedBytes bytes of frames and queues
 */
export function tuneHubHeap(usedBytes: () => number): void {
  setFlagsFromString("--heap-growing-percent=300");
  // A hub that is used by then needs the room of its young generation.
  collectAfterStart(() => usedBytes() === 0);
  const besideFrames = (): number => {
    const { external, heapTotal } = process.memoryUsage();
    return external + heapTotal - usedBytes();
  };
  const isQuiet = quietness();
  let heldBytes = besideFrames();
  collectWhatIsUnused(
    () => {
      const bytes = besideFrames();
      heldBytes = Math.min(heldBytes, bytes);
      // V8 counts garbage as used until it is collected: of a quiet hub, all that was taken since may be garbage.
      return bytes - (isQuiet() ? heldBytes : process.memoryUsage().heapUsed);
    },
    () => {
      heldBytes = besideFrames();
    },
  );
}

/** @returns whether the event loop was mostly idle since the last call */
function quietness(): () => boolean {
  let since = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(since);
    since = performance.eventLoopUtilization();
    return utilization < QUIET_UTILIZATION;
  };
}

/** Collects what a start leaves behind: garbage that became old, and the bytecode of functions that ran then. */
function collectAfterStart(isUnused: () => boolean, collected: () => void = () => {}): void {
  setTimeout(async () => {
    if (!isUnused()) return;
    setFlagsFromString("--bytecode-old-age=1");
    await collect("last-resort");
    setFlagsFromString(`--bytecode-old-age=${BYTECODE_OLD_AGE}`);
    collected();
  }, START_IS_OVER_MS).unref();
}

/** Default of V8: after so many collections without a call, a function loses its bytecode. */
const BYTECODE_OLD_AGE = 6;

/**
 * Collects garbage when much memory is unused. An idle process allocates nothing, so V8 would keep the garbage of a busy
 * hour for good. Fragments of the C heap between used blocks stay.
 * @param unusedBytes an estimate; asked every 10 s
 * @param collected told when a collection is over
 */
function collectWhatIsUnused(unusedBytes: () => number, collected: () => void = () => {}): void {
  const look = (): void => {
    if (unusedBytes() > UNUSED_BYTES_MAX) void collect("regular").then(collected);
  };
  setInterval(look, LOOK_MS).unref();
}

/** @param flavor `last-resort` takes 70 ms of a small heap and gives back all that can be given */
async function collect(flavor: "regular" | "last-resort"): Promise<void> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (options: object) => Promise<void>;
  await gc({ type: "major", execution: "async", flavor });
}
