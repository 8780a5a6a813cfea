import { LIMITS } from "../core/limits.js";
import { encodeBatch } from "../node/protocol/batch.js";
import { encodedLength, type Item } from "../node/protocol/item.js";
import type { Timeline } from "./timeline.js";

/** Gathers accepted items into gossip messages, as src/node/gossip-outbox.ts: at once when idle, together under load. */
export class Outbox {
  #items: Item[] = [];
  #bytes = 0;
  #flushedAtMs = 0;

  constructor(
    private readonly timeline: Timeline,
    private readonly publish: (message: Uint8Array) => void,
  ) {}

  add(items: readonly Item[]): void {
    for (const item of items) {
      const bytes = encodedLength(item);
      if (this.#bytes + bytes > LIMITS.batchBytesMax) this.flush();
      this.#items.push(item);
      this.#bytes += bytes;
    }
    if (this.timeline.nowMs - this.#flushedAtMs >= LIMITS.batchDelayMs) this.flush();
    else this.timeline.after(LIMITS.batchDelayMs, () => this.flush());
  }

  flush(): void {
    if (this.#items.length === 0) return;
    this.#flushedAtMs = this.timeline.nowMs;
    const message = encodeBatch(this.#items);
    this.#items = [];
    this.#bytes = 0;
    this.publish(message);
  }
}
