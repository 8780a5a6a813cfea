import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How often memory is checked, and how many unused bytes justify a collection. */
const LOOK_MS = 10_000;
const UNUSED_BYTES_MAX = 48 * 1024 * 1024;

/**
 * Collects garbage when much memory is unused. An idle process allocates nothing, so V8 would keep the garbage of a busy
 * hour for good, and the pages that it was in. Fragments of the C heap between used blocks stay.
 * @param unusedBytes an estimate; asked every 10 s
 * @param collected told when a collection is over
 */
export function collectWhatIsUnused(unusedBytes: () => number, collected: () => void = () => {}): void {
  const look = (): void => {
    if (unusedBytes() > UNUSED_BYTES_MAX) void collectGarbage().then(collected);
  };
  setInterval(look, LOOK_MS).unref();
}

/** Collects all garbage, some 70 ms of work at least, and gives free pages back. What it needs is loaded at the first call. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: object) => Promise<void>;
  await collect({ type: "major", execution: "async", flavor: "last-resort" });
}
