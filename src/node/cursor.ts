import { HubcastError } from "../core/errors.js";
import type { Bound } from "./replica/item-set/bound.js";

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
