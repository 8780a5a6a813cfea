import type { Random } from "./machine.js";

const FIRST_MS = 100;
const MOST_MS = 10_000;

/**
 * How long to wait before connecting again: anything up to a bound that doubles with each attempt, so that the clients
 * of a server that restarts do not come back all at once.
 * @param attempt 0 for the first
 * @returns ms, under 10,000
 */
export function backoffMs(attempt: number, random: Random): number {
  return random() * Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
}
