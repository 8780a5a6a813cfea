// The words of Negentropy Protocol V1 (https://github.com/hoytech/negentropy, docs/negentropy-protocol-v1.md).

import type { Bound } from "../replica/item-set/bound.js";

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

/** Why a message or a whole round was given up: a closed list, shown in logs and metrics. */
export type ReconcileFault =
  | "truncated" // the message ends inside a range
  | "malformed" // a number, bound or mode that the specification does not know
  | "outOfOrder" // a bound that lies before the one it follows
  | "unsupportedVersion"
  | "tooLong" // the message is larger than messageBytesMax
  | "wrongRange" // an answer about a range that is settled, or was never asked about
  | "noProgress"; // the round goes on and on and settles nothing

/** A peer's message that cannot be part of a reconciliation. The peer is at fault; nothing was changed. */
export class ReconcileError extends Error {
  override readonly name = "ReconcileError";

  constructor(
    readonly reason: ReconcileFault,
    message: string,
  ) {
    super(message);
  }
}
