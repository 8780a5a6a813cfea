import { randomBytes } from "node:crypto";
import { programWords } from "../live-status.js";
import type { Output } from "../output.js";
import { painted } from "../output.js";
import { Child, NodeProcess } from "./processes.js";

const LOOK_EVERY_MS = 10;

/** Shared by the steps of the demo: the processes it started, and its output. */
export class Stage implements AsyncDisposable {
  /** Random, so that two demos on one machine never meet. */
  readonly cluster = `demo-${randomBytes(3).toString("hex")}`;
  /** Everything posted is stamped after this: a start that all fingerprints can share. A full minute, epoch ms. */
  readonly sinceMs = Math.floor(Date.now() / 60_000) * 60_000;
  /** Nodes that were started and not stopped or killed on purpose, oldest first. */
  readonly nodes: NodeProcess[] = [];
  /** Rejects when a process ends unasked. */
  readonly faulted: Promise<never>;
  readonly #children = new Set<Child>();
  readonly #killAll = () => {
    for (const child of this.#children) child.kill("SIGKILL");
  };
  #fault!: (error: Error) => void;
  #hope = "";
  #ended = false;

  constructor(
    private readonly program: string,
    private readonly output: Output,
  ) {
    this.faulted = new Promise((_resolve, reject) => {
      this.#fault = reject;
    });
    this.faulted.catch(() => {});
    // Also when this process ends by itself, in the middle: process.exit, an uncaught error.
    process.on("exit", this.#killAll);
  }

  /** The words a user types for `hubcast`. */
  get typed(): string {
    return programWords(process.argv[1] ?? this.program);
  }

  /** Says what happened, under the step that it belongs to. */
  say(text: string): void {
    for (const line of text.trimEnd().split("\n")) this.output.text(`   ${line}`);
  }

  /** Shows a command as a user would type it. */
  show(command: string): void {
    this.output.text(["   ", painted("cyan", `$ ${command}`)]);
  }

  /** Starts a command of the real CLI, in a process that ends with this one at the latest. */
  spawn(args: readonly string[]): Child {
    // A step that has failed continues until its next call here.
    if (this.#ended) throw new Error("the demo has ended");
    const child = new Child(this.program, args, this.output);
    this.#children.add(child);
    return child;
  }

  /** Starts `hubcast broadcast start`. Resolves when the node listens. @param number of the node, from 1 */
  async startNode(number: number): Promise<NodeProcess> {
    const child = this.spawn(NodeProcess.args(number, this.cluster));
    const node = await NodeProcess.ready(child, number);
    this.nodes.push(node);
    void child.ended.then(({ how }) => {
      if (this.nodes.includes(node)) this.#fault(new Error(`node ${number} ended (${how})`));
    });
    return node;
  }

  /** Takes a node off the stage: from now on it may end. */
  release(node: NodeProcess): void {
    const index = this.nodes.indexOf(node);
    if (index >= 0) this.nodes.splice(index, 1);
  }

  /** Runs a command of the real CLI to its end, shown as it is typed. @returns its output */
  async run(...args: readonly string[]): Promise<string> {
    const child = this.spawn(args);
    const { code, how, stdout } = await child.ended;
    this.show(child.command);
    this.say(stdout);
    if (code !== 0) throw new Error(`${child.command}: ${how}`);
    return stdout;
  }

  /** Waits until something is so, looking every few ms. @param hope completes "not within 10 s: ..." */
  async until<Result>(hope: string, look: () => Promise<Result | undefined>): Promise<Result> {
    this.#hope = hope;
    while (!this.#ended) {
      const result = await look();
      if (result !== undefined) {
        this.#hope = "";
        return result;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    throw new Error("the demo has ended");
  }

  /** The condition that the running step waits for, as the end of a sentence. */
  hope(): string {
    return this.#hope && `: ${this.#hope}`;
  }

  /** The unexpected end of a process within that time, if any. */
  async faultWithin(lengthMs: number): Promise<Error | undefined> {
    using none = deadlineIn(lengthMs, () => "none");
    const fault = this.faulted.catch((error: Error) => error);
    return await Promise.race([fault, none.passed.catch(() => undefined)]);
  }

  /** The last stderr lines of processes that have failed. */
  lastWords(): string[] {
    return [...this.#children].flatMap((child) => child.lastWords());
  }

  /** Kills what still runs, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.nodes.length = 0;
    this.#killAll();
    await Promise.all([...this.#children].map((child) => child.ended));
    process.off("exit", this.#killAll);
  }
}

/** A promise that rejects at its deadline; disposing of it clears the timer. */
export interface Deadline extends Disposable {
  readonly passed: Promise<never>;
}

/** @param what asked when it passes: what has not come true */
export function deadlineIn(lengthMs: number, what: () => string): Deadline {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(what())), lengthMs);
  });
  passed.catch(() => {});
  return { passed, [Symbol.dispose]: () => clearTimeout(timer) };
}
