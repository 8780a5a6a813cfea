import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const DEADLINE_MS = 15_000;

export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  /** A program that runs Node, such as `ip netns exec NAME`. */
  readonly under?: readonly string[];
  /** It is killed then. */
  readonly deadlineMs?: number;
}

/** A running `hubcast` process. */
export class Cli {
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;

  constructor(args: readonly string[], options: CliOptions = {}) {
    const { env = {}, input, nodeArgs = [], under = [], deadlineMs = DEADLINE_MS } = options;
    const [program, ...rest] = [...under, process.execPath, ...nodeArgs, RUN, ...args];
    this.#child = spawn(program!, rest, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ["pipe", "pipe", "pipe"],
      timeout: deadlineMs,
      killSignal: "SIGKILL",
    });
    const child = this.#child;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    // A command that does not read its input may be gone before we have written it.
    child.stdin!.on("error", () => {}).end(input ?? "");
    this.#ended = once(child, "close").then(([code, signal]) => ({
      stdout: this.stdout,
      stderr: this.stderr,
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Stops reading stdout, as `| head -1` does. */
  hangUp(): void {
    this.#child.stdout!.destroy();
  }

  async ended(): Promise<Ended> {
    return await this.#ended;
  }

  /** Resolves when a line of `stream` matches; rejects when the process ends before. */
  async says(pattern: RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
    const ended = this.#ended.then(() => "ended" as const);
    while (!pattern.test(this[stream])) {
      const news = await Promise.race([once(this.#child[stream]!, "data"), ended]);
      if (news === "ended" && !pattern.test(this[stream])) {
        throw new Error(`ended before it said ${pattern}\n${this.stdout}\n${this.stderr}`);
      }
    }
  }
}

/** Runs `hubcast ARGS` to its end. */
export async function hubcast(args: readonly string[], options?: CliOptions): Promise<Ended> {
  return await new Cli(args, options).ended();
}
