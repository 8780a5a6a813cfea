import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How often memory is looked at, and how much that nobody uses is worth a collection. */
const LOOK_MS = 10_000;
const UNUSED_BYTES_MAX = 48 * 1024 * 1024;

/**
 * A process that has become quiet allocates nothing, so V8 would never collect what a busy hour has left. It is told to,
 * where much is unused. Of a C library's heap some stays, between what is in use.
 * @param unusedBytes an estimate; asked every 10 s
 * @param collected told when a collection is over
 */
export function collectWhatIsUnused(unusedBytes: () => number, collected: () => void = () => {}): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "major"; execution: "async" }) => Promise<void>;
  const look = (): void => {
    if (unusedBytes() > UNUSED_BYTES_MAX) void collect({ type: "major", execution: "async" }).then(collected);
  };
  setInterval(look, LOOK_MS).unref();
}
