import type { Item } from "./item.js";
import { type IntegrityScheme, integritySignature, isAuthored, schemeOf } from "./signature.js";

const DERIVED = { md5: derived("md5"), sha256: derived("sha256") };

/**
 * An item as it is kept. A hash of raw says nothing that raw does not, so it is taken again when somebody reads
 * `signature`: the hashes of 1,000,000 items take 90 MB. The property is the object's own and enumerable like the
 * others, so copies, JSON and comparisons see no difference.
 * @param item verified
 */
export function heldItem(item: Item): Item {
  if (isAuthored(item.signature)) return item;
  const scheme = schemeOf(item.signature);
  if (scheme === undefined || scheme === "ed25519") return item;
  const { id, raw, timestampMs, digest } = item;
  return Object.defineProperty({ id, raw, timestampMs, digest } as Item, "signature", DERIVED[scheme]);
}

/** A copy for who reads `signature` more than once. */
export function wholeItem({ id, raw, signature, timestampMs, digest }: Item): Item {
  return { id, raw, signature, timestampMs, digest };
}

/** One accessor for all items of a scheme: it is part of the shape that they share, and takes no room in any of them. */
function derived(scheme: IntegrityScheme): PropertyDescriptor {
  return {
    get(this: Item): string {
      return integritySignature(this.raw, scheme);
    },
    enumerable: true,
  };
}
