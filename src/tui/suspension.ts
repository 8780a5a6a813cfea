import { once } from "node:events";
import { useApp, useStdout } from "ink";
import { useCallback, useEffect, useLayoutEffect } from "react";

/** A process that is stopped at all is stopped by then. */
const STOPPED_MS = 100;

/** Escape sequences for taking and giving back the terminal, beside Ink's. */
interface Modes {
  readonly taken: string;
  readonly given: string;
}

/**
 * Ctrl-Z and SIGTSTP give the terminal back and stop the process; SIGCONT takes it again and redraws. Ctrl-Z is no
 * signal while Ink reads keys: the caller passes it on.
 * @param modes the same object at each call
 */
export function useSuspension(modes?: Modes): { readonly suspend: () => void; readonly redraw: () => void } {
  const { suspendTerminal } = useApp();
  const { stdout } = useStdout();
  // Written to the terminal directly: a write through Ink makes it redraw.
  const write = useCallback((text = "") => void (text !== "" && stdout.write(text)), [stdout]);
  const redraw = useCallback(() => {
    // The shell may have changed the terminal's modes while the process was suspended.
    suspendTerminal(() => write(modes?.taken)).catch(() => {});
  }, [suspendTerminal, write, modes]);
  const suspend = useCallback(() => {
    if (process.platform === "win32") return;
    suspendTerminal(async () => {
      write(modes?.given);
      process.off("SIGTSTP", suspend);
      // All of the group, as the terminal does it: npx, a shell, workers. Without a shell that could go on with it, the
      // system ignores the signal.
      process.kill(0, "SIGTSTP");
      const waiting = AbortSignal.timeout(STOPPED_MS);
      await once(process, "SIGCONT", { signal: waiting }).catch(() => {});
      process.on("SIGTSTP", suspend);
      write(modes?.taken);
    }).catch(() => {});
  }, [suspendTerminal, write, modes]);
  useLayoutEffect(() => {
    write(modes?.taken);
    return () => write(modes?.given);
  }, [write, modes]);
  useEffect(() => {
    if (process.platform === "win32") return;
    process.on("SIGTSTP", suspend).on("SIGCONT", redraw);
    return () => void process.off("SIGTSTP", suspend).off("SIGCONT", redraw);
  }, [suspend, redraw]);
  return { suspend, redraw };
}
