import { closeSync, openSync } from "node:fs";
import { HubcastError } from "../core/errors.js";

/**
 * One Ctrl-C can arrive more than once: a terminal signals the whole group, and npm or a wrapper forward it too.
 * Repeats so soon after the first are the same wish.
 */
const SAME_WISH_MS = 250;

/** Rejects with `interrupted` at the first SIGINT, and aborts `signal`; a second SIGINT ends the process at once. */
export function onInterrupt(): { readonly signal: AbortSignal; readonly interrupted: Promise<never> } {
  const controller = new AbortController();
  const interrupted = new Promise<never>((_resolve, reject) => {
    onSignals(["SIGINT"], (signal) => {
      const error = new HubcastError("interrupted", `stopped by ${signal}`);
      reject(error);
      controller.abort(error);
    });
  });
  interrupted.catch(() => {});
  return { signal: controller.signal, interrupted };
}

/**
 * Calls `first` at the first of these signals. A second one, later than a repeat of the first could be, ends the
 * process with exit code 130.
 */
export function onSignals(signals: readonly NodeJS.Signals[], first: (signal: NodeJS.Signals) => void): void {
  let firstAtMs: number | undefined;
  for (const signal of signals) {
    process.on(signal, () => {
      if (firstAtMs === undefined) {
        firstAtMs = performance.now();
        first(signal);
      } else if (performance.now() - firstAtMs > SAME_WISH_MS) process.exit(130);
    });
  }
}

/**
 * SIGHUP means two things: that the terminal is gone, and, sent by somebody to a server, that it shall read its files again.
 * @param gone the first @param again the second
 */
export function onHangUp(gone: () => void, again: () => void): void {
  const hadTerminal = hasTerminal();
  process.on("SIGHUP", () => (hadTerminal && !hasTerminal() ? gone() : again()));
}

/** Whether this process has a terminal that can end it; false once that is closed. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
