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
