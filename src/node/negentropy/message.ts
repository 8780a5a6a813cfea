import type { Bound } from "../replica/item-set/bound.js";

// The words of Negentropy Protocol V1 (https://github.com/hoytech/negentropy, docs/negentropy-protocol-v1.md).

/** First byte of every message ("Message"). */
export const VERSION = 0x61;
/** Version bytes of this protocol's family: V0 to V15. */
export const VERSION_FIRST = 0x60;
export const VERSION_LAST = 0x6f;

/** The content of a range ("Range"). */
export const MODE = { skip: 0, fingerprint: 1, ids: 2 } as const;

export const ID_BYTES = 32;
export const FINGERPRINT_BYTES = 16;

/** One range of a message. It starts where the one before it ends, the first one at the very start. */
export type Range =
  | { readonly mode: "skip"; readonly to: Bound }
  | { readonly mode: "fingerprint"; readonly to: Bound; readonly fingerprint: string }
  | { readonly mode: "ids"; readonly to: Bound; readonly ids: readonly string[] };
