import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Broadcast, Item } from "../../node/broadcast.js";
import { connectToNode } from "../../node/client.js";
import { programWords } from "../live-status.js";
import { type Output, painted } from "../output.js";

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

/** Characters of a child's stderr that are kept. */
const WORDS_MAX = 4_000;

interface Ending {
  readonly code: number | null;
  /** For people: `exit code 3`, `SIGKILL`. */
  readonly how: string;
  readonly stdout: string;
}

/** One process of the real CLI. It ends with this process, even when this one is killed. */
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
      for (const line of text.trimEnd().split("\n")) output.detail(`[${this.pid}] ${line}`);
    });
    this.ended = this.#end();
  }

  get pid(): number | undefined {
    return this.#process.pid;
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

  /** The end of its stderr, if it failed. */
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

/** The environment without the user's settings of hubcast, such as a data directory, a token or a URL. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HUBCAST_"));
  // bin/run.js: this Node is the right one, and the channel is there to die with.
  return { ...Object.fromEntries(kept), HUBCAST_PINNED_NODE: "1", NO_COLOR: "1" };
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["\\$`]/g, "\\$&")}"`;
}

/** A node in a process of its own, which can be asked. */
export class NodeProcess {
  private constructor(
    private readonly child: Child,
    readonly number: number,
    readonly name: string,
    readonly id: string,
    readonly url: string,
    readonly asked: Broadcast,
  ) {}

  /** Arguments of hubcast that start it. */
  static args(number: number, cluster: string): string[] {
    const place = ["--port", "0", "--p2p-host", "127.0.0.1", "--mdns-interface", "127.0.0.1"];
    // The whole interface hears the name, so the name shows its owner.
    return ["broadcast", "start", "--name", `${cluster}-${number}`, "--cluster", cluster, ...place, "--json"];
  }

  /** Resolves when the node listens. */
  static async ready(child: Child, number: number): Promise<NodeProcess> {
    const { name, id, url } = JSON.parse(await child.firstLine()) as {
      name: string;
      id: string;
      url: string;
    };
    return new NodeProcess(child, number, name, id, url, await connectToNode(url));
  }

  get pid(): number {
    return this.child.pid!;
  }

  get command(): string {
    return this.child.command;
  }

  /** Sends it a signal, and waits until it has ended. */
  async end(signal: NodeJS.Signals): Promise<Ending> {
    await this.asked.close();
    this.child.kill(signal);
    return await this.child.ended;
  }

  /** Names of the peers in a state, as this node sees it. */
  async peersThatAre(state: "connected" | "lost"): Promise<string[]> {
    const peers = await this.asked.peers();
    return peers.filter((peer) => peer.state === state && peer.name !== "").map(({ name }) => name);
  }
}

interface Arrival {
  readonly item: Item;
  /** When its event reached this process: on the clock of `performance.now()`, and on that of the wall. */
  readonly at: number;
  readonly atMs: number;
}

/** The items that a node publishes from now on, and when each arrived here. */
export class ItemArrivals implements Disposable {
  readonly #seen = new Map<string, Arrival>();
  readonly #waiting = new Map<string, (arrival: Arrival) => void>();
  readonly #stop = new AbortController();
  #failed: Promise<never>;

  /** Resolves when the subscription is in place, so that nothing posted afterwards is missed. */
  static async of(node: NodeProcess): Promise<ItemArrivals> {
    const arrivals = new ItemArrivals();
    await new Promise<void>((resolve, reject) => {
      arrivals.#failed = arrivals.#follow(node, resolve);
      arrivals.#failed.catch(reject);
    });
    return arrivals;
  }

  private constructor() {
    this.#failed = new Promise(() => {});
  }

  /** Resolves when the item of that id has arrived. */
  async arrived(id: string): Promise<Arrival> {
    const seen = this.#seen.get(id);
    if (seen) return seen;
    const arrival = new Promise<Arrival>((resolve) => this.#waiting.set(id, resolve));
    return await Promise.race([arrival, this.#failed]);
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #follow(node: NodeProcess, caughtUp: () => void): Promise<never> {
    // `caught-up` is the proof that the node counts us among its subscribers.
    for await (const event of node.asked.events({ sinceMs: Date.now(), signal: this.#stop.signal })) {
      if (event.type === "caught-up") caughtUp();
      if (event.type !== "item") continue;
      const arrival = { item: event.item, at: performance.now(), atMs: Date.now() };
      this.#seen.set(event.item.id, arrival);
      this.#waiting.get(event.item.id)?.(arrival);
    }
    throw new Error(`node ${node.number} ended its events`);
  }
}
