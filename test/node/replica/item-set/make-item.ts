import { hash } from "node:crypto";
import type { Item } from "../../../../src/node/replica/item.js";

/** An item for tests of order only: the digest depends on both arguments, the rest is short. */
export function makeItem(serial: number, timestampMs: number): Item {
  const id = String(serial);
  return {
    id,
    raw: "raw",
    signature: "none",
    timestampMs,
    digest: hash("sha256", `${serial}@${timestampMs}`),
  };
}
