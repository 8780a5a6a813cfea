import type { GossipMessage } from "./cluster/port.js";
import { Lanes } from "./lanes.js";
import { decodeBatch } from "./protocol/batch.js";
import { decodeFrame, FrameDecodeError } from "./protocol/frames.js";
import { type Item, ItemDecodeError } from "./protocol/item.js";
import type { ReplicaInput } from "./protocol/messages.js";
import { isAuthored } from "./protocol/signature.js";
import type { Verifier } from "./verification/verifier.js";

/**
 * Turns bytes from peers into facts for the replica: decodes, and verifies each item once. What cannot be decoded or
 * fails its signature never gets past here. What one peer sends keeps its order, its gossip apart from its frames.
 */
export class Intake {
  readonly #unsettled = new Map<number, GossipMessage>();
  readonly #lanes = new Lanes();
  #lastMessage = 0;
  readonly figures = { messagesReceived: 0, itemsReceived: 0, duplicates: 0, rejected: 0, skipped: 0 };

  /** @param isKnown what is held or on its way to the disk was verified before */
  constructor(
    private readonly isKnown: (digest: string) => boolean,
    private readonly verifier: Verifier,
    private readonly handle: (input: ReplicaInput) => void,
  ) {}

  gossip(message: GossipMessage): void {
    this.figures.messagesReceived++;
    const items = readBatch(message.bytes);
    const unknown = items?.filter((item) => !this.isKnown(item.digest));
    if (!items || !unknown) {
      this.#reject(message);
      return;
    }
    // What is read from a log comes but once; it waits.
    if (
      !message.taken &&
      this.verifier.isOverloaded &&
      unknown.some(({ signature }) => isAuthored(signature))
    ) {
      this.figures.skipped++;
      message.settle("ignore");
      return;
    }
    this.#lanes.add(`gossip ${message.from}`, this.verifier.check(unknown), (verdicts) => {
      if (verdicts.includes(false)) this.#reject(message);
      else this.#take(message, unknown, items.length - unknown.length);
    });
  }

  #reject(message: GossipMessage): void {
    this.figures.rejected++;
    message.settle("reject");
  }

  #take(message: GossipMessage, items: readonly Item[], duplicates: number): void {
    this.figures.itemsReceived += items.length;
    this.figures.duplicates += duplicates;
    const number = ++this.#lastMessage;
    this.#unsettled.set(number, message);
    message.taken?.();
    this.handle({ type: "gossiped", message: number, from: message.from, items });
  }

  /** Passes the replica's verdict on to the engine. */
  judge(message: number, verdict: "accept" | "ignore"): void {
    this.#unsettled.get(message)?.settle(verdict);
    this.#unsettled.delete(message);
  }

  /** A peer came or went: known only behind what it sent before. */
  connection(input: Extract<ReplicaInput, { type: "peerUp" | "peerDown" }>): void {
    this.#lanes.add(input.peer, input, this.handle);
  }

  frame(peer: string, bytes: Uint8Array): void {
    const input = this.#readFrame(peer, bytes);
    if (!(input instanceof Promise) && isSignOfLife(input)) this.handle(input);
    else this.#lanes.add(peer, input, this.handle);
  }

  #readFrame(peer: string, bytes: Uint8Array): ReplicaInput | Promise<ReplicaInput> {
    try {
      const frame = decodeFrame(bytes);
      if (frame.t !== "items") return { type: "frameReceived", peer, frame };
      const items = readBatch(frame.batch);
      return items ? this.#verify(peer, frame.served, items) : { type: "garbled", peer };
    } catch (error) {
      if (error instanceof FrameDecodeError) return { type: "garbled", peer };
      throw error;
    }
  }

  #verify(peer: string, served: number, items: readonly Item[]): ReplicaInput | Promise<ReplicaInput> {
    const unknown = items.filter((item) => !this.isKnown(item.digest));
    const input = (verdicts: readonly boolean[]): ReplicaInput => {
      const bad = new Set(unknown.filter((_, index) => !verdicts[index]));
      const valid = bad.size === 0 ? items : items.filter((item) => !bad.has(item));
      return { type: "itemsReceived", peer, served, items: valid, invalid: bad.size };
    };
    const verdicts = this.verifier.check(unknown);
    return verdicts instanceof Promise ? verdicts.then(input) : input(verdicts);
  }
}

/** Says nothing of what came before or after it: a node that is busy checking items must not pass for a dead one. */
function isSignOfLife(input: ReplicaInput): boolean {
  return input.type === "frameReceived" && (input.frame.t === "ping" || input.frame.t === "pong");
}

function readBatch(bytes: Uint8Array): Item[] | undefined {
  try {
    return decodeBatch(bytes);
  } catch (error) {
    if (error instanceof ItemDecodeError) return undefined;
    throw error;
  }
}
