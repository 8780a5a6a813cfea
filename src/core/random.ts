import type { Random } from "./machine.js";

/** Hex digits drawn at random, one draw each. Unique, not secret: `node:crypto` would take 1 MiB for it. */
export function hexId(digits: number, random: Random): string {
  return Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");
}

/** One of a list, drawn at random; undefined only for an empty list. */
export function pick<T>(list: readonly T[], random: Random): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** Takes one out of a list at random, which is not empty. The last one moves to its place. */
export function draw<T>(list: T[], random: Random): T {
  const at = Math.floor(random() * list.length);
  const drawn = list[at]!;
  list[at] = list.at(-1)!;
  list.pop();
  return drawn;
}
