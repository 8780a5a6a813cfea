import { closeSync, openSync } from "node:fs";
import { HubcastError } from "../core/errors.js";
import { formatDuration } from "../core/units.js";
import type { WatchedFiles } from "./flag-file.js";
import type { Output } from "./output.js";

/**
 * One Ctrl-C can arrive more than once: a terminal signals the whole group, and npm or a wrapper forward it too.
 * A repeat this soon after the first counts as the same key.
 */
const SAME_KEY_MS = 250;

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
      } else if (performance.now() - firstAtMs > SAME_KEY_MS) endProcess(130);
    });
  }
}

/** Work that may be inside of a system call, on a thread of its own. */
const ON_THREADS = /^(FSReq|FileHandle|StatWatcher|GetAddrInfo|GetNameInfo)/;

/**
 * Ends this process now, with that code. `process.exit` waits for every thread, also for one whose system call never
 * returns (a pipe without a writer, a share whose server is gone); a program that takes this one's place does not.
 */
export function endProcess(code: number): never {
  if (process.execve && process.getActiveResourcesInfo().some((name) => ON_THREADS.test(name))) {
    process.emit("exit", code);
    process.execve("/bin/sh", ["sh", "-c", `exit ${code}`], {});
  }
  process.exit(code);
}

/**
 * SIGHUP means two things: the terminal is gone, or a user asks a server to read its files again.
 * @param gone the first @param again the second
 */
function onHangUp(gone: () => void, again: () => void): void {
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

/** The deadline of a stop, for goodbyes, queues and the disk: the hub's own drain takes 5 s at most. */
const STOP_MS_MAX = 15_000;

/** Stops a server once, at a signal. The process then ends by itself, at a second signal, or at the deadline. */
export class Stopping {
  readonly #controller = new AbortController();
  /** Resolves when the server has to stop. */
  readonly told: Promise<void>;

  constructor(
    private readonly output: Output,
    signals: readonly NodeJS.Signals[],
    private readonly deadlineMs = STOP_MS_MAX,
  ) {
    const { signal } = this;
    this.told = new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    onSignals(signals, (name) => this.stop(name));
  }

  /**
   * Stops a server. A SIGHUP makes it read its files again; it stops a server that was started without any, unless a
   * service manager started it (which reloads with SIGHUP), or whose terminal is gone.
   * @param paths files that flags named; undefined for a flag that was not given
   */
  static ofServer(output: Output, paths: readonly (string | undefined)[], files: WatchedFiles): Stopping {
    if (paths.every((path) => path === undefined) && !process.env.NOTIFY_SOCKET)
      return new Stopping(output, ["SIGINT", "SIGTERM", "SIGHUP"]);
    const stopping = new Stopping(output, ["SIGINT", "SIGTERM"]);
    onHangUp(
      () => stopping.stop("SIGHUP"),
      () => files.look(),
    );
    return stopping;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(name: NodeJS.Signals): void {
    this.output.note(`${name}: stopping; Ctrl-C again ends at once`);
    setTimeout(() => {
      const after = formatDuration(this.deadlineMs);
      const failure = new HubcastError("deadline", `not stopped ${after} after ${name}: it ends as it is`);
      this.output.failure(failure);
      endProcess(failure.exitCode);
    }, this.deadlineMs).unref();
    this.#controller.abort();
  }

  /** The started server; undefined when it had to stop meanwhile; it has closed everything it opened. */
  async unlessTold<T>(start: Promise<T>): Promise<T | undefined> {
    return await start.catch((error: unknown) => {
      if (this.signal.aborted) return undefined;
      throw error;
    });
  }
}

/**
 * Tells a service manager that this server listens, where one asked for it (sd_notify(3), `Type=notify` of a systemd unit).
 * Node opens no datagram socket of the Unix family, so systemd's own program does: the unit needs `NotifyAccess=all`.
 */
export async function notifyReady(output: Output): Promise<void> {
  if (!process.env.NOTIFY_SOCKET) return;
  const { execFile } = await import("node:child_process");
  execFile("systemd-notify", ["--ready"], (error) => {
    if (error) output.warning(`cannot tell the service manager that this server is up: ${error.message}`);
  });
}
