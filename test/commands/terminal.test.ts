import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { loopbackFlags, NodeProcess } from "../fixtures/node-process.js";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const ENTER_SCREEN = "\u001b[?1049h";
const LEAVE_SCREEN = "\u001b[?1049l";
const SHOW_CURSOR = "\u001b[?25h";
const hasScript = spawnSync("script", ["--version"]).status === 0;

/** `hubcast top` on a terminal of 80 x 24, as util-linux's `script` makes one. */
class Terminal implements AsyncDisposable {
  output = "";
  readonly #child: ChildProcess;

  constructor(args: readonly string[], nodeArgs: readonly string[] = [], env: Record<string, string> = {}) {
    const words = [process.execPath, ...nodeArgs, RUN, "top", ...args].map((word) => `'${word}'`);
    const command = `stty cols 80 rows 24; echo pid=$$; exec ${words.join(" ")}`;
    this.#child = spawn("script", ["-qefc", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        PATH: process.env.PATH,
        TERM: "xterm",
        SHELL: "/bin/sh",
        HUBCAST_MDNS_INTERFACE: "127.0.0.1",
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

  types(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(Number(/pid=(\d+)/.exec(this.output)![1]), signal);
  }

  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, "close");
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
  }
}

/** What comes after the last time that the screen was given back. */
function isRestored(output: string): boolean {
  const left = output.lastIndexOf(LEAVE_SCREEN);
  return left > output.lastIndexOf(ENTER_SCREEN) && output.lastIndexOf(SHOW_CURSOR) > 0;
}

describe.skipIf(!hasScript)("top on a terminal (needs script of util-linux)", () => {
  let node: NodeProcess;
  beforeAll(async () => {
    node = await NodeProcess.start({ flags: [...loopbackFlags("terminal-test"), "--name", "kitchen"] });
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  it("draws the node, posts what is typed, and gives the screen back at q", async () => {
    await using top = new Terminal(["--url", node.url]);
    await top.says("kitchen");
    top.types("p");
    await top.says("post> ");
    top.types("doors open at nine\r");
    await top.says("posted ");
    expect((await node.status()).items).toBe(1);
    top.types("2");
    await top.says("doors open at nine");
    top.types("q");
    expect(await top.ended()).toBe(0);
    expect(isRestored(top.output)).toBe(true);
  });

  it("Ctrl-C ends it with 130", async () => {
    await using top = new Terminal(["--url", node.url]);
    await top.says("kitchen");
    top.types("\u0003");
    expect(await top.ended()).toBe(130);
    expect(isRestored(top.output)).toBe(true);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s gives the screen back", async (signal) => {
    await using top = new Terminal(["--url", node.url]);
    await top.says("kitchen");
    top.kill(signal);
    expect(await top.ended()).not.toBe(0);
    expect(isRestored(top.output)).toBe(true);
  });

  it("an error that nobody caught gives the screen back, and can be read", async () => {
    const fault = "data:text/javascript,setTimeout(() => { throw new Error(`planted`) }, 3000)";
    await using top = new Terminal(["--url", node.url], ["--import", fault]);
    await top.says(ENTER_SCREEN);
    expect(await top.ended()).not.toBe(0);
    expect(isRestored(top.output)).toBe(true);
    expect(top.output.slice(top.output.lastIndexOf(LEAVE_SCREEN))).toContain("planted");
  });

  it("uses no colour with NO_COLOR", async () => {
    await using top = new Terminal(["--url", node.url], [], { NO_COLOR: "1" });
    await top.says("kitchen");
    top.types("q");
    await top.ended();
    expect(top.output).not.toMatch(/\u001b\[(3|4|9)\d/);
  });
});
