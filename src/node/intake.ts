import type { GossipMessage } from "./cluster/port.js";
import { decodeBatch } from "./protocol/batch.js";
import { decodeFrame, FrameDecodeError } from "./protocol/frames.js";
import { type Item, ItemDecodeError } from "./protocol/item.js";
import type { ReplicaInput } from "./protocol/messages.js";
import { verifySignature } from "./protocol/signature.js";

/**
 * Turns bytes from peers into facts for the replica: decodes, and verifies each item once. What cannot be decoded or
 * fails its signature never gets past here.
 */
export class Intake {
  readonly #unsettled = new Map<number, GossipMessage>();
  #lastMessage = 0;
  readonly figures = { messagesReceived: 0, itemsReceived: 0, duplicates: 0, rejected: 0 };

  /** @param isKnown what is held or on its way to the disk was verified before */
  constructor(
    private readonly isKnown: (digest: string) => boolean,
    private readonly handle: (input: ReplicaInput) => void,
  ) {}

  gossip(message: GossipMessage): void {
    this.figures.messagesReceived++;
    const items = readBatch(message.bytes);
    const unknown = items?.filter((item) => !this.isKnown(item.digest));
    if (!items || !unknown?.every(verifySignature)) {
      this.figures.rejected++;
      message.settle("reject");
      return;
    }
    this.figures.itemsReceived += unknown.length;
    this.figures.duplicates += items.length - unknown.length;
    const number = ++this.#lastMessage;
    this.#unsettled.set(number, message);
    this.handle({ type: "gossiped", message: number, from: message.from, items: unknown });
  }

  /** Passes the replica's verdict on to the engine. */
  judge(message: number, verdict: "accept" | "ignore"): void {
    this.#unsettled.get(message)?.settle(verdict);
    this.#unsettled.delete(message);
  }

  frame(peer: string, bytes: Uint8Array): void {
    const input = this.#readFrame(peer, bytes);
    this.handle(input);
  }

  #readFrame(peer: string, bytes: Uint8Array): ReplicaInput {
    try {
      const frame = decodeFrame(bytes);
      if (frame.t !== "items") return { type: "frameReceived", peer, frame };
      const items = readBatch(frame.batch);
      if (!items) return { type: "garbled", peer };
      const valid = items.filter((item) => this.isKnown(item.digest) || verifySignature(item));
      const invalid = items.length - valid.length;
      return { type: "itemsReceived", peer, served: frame.served, items: valid, invalid };
    } catch (error) {
      if (error instanceof FrameDecodeError) return { type: "garbled", peer };
      throw error;
    }
  }
}

function readBatch(bytes: Uint8Array): Item[] | undefined {
  try {
    return decodeBatch(bytes);
  } catch (error) {
    if (error instanceof ItemDecodeError) return undefined;
    throw error;
  }
}
