import type { Random } from "./machine.js";

/** Bounds of waiting times. */
export interface Backoff {
  /** Before the second attempt at most. */
  readonly firstMs: number;
  readonly mostMs: number;
}

const CONNECTING: Backoff = { firstMs: 100, mostMs: 10_000 };

/**
 * How long to wait before trying again: anything up to a bound that doubles with each attempt, so that the clients
 * of a server that restarts do not come back all at once.
 * @param attempt 0 for the first
 * @param bounds those of connecting, without them
 * @returns ms, under `mostMs`
 */
export function backoffMs(attempt: number, random: Random, bounds: Backoff = CONNECTING): number {
  return random() * Math.min(bounds.mostMs, bounds.firstMs * 2 ** attempt);
}
