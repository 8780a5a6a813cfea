import type { Item } from "../replica/item.js";
import type { Bound } from "../replica/item-set/bound.js";

/**
 * The shortest bound between two neighbours: "If these records' timestamps differ, then the length should be 0,
 * otherwise it should be the byte-length of their common ID-prefix plus 1" (specification, "Bound").
 */
export function separate(previous: Item, next: Item): Bound {
  const { timestampMs, digest } = next;
  if (previous.timestampMs !== timestampMs) return { timestampMs, digest: "" };
  let digits = 2;
  while (digest.startsWith(previous.digest.slice(0, digits))) digits += 2;
  return { timestampMs, digest: digest.slice(0, digits) };
}
