import type { ReplicaOptions } from "../../../src/node/replica/context.js";
import { Inbox } from "../../../src/node/replica/inbox.js";
import type { Item } from "../../../src/node/replica/item.js";
import type {
  DisconnectReason,
  PostOutcome,
  ReplicaEffect,
  ReplicaInput,
} from "../../../src/node/replica/messages.js";
import type { Replica } from "../../../src/node/replica/replica.js";
import { verifySignature } from "../../../src/node/replica/signature.js";
import { encodeFrame, type Frame } from "../../../src/node/replica/wire.js";
import { makeReplica, NOW } from "./replica-kit.js";

/** Something that can happen next. */
type Pending = () => void;

/**
 * A few replicas and everything that is under way between them. Nothing arrives by itself: the test says what happens
 * next, in any order that a network could make. Frames between two stay in order; all else does not.
 */
export class Lan {
  nowMs = NOW;
  readonly replicas: Replica[];
  /** Acknowledged to the clients that posted. */
  readonly accepted: Item[] = [];
  readonly disconnects: DisconnectReason[] = [];
  readonly #inboxes: Inbox[];
  /** Frames under way, by `from>to`. */
  readonly #wires = new Map<string, Uint8Array[]>();
  readonly #commits: number[][];
  /** Number of the open link of each pair, by `a-b`. */
  readonly #links = new Map<string, number>();
  readonly #inputs: [number, ReplicaInput][] = [];
  #isHandling = false;
  #losesGossip = false;
  #number = 0;

  constructor(count: number, options: Partial<ReplicaOptions> = {}) {
    this.replicas = Array.from({ length: count }, (_, index) =>
      makeReplica({ id: String(index), linksMax: 2 * count, ...options }),
    );
    const verification = {
      items: (items: readonly Item[]) => items.map(verifySignature),
      record: () => true,
      isOverloaded: false,
    };
    this.#inboxes = this.replicas.map(
      (replica, index) => new Inbox(replica, verification, (input) => this.tell(index, input)),
    );
    this.#commits = this.replicas.map(() => []);
    for (const index of this.replicas.keys()) this.tell(index, { type: "started" });
  }

  post(index: number, ...items: Item[]): void {
    this.tell(index, { type: "posted", request: ++this.#number, items });
  }

  isConnected(a: number, b: number): boolean {
    return this.#links.has(key(a, b));
  }

  /** The first dials the second. */
  connect(a: number, b: number): void {
    if (a === b || this.isConnected(a, b)) return;
    const link = ++this.#number;
    this.#links.set(key(a, b), link);
    this.#wires.set(`${a}>${b}`, []).set(`${b}>${a}`, []);
    this.tell(b, { type: "linkUp", link, peer: String(a), address: "" });
    this.tell(a, { type: "linkUp", link, peer: String(b), address: "", attempt: 0 });
  }

  disconnect(a: number, b: number): void {
    const link = this.#links.get(key(a, b));
    if (link === undefined) return;
    this.#links.delete(key(a, b));
    this.#wires.delete(`${a}>${b}`);
    this.#wires.delete(`${b}>${a}`);
    this.tell(a, { type: "linkDown", link, reason: "cut" });
    this.tell(b, { type: "linkDown", link, reason: "cut" });
  }

  /** All that could happen next: the head of each wire, the oldest commit of each replica. */
  pending(): Pending[] {
    const frames = [...this.#wires]
      .filter(([, queue]) => queue.length > 0)
      .map(
        ([wire]) =>
          () =>
            this.#deliver(wire),
      );
    const commits = [...this.#commits.keys()]
      .filter((index) => this.#commits[index]!.length > 0)
      .map((index) => () => this.#commit(index));
    return [...frames, ...commits];
  }

  /** From now on batches of items are lost, and what announces them. */
  loseGossip(loses = true): void {
    this.#losesGossip = loses;
  }

  /** Everything under way arrives, and what that leads to. */
  settle(): void {
    for (let turns = 0; turns < 10_000; turns++) {
      let isQuiet = true;
      for (const [wire, queue] of this.#wires) for (; queue.length > 0; isQuiet = false) this.#deliver(wire);
      for (const [index, waiting] of this.#commits.entries())
        for (; waiting.length > 0; isQuiet = false) this.#commit(index);
      if (isQuiet) return;
    }
    throw new Error("they never stop talking");
  }

  /** Time passes, and nothing is under way for long. */
  live(lengthMs: number): void {
    for (const endMs = this.nowMs + lengthMs; this.nowMs < endMs; this.settle()) this.pass(100);
  }

  /** Time passes on all clocks, and replicas wake when they want to. */
  pass(lengthMs: number): void {
    const endMs = this.nowMs + lengthMs;
    for (;;) {
      const wakeAtMs = Math.min(...this.replicas.map((replica) => replica.wakeAtMs));
      if (wakeAtMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, wakeAtMs);
      this.replicas.forEach((replica, index) => {
        if (replica.wakeAtMs <= this.nowMs) this.tell(index, { type: "woke" });
      });
    }
    this.nowMs = endMs;
  }

  /** All machines sleep at the same time: nobody wakes before the end. */
  sleep(lengthMs: number): void {
    this.nowMs += lengthMs;
    for (const index of this.replicas.keys()) this.tell(index, { type: "woke" });
  }

  tell(index: number, input: ReplicaInput): void {
    this.#inputs.push([index, input]);
    if (this.#isHandling) return;
    this.#isHandling = true;
    for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
      const [to, one] = next;
      for (const effect of this.replicas[to]!.handle(one, this.nowMs)) this.#perform(to, effect);
    }
    this.#isHandling = false;
  }

  #perform(index: number, effect: ReplicaEffect): void {
    switch (effect.type) {
      case "commit":
        this.#commits[index]!.push(effect.commit);
        break;
      case "answer":
        this.#answered(effect.outcomes);
        break;
      case "verify":
        this.#inboxes[index]!.verify(effect);
        break;
      case "send": {
        if (this.#losesGossip && isItemGossip(effect.frame)) return;
        const other = this.#otherEnd(index, effect.link);
        if (other !== undefined) this.#wires.get(`${index}>${other}`)?.push(encodeFrame(effect.frame));
        break;
      }
      case "disconnect":
        this.disconnects.push(effect.reason);
        this.disconnect(index, Number(effect.peer));
        break;
      default:
    }
  }

  #otherEnd(index: number, link: number): number | undefined {
    for (const [pair, number] of this.#links) {
      const [a, b] = pair.split("-").map(Number) as [number, number];
      if (number === link) return a === index ? b : a;
    }
    return undefined;
  }

  #answered(outcomes: readonly PostOutcome[]): void {
    for (const { status, item } of outcomes) if (status === "accepted") this.accepted.push(item);
  }

  #commit(index: number): void {
    this.tell(index, { type: "committed", commit: this.#commits[index]!.shift()! });
  }

  #deliver(wire: string): void {
    const [from, to] = wire.split(">").map(Number) as [number, number];
    const link = this.#links.get(key(from, to))!;
    this.#inboxes[to]!.frame(link, this.#wires.get(wire)!.shift()!);
  }
}

function isItemGossip(frame: Frame): boolean {
  return frame.t === "announce" || (frame.t === "batch" && frame.kind === "items");
}

function key(a: number, b: number): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
