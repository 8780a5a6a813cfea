import { setFlagsFromString } from "node:v8";

/**
 * For a process that is a hub and nothing else: has its small heap collected as a whole more rarely, when what lives, buffers
 * included, has grown to four times; V8 allows itself no more either. What waits for a receiver that lags is new memory. V8
 * answered it with a full collection each second, of 3 to 10 ms: as long as the p99 of those who are not slow
 * (bench/hub.ts stops-paced). Costs some 15 % more memory at full load.
 */
export function keepHeapCalm(): void {
  setFlagsFromString("--heap-growing-percent=300");
}
