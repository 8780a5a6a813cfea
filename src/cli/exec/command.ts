import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { topicOf } from "../../core/topic.js";
import type { Task } from "./machine/records.js";

/** Where what a command writes goes to: 1 is the standard output of this process, 2 its standard error. */
export type CommandOutput = 1 | 2;

/**
 * Runs one command line at a time for each of its callers, each in a process group of its own: a Ctrl-C of the terminal,
 * which all of a group get, does not reach it.
 */
export class Commands {
  readonly #running = new Set<ChildProcess>();

  constructor(
    private readonly line: string,
    private readonly output: CommandOutput,
  ) {}

  get count(): number {
    return this.#running.size;
  }

  /**
   * Runs the line by the shell of the system, with raw on its standard input and the rest in its environment.
   * @returns why it failed, when it has ended; nothing when it succeeded
   */
  async run(task: Task, raw: string): Promise<string | undefined> {
    let child: ChildProcess;
    let input: number | undefined;
    try {
      input = inputOf(raw);
      child = spawn(this.line, {
        shell: true,
        detached: true,
        stdio: [input, this.output, 2],
        env: { ...process.env, ...environmentOf(task) },
      });
    } catch (error) {
      return cannotStart(error as Error);
    } finally {
      if (input !== undefined) closeSync(input);
    }
    this.#running.add(child);
    try {
      return await new Promise((resolve) => {
        child.on("error", (error) => resolve(cannotStart(error)));
        child.on("exit", (code, signal) => resolve(code === 0 ? undefined : faultOf(code, signal)));
      });
    } finally {
      this.#running.delete(child);
    }
  }

  /** Passes a signal on to all that run, with what they have started. */
  signal(name: NodeJS.Signals): void {
    for (const { pid } of this.#running) {
      try {
        if (pid !== undefined) process.kill(-pid, name);
      } catch {
        // It has just ended.
      }
    }
  }
}

/**
 * A file without a name that a command can read from its beginning. Not a pipe: if this process were killed, the command
 * would take what it got until then for the whole.
 */
function inputOf(raw: string): number {
  const path = join(tmpdir(), `hubcast-${randomUUID()}`);
  const file = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
    const bytes = Buffer.from(raw);
    // Written at places, which leaves the place of the reader at 0.
    for (let written = 0; written < bytes.length; )
      written += writeSync(file, bytes, written, bytes.length - written, written);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** All of them are set, so that none is one of another command around this one. */
function environmentOf({ id, timestampMs, digest, key = "" }: Task): Record<string, string> {
  return {
    HUBCAST_ID: id,
    HUBCAST_TOPIC: topicOf(id) ?? "",
    HUBCAST_TIMESTAMP_MS: String(timestampMs),
    HUBCAST_DIGEST: digest,
    HUBCAST_KEY: key,
  };
}

function cannotStart({ message }: Error): string {
  return `it cannot be started: ${message}`;
}

function faultOf(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `ended by ${signal}` : `exit code ${code}`;
}
