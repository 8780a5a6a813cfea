import { setFlagsFromString } from "node:v8";

/**
 * Keeps the heap of a process that holds much near to what it holds. Left alone, V8 takes what stays for a reason to
 * double its young generation, up to 128 MiB, and lets garbage grow to as much again as is in use: 100,000 items of
 * 256 B cost a node 220 MB, of which it used 65. Call it when what the process needs is loaded: the young generation
 * has its working size by then (16 MiB a half), and smaller ones make posts slower.
 */
export function keepHeapLean(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=30");
}
