import { setFlagsFromString } from "node:v8";

/** The heap may grow to six times what lived after the last full collection, not to twice. */
const GROWING_PERCENT = 500;

/**
 * For a process that is a hub and nothing else. What piles up for a slow receiver counts as growth of V8's heap: 10 MB/s
 * of it made a full collection of 5 to 10 ms each 0.8 s, which everybody else's p99 shows (bench/hub.ts stops-paced). The
 * hub bounds its memory itself, so the heap need not be watched that closely.
 */
export function calmHeap(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}
