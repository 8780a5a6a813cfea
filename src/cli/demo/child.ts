import { type ChildProcess, spawn } from "node:child_process";
import type { Output } from "../output.js";

/** Kept of what a child says on stderr, in characters. */
const WORDS_MAX = 4_000;

export interface Ending {
  readonly code: number | null;
  /** For people: `exit code 3`, `SIGKILL`. */
  readonly how: string;
  readonly stdout: string;
}

/** One process of the real CLI. It dies when this process does, even when that is killed. */
export class Child {
  readonly command: string;
  readonly ended: Promise<Ending>;
  stdout = "";
  #stderr = "";
  #failed = false;
  readonly #process: ChildProcess;

  constructor(program: string, args: readonly string[], output: Output) {
    this.command = ["hubcast", ...args.map(quoted)].join(" ");
    this.#process = spawn(process.execPath, [program, ...args], {
      // The channel carries nothing: bin/run.js ends its process when the other end is gone.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: environment(),
    });
    const { stdout, stderr } = this.#process;
    stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-WORDS_MAX);
      output.detail(text.trimEnd().replace(/^/gm, `[${this.pid}] `));
    });
    this.ended = this.#end();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** The first line on stdout. Rejects when the process ends without one. */
  firstLine(): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const end = this.stdout.indexOf("\n");
        if (end < 0) return;
        this.#process.stdout!.off("data", look);
        resolve(this.stdout.slice(0, end));
      };
      this.#process.stdout!.on("data", look);
      void this.ended.then(({ how }) => reject(new Error(`${this.command}: ${how}`)));
      look();
    });
  }

  /** The end of what it said on stderr, if it failed. */
  lastWords(): string[] {
    const lines = this.#stderr.trim().split("\n").slice(-5);
    return this.#failed && lines[0] ? [`${this.command}:`, ...lines.map((line) => `  ${line}`)] : [];
  }

  #end(): Promise<Ending> {
    return new Promise((resolve) => {
      const settle = (code: number | null, how: string) => {
        this.#failed = code !== null && code !== 0;
        resolve({ code, how, stdout: this.stdout });
      };
      this.#process.on("error", (error) => settle(1, error.message));
      this.#process.on("close", (code, signal) => settle(code, signal ?? `exit code ${code}`));
    });
  }
}

/** What the user set for hubcast is none of the demo's: a data directory, a token, another URL. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HUBCAST_"));
  // bin/run.js: this Node is the right one, and the channel is there to die with.
  return { ...Object.fromEntries(kept), HUBCAST_PINNED_NODE: "1", NO_COLOR: "1" };
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, "\\$&")}"`;
}
