import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { packDigests } from "./frames.js";

/** Who wants to know when an item is held: asked by the node that took a post with `wait`, answered by its peers. */
export class Receipts {
  /** Items not held yet, and the peers to tell when they are; bounded, the oldest are dropped. */
  readonly #awaited = new Map<string, Set<string>>();

  constructor(private readonly context: ReplicaContext) {}

  /** Asks every connected peer to say when it holds an item. */
  ask(digest: string): void {
    for (const { id } of this.context.peers.greeted()) {
      this.context.emit({ type: "send", peer: id, frame: { t: "confirm", digest: packDigests([digest]) } });
    }
  }

  /** A peer asks: it is told now, or once the item is durable here. */
  asked(peer: string, digest: string): void {
    if (this.context.holdings.has(digest)) {
      this.#tell(peer, digest);
      return;
    }
    const peers = this.#awaited.get(digest);
    if (peers) {
      peers.add(peer);
      return;
    }
    this.#awaited.set(digest, new Set([peer]));
    if (this.#awaited.size <= LIMITS.confirmationsMax) return;
    const [oldest] = this.#awaited.keys();
    this.#awaited.delete(oldest!);
  }

  held(digest: string): void {
    const peers = this.#awaited.get(digest);
    if (!peers) return;
    this.#awaited.delete(digest);
    for (const peer of peers) this.#tell(peer, digest);
  }

  #tell(peer: string, digest: string): void {
    this.context.emit({ type: "send", peer, frame: { t: "confirmed", digest: packDigests([digest]) } });
  }
}
