import type { ReplicaInput } from "../node/protocol/messages.js";
import type { Message } from "./gossip.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** Turns bytes from peers into facts for the replica, as src/node/intake.ts: what is no item or frame ends here. */
export class Intake {
  readonly #unsettled = new Map<number, { message: Message; from: string }>();
  #lastMessage = 0;

  constructor(
    private readonly world: World,
    private readonly node: SimNode,
  ) {}

  /** @returns undefined for a message that was seen before, or is to be rejected */
  gossip(message: Message, from: string): ReplicaInput | undefined {
    const { items: known, figures } = this.world;
    if (message.seen.has(this.node.serial)) return undefined;
    message.seen.add(this.node.serial);
    figures.messagesReceived++;
    const items = known.read(message.bytes);
    const unknown = items?.filter((item) => !this.node.replica.knows(item.digest));
    if (!unknown?.every((item) => known.isValid(item))) return undefined;
    const number = ++this.#lastMessage;
    this.#unsettled.set(number, { message, from });
    return { type: "gossiped", message: number, from, items: unknown };
  }

  /** An accepted message travels on. */
  judge(number: number, verdict: "accept" | "ignore"): void {
    const { message, from } = this.#unsettled.get(number)!;
    this.#unsettled.delete(number);
    if (verdict === "accept") this.world.gossip.forward(this.node, message, from);
  }

  frame(peer: string, bytes: Uint8Array): ReplicaInput {
    const { items: known } = this.world;
    const frame = this.world.decode(bytes);
    if (!frame) return { type: "garbled", peer };
    if (frame.t !== "items") return { type: "frameReceived", peer, frame };
    const items = known.read(frame.batch);
    if (!items) return { type: "garbled", peer };
    const valid = items.filter((item) => known.isValid(item));
    const invalid = items.length - valid.length;
    return { type: "itemsReceived", peer, served: frame.served, items: valid, invalid };
  }
}
