import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "../fixtures/eventually.js";

export const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
export const hasScript = spawnSync("script", ["--version"]).status === 0;

/** A command on a terminal of 80 x 24, as util-linux's `script` makes one. */
export class Terminal implements AsyncDisposable {
  output = "";
  readonly #child: ChildProcess;

  /** `hubcast top` alone. */
  static top(
    args: readonly string[],
    nodeArgs: readonly string[] = [],
    env: Record<string, string> = {},
  ): Terminal {
    const words = [process.execPath, ...nodeArgs, RUN, "top", ...args].map((word) => `'${word}'`);
    return new Terminal(`stty cols 80 rows 24; echo pid=$$; exec ${words.join(" ")}`, env);
  }

  /** A shell that a command can be suspended to. */
  static shell(command = "bash --norc --noprofile -i"): Terminal {
    return new Terminal(command, { PS1: "$ " });
  }

  /** A server, which leaves its exit code in a file when it ends. As a login shell, this one passes the hang-up on. */
  static server(words: readonly string[], codeFile: string): Terminal {
    const command = [process.execPath, RUN, ...words].map((word) => `'${word}'`).join(" ");
    const passOn = 'trap "kill -HUP $!" HUP; wait $!; wait $!';
    return new Terminal(`${command} & ${passOn}; echo $? > '${codeFile}'`, {});
  }

  private constructor(command: string, env: Record<string, string>) {
    this.#child = spawn("script", ["-qefc", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        PATH: process.env.PATH,
        TERM: "xterm",
        SHELL: "/bin/sh",
        HUBCAST_MDNS_INTERFACE: "127.0.0.1",
        HUBCAST_HUB_MDNS_INTERFACE: "127.0.0.1",
        ...env,
      },
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
  }

  async says(text: string): Promise<void> {
    await eventually(() => this.output.includes(text), 15_000).catch(() => {
      throw new Error(`it never said ${text}: ${JSON.stringify(this.output.slice(-2_000))}`);
    });
  }

  /** Says it after what was there before. */
  async saysNow(text: string, before: number): Promise<void> {
    await eventually(() => this.output.indexOf(text, before) >= 0, 15_000).catch(() => {
      throw new Error(`it did not say ${text}: ${JSON.stringify(this.output.slice(before).slice(-2_000))}`);
    });
  }

  /** @returns where the output ended before */
  types(keys: string): number {
    const before = this.output.length;
    this.#child.stdin!.write(keys);
    return before;
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(Number(/pid=(\d+)/.exec(this.output)![1]), signal);
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, "close");
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
  }
}
