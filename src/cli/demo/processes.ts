import { type ChildProcess, spawn } from "node:child_process";
import type { Broadcast, Item } from "../../node/broadcast.js";
import { connectToNode } from "../../node/client.js";
import type { Output } from "../output.js";

/** Characters of a child's stderr that are kept. */
const WORDS_MAX = 4_000;

export interface Ending {
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

/** A node in a process of its own, and a way to ask it. */
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

export interface Arrival {
  readonly item: Item;
  /** When its event reached this process: on the clock of `performance.now()`, and on that of the wall. */
  readonly at: number;
  readonly atMs: number;
}

/** The items that a node publishes from now on, and when each arrived here. */
export class Arrivals implements Disposable {
  readonly #seen = new Map<string, Arrival>();
  readonly #waiting = new Map<string, (arrival: Arrival) => void>();
  readonly #stop = new AbortController();
  #failed: Promise<never>;

  /** Resolves when the subscription is in place, so that nothing posted afterwards is missed. */
  static async of(node: NodeProcess): Promise<Arrivals> {
    const arrivals = new Arrivals();
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
