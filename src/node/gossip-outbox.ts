import { LIMITS } from "../core/limits.js";
import type { Cluster } from "./cluster/port.js";
import { encodeBatch } from "./protocol/batch.js";
import { encodedLength, type Item } from "./protocol/item.js";

/**
 * Gathers accepted items into gossip messages. Idle, an item leaves at once, with all that were accepted in the same
 * turn of the event loop; under load items share a message, which closes at 64 KiB or 2 ms, so that hashing, encryption
 * and framing are paid per batch (bench/gossip.ts).
 */
export class GossipOutbox {
  #items: Item[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #turnEnd: NodeJS.Immediate | undefined;
  #flushedAtMs = 0;
  readonly figures = { messagesSent: 0, itemsSent: 0 };

  constructor(private readonly cluster: () => Pick<Cluster, "hasAudience" | "publish">) {}

  add(items: readonly Item[]): void {
    // Whoever comes later gets them by reconciliation: a round starts when a peer connects.
    if (!this.cluster().hasAudience) return;
    for (const item of items) {
      const bytes = encodedLength(item);
      if (this.#bytes + bytes > LIMITS.batchBytesMax) this.flush();
      this.#items.push(item);
      this.#bytes += bytes;
    }
    if (this.#timer || this.#turnEnd) return;
    if (performance.now() - this.#flushedAtMs >= LIMITS.batchDelayMs)
      this.#turnEnd = setImmediate(() => this.flush());
    else this.#timer = setTimeout(() => this.flush(), LIMITS.batchDelayMs);
  }

  flush(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turnEnd);
    this.#timer = undefined;
    this.#turnEnd = undefined;
    if (this.#items.length === 0) return;
    this.#flushedAtMs = performance.now();
    this.figures.messagesSent++;
    this.figures.itemsSent += this.#items.length;
    const message = encodeBatch(this.#items);
    this.#items = [];
    this.#bytes = 0;
    this.cluster().publish(message);
  }
}
