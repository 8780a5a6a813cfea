import { HubcastError } from "../../../core/errors.js";

/**
 * A place in the order of items, between any two of them. An `Item` is a bound too: the place just before it.
 */
export interface Bound {
  /** Epoch ms; `Infinity` is behind every item. */
  readonly timestampMs: number;
  /** The first digits of a digest, lower-case hex; omitted ones count as 0. Empty: before all of that timestamp. */
  readonly digest: string;
}

/** Before every item. */
export const START: Bound = { timestampMs: 0, digest: "" };
/** Behind every item. */
export const END: Bound = { timestampMs: Number.POSITIVE_INFINITY, digest: "" };

/**
 * Whether an item lies before a bound. Digests have all their digits, so a plain comparison of strings treats
 * the digits that a bound omits as zeros.
 */
export function isBefore(item: Bound, bound: Bound): boolean {
  return (
    item.timestampMs < bound.timestampMs ||
    (item.timestampMs === bound.timestampMs && item.digest < bound.digest)
  );
}

/** Orders two bounds; 0 when they are the same place, however many zeros are written out. */
export function compareBounds(a: Bound, b: Bound): number {
  if (a.timestampMs !== b.timestampMs) return a.timestampMs < b.timestampMs ? -1 : 1;
  const length = Math.max(a.digest.length, b.digest.length);
  const [aDigest, bDigest] = [a.digest.padEnd(length, "0"), b.digest.padEnd(length, "0")];
  return aDigest < bDigest ? -1 : aDigest > bDigest ? 1 : 0;
}

/** A place in the order of items, as the pages of a list pass it on. Opaque to clients. */
export function encodeCursor({ timestampMs, digest }: Bound): string {
  return `${timestampMs.toString(36)}.${digest}`;
}

/** @throws badRequest when it is no cursor */
export function decodeCursor(cursor: string): Bound {
  const [, time, digest] = /^([0-9a-z]{1,11})\.([0-9a-f]{0,65})$/.exec(cursor) ?? [];
  const timestampMs = Number.parseInt(time ?? "", 36);
  if (digest !== undefined && Number.isSafeInteger(timestampMs)) return { timestampMs, digest };
  throw new HubcastError("badRequest", `${JSON.stringify(cursor)} is no cursor of this list`, {
    suggestions: ["Pass nextCursor of the page before, as it is, or start without a cursor."],
  });
}
