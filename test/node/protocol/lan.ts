import { decodeBatch, encodeBatch } from "../../../src/node/protocol/batch.js";
import type { ReplicaOptions } from "../../../src/node/protocol/context.js";
import { decodeFrame, encodeFrame } from "../../../src/node/protocol/frames.js";
import type { Item } from "../../../src/node/protocol/item.js";
import type {
  DisconnectReason,
  PostOutcome,
  ReplicaEffect,
  ReplicaInput,
} from "../../../src/node/protocol/messages.js";
import type { Replica } from "../../../src/node/protocol/replica.js";
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
  /** Acknowledged to whoever posted. */
  readonly accepted: Item[] = [];
  readonly disconnects: DisconnectReason[] = [];
  readonly #wires = new Map<string, Uint8Array[]>();
  readonly #gossip: { to: number; from: number; bytes: Uint8Array }[] = [];
  readonly #commits: number[][];
  readonly #links = new Set<string>();
  #number = 0;

  constructor(count: number, options: Partial<ReplicaOptions> = {}) {
    this.replicas = Array.from({ length: count }, (_, index) =>
      makeReplica({ id: String(index), ...options }),
    );
    this.#commits = this.replicas.map(() => []);
    for (const index of this.replicas.keys()) this.tell(index, { type: "woke" });
  }

  post(index: number, ...items: Item[]): void {
    this.tell(index, { type: "posted", request: ++this.#number, items });
  }

  isConnected(a: number, b: number): boolean {
    return this.#links.has(key(a, b));
  }

  connect(a: number, b: number): void {
    if (a === b || this.isConnected(a, b)) return;
    this.#links.add(key(a, b));
    this.#wires.set(`${a}>${b}`, []).set(`${b}>${a}`, []);
    this.tell(a, { type: "peerUp", peer: String(b), address: "" });
    this.tell(b, { type: "peerUp", peer: String(a), address: "" });
  }

  disconnect(a: number, b: number): void {
    if (!this.#links.delete(key(a, b))) return;
    this.#wires.delete(`${a}>${b}`);
    this.#wires.delete(`${b}>${a}`);
    this.tell(a, { type: "peerDown", peer: String(b), reason: "cut" });
    this.tell(b, { type: "peerDown", peer: String(a), reason: "cut" });
  }

  /** All that could happen next: the head of each wire, any gossip, the oldest commit of each replica. */
  pending(): Pending[] {
    const frames = [...this.#wires]
      .filter(([, queue]) => queue.length > 0)
      .map(
        ([wire]) =>
          () =>
            this.#deliver(wire),
      );
    const gossip = this.#gossip.map((_, at) => () => this.#hear(at));
    const commits = [...this.#commits.keys()]
      .filter((index) => this.#commits[index]!.length > 0)
      .map((index) => () => this.#commit(index));
    return [...frames, ...gossip, ...commits];
  }

  /** Gossip that is under way is lost. */
  loseGossip(): void {
    this.#gossip.length = 0;
  }

  /** Some message comes once more. @param which any number */
  repeatGossip(which: number): void {
    const message = this.#gossip[which % this.#gossip.length];
    if (message) this.#gossip.push(message);
  }

  /** Everything under way arrives, and what that leads to. */
  settle(): void {
    for (let turns = 0; turns < 10_000; turns++) {
      let isQuiet = true;
      for (const [wire, queue] of this.#wires) for (; queue.length > 0; isQuiet = false) this.#deliver(wire);
      for (; this.#gossip.length > 0; isQuiet = false) this.#hear(0);
      for (const [index, waiting] of this.#commits.entries())
        for (; waiting.length > 0; isQuiet = false) this.#commit(index);
      if (isQuiet) return;
    }
    throw new Error("they never stop talking");
  }

  /** Time passes, and nothing is under way for long. */
  live(lengthMs: number): void {
    for (const endMs = this.nowMs + lengthMs; this.nowMs < endMs; this.settle()) this.pass(500);
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
    for (const effect of this.replicas[index]!.handle(input, this.nowMs)) this.#perform(index, effect);
  }

  #perform(index: number, effect: ReplicaEffect): void {
    switch (effect.type) {
      case "commit":
        this.#commits[index]!.push(effect.commit);
        break;
      case "answer":
        this.#answered(effect.outcomes);
        break;
      case "publish":
        for (const to of this.replicas.keys())
          if (this.isConnected(index, to))
            this.#gossip.push({ to, from: index, bytes: encodeBatch(effect.items) });
        break;
      case "send":
        this.#wires.get(`${index}>${effect.peer}`)?.push(encodeFrame(effect.frame));
        break;
      case "disconnect":
        this.disconnects.push(effect.reason);
        this.disconnect(index, Number(effect.peer));
        break;
      default:
    }
  }

  #answered(outcomes: readonly PostOutcome[]): void {
    for (const { status, item } of outcomes) if (status === "accepted") this.accepted.push(item);
  }

  #commit(index: number): void {
    this.tell(index, { type: "committed", commit: this.#commits[index]!.shift()! });
  }

  #deliver(wire: string): void {
    const [from, to] = wire.split(">").map(Number) as [number, number];
    const frame = decodeFrame(this.#wires.get(wire)!.shift()!);
    const peer = String(from);
    if (frame.t !== "items") this.tell(to, { type: "frameReceived", peer, frame });
    else {
      const items = decodeBatch(frame.batch);
      this.tell(to, { type: "itemsReceived", peer, served: frame.served, items, invalid: 0 });
    }
  }

  #hear(at: number): void {
    const [message] = this.#gossip.splice(at, 1);
    const { to, from, bytes } = message!;
    const items = decodeBatch(bytes);
    this.tell(to, { type: "gossiped", message: ++this.#number, from: String(from), items });
  }
}

function key(a: number, b: number): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
