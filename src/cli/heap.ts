import { spawn } from "node:child_process";
import { once } from "node:events";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { collectWhatIsUnused } from "../runtime/unused-memory.js";
import { onSignals } from "./signals.js";

/** A busier node collects garbage by itself, and a collection would delay its answers. */
const QUIET_UTILIZATION = 0.2;

/**
 * Keeps the heap of a process near the size of its live data. Left alone, V8 takes what stays for a reason to
 * double its young generation, up to 128 MiB, and lets garbage grow to as much again as is in use: 100,000 items of
 * 256 B cost a node 220 MB, of which it used 65. Call it when what the process needs is loaded: the young generation
 * has its working size by then (16 MiB a half), and smaller ones make posts slower.
 *
 * After a busy hour a quiet node gives memory back: once for each 48 MiB that it took, or half of what it held, whichever is more.
 */
export function keepHeapLean(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=30");
  let heldBytes = takenBytes();
  let since = performance.eventLoopUtilization();
  collectWhatIsUnused(
    () => {
      const { utilization } = performance.eventLoopUtilization(since);
      since = performance.eventLoopUtilization();
      const grownBytes = takenBytes() - heldBytes;
      return utilization < QUIET_UTILIZATION && grownBytes > heldBytes / 2 ? grownBytes : 0;
    },
    () => {
      heldBytes = takenBytes();
    },
  );
}

function takenBytes(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

/** The part of the heap's limit that data may take; the rest is for garbage. */
const ENOUGH = 0.8;

/** Whether this process may not use so much memory. Node sets the limit when it starts, to 4 GiB at most. */
export function needsLargerHeap(bytes: number): boolean {
  return (
    bytes > getHeapStatistics().heap_size_limit * ENOUGH &&
    ![...process.execArgv, nodeOptions()].some(setsHeap)
  );
}

/** Runs the same command line in a process that may use so much memory. @returns its exit code */
export async function rerunWithHeap(bytes: number): Promise<number> {
  const mebibytes = Math.ceil(bytes / ENOUGH / 1024 ** 2);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    // Not as an argument: the executable takes all of those for its own.
    env: { ...process.env, NODE_OPTIONS: `${nodeOptions()} --max-old-space-size=${mebibytes}` },
  });
  onSignals(["SIGINT", "SIGTERM"], (signal) => child.kill(signal));
  const [code] = (await once(child, "close")) as [number | null];
  return code ?? 1;
}

function nodeOptions(): string {
  return process.env.NODE_OPTIONS ?? "";
}

function setsHeap(options: string): boolean {
  return /--max[-_]old[-_]space[-_]size/.test(options);
}
