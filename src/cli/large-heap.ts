import { spawn } from "node:child_process";
import { once } from "node:events";
import { getHeapStatistics } from "node:v8";
import { onSignals } from "./signals.js";

/** Left to this process when a larger one would not find more either. */
const ENOUGH = 0.8;

/** Whether this process may not use so much memory. Node sets the limit when it starts, to 4 GiB at most. */
export function needsLargerHeap(bytes: number): boolean {
  return bytes > getHeapStatistics().heap_size_limit * ENOUGH && !process.execArgv.some(isHeapFlag);
}

/** Runs this very command line in a process that may use so much memory. @returns its exit code */
export async function rerunWithHeap(bytes: number): Promise<number> {
  const mebibytes = Math.ceil(bytes / ENOUGH / 1024 ** 2);
  const args = [`--max-old-space-size=${mebibytes}`, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(process.execPath, args, { stdio: "inherit" });
  onSignals(["SIGINT", "SIGTERM"], (signal) => child.kill(signal));
  const [code] = (await once(child, "close")) as [number | null];
  return code ?? 1;
}

function isHeapFlag(argument: string): boolean {
  return argument.startsWith("--max-old-space-size");
}
