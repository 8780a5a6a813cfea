import { HubcastError } from "../../../core/errors.js";
import type { StorageFault } from "./messages.js";

/** SQLITE_BUSY: somebody else has the lock. */
const LOCKED = 5;
/** LMDB: no page of that number, corrupted, panic, version mismatch, not an LMDB file, bad transaction, problem. */
const DAMAGED = new Set([-30797, -30796, -30795, -30794, -30793, -30779]);

/** An error of the system (errno text in `code`). */
type SystemError = Error & { readonly code?: string | undefined };

/** Why the lock on a data directory was not to be had. @param holder process id of who has it, where that is known */
export function lockError(dir: string, fault: StorageFault, holder: string | undefined): HubcastError {
  if (fault.code !== LOCKED) return unusable(dir, new Error(fault.message));
  const who = holder ? `process ${holder}` : "another process";
  return new HubcastError("dataDirInUse", `the data directory ${dir} is in use by ${who}`, {
    suggestions: ["Stop that node, or pass another --data-dir: every node has its own."],
  });
}

/** Why the database of a data directory could not be opened or read. */
export function databaseError(dir: string, fault: StorageFault): HubcastError {
  return DAMAGED.has(fault.code) ? damaged(dir, fault.message) : unusable(dir, new Error(fault.message));
}

/** The directory is ours, but what is in it is not whole. @param what completes the sentence "...: " */
export function damaged(dir: string, what: string): HubcastError {
  return new HubcastError("dataDirDamaged", `the data directory ${dir} is damaged: ${what}`, {
    suggestions: [
      "Nothing was changed in it. Restore it from a copy, or move it away and start with an empty one: peers bring back what they hold.",
    ],
  });
}

/** The directory holds something else. @param what completes the sentence "...: " */
export function foreign(dir: string, what: string): HubcastError {
  return new HubcastError("dataDirForeign", `${dir} is not a data directory of this node: ${what}`, {
    suggestions: ["Nothing was changed in it. Pass a --data-dir that is empty, or does not exist yet."],
  });
}

/** The system does not let us use the directory. */
export function unusable(dir: string, cause: SystemError): HubcastError {
  return new HubcastError("dataDirUnusable", `cannot use the data directory ${dir}: ${cause.message}`, {
    suggestions: [suggestionFor(cause)],
    cause,
  });
}

/** A commit failed; nothing of it was kept. */
export function commitError(fault: StorageFault): HubcastError {
  return new HubcastError("storageFailed", `the disk of --data-dir is full, or failing: ${fault.message}`, {
    suggestions: ["Free space on that disk: the node takes items again at once."],
  });
}

function suggestionFor({ code }: SystemError): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "Free space on that disk.";
    case "ENOTDIR":
    case "EEXIST":
      return "Pass a --data-dir that is a directory, or does not exist yet.";
    default:
      return "Give the user that runs the node permission to read and write it.";
  }
}
