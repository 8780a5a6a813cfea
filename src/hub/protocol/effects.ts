import type { CloseReason } from "./close-reason.js";
import type { Session } from "./session.js";

/** How a connection ends: after what is queued has been written, or at once. */
export interface Closing {
  readonly session: Session;
  readonly reason: CloseReason;
  readonly flush: boolean;
}

/**
 * What the shell has to do, collected per kind and not per delivery. The shell carries out `now`, `reading` and
 * `closing` after each call of the machine, and `dirty` once at the end of the event loop's turn, followed by `turned`
 * if the machine has `worked`; it empties the lists.
 */
export class Effects {
  /** Sessions whose outboxes have something to write. */
  readonly dirty: Session[] = [];
  /** Those of them that have so much that they should be written now. */
  readonly now: Session[] = [];
  /** Sessions whose `reading` changed. */
  readonly reading: Session[] = [];
  readonly closing: Closing[] = [];
}
