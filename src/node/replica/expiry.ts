import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import type { ViewChange } from "./holdings.js";
import type { Item } from "./item.js";
import type { ReplicaChange } from "./messages.js";

/** Items that leave or come back in one step; the rest follow at once, in the next. */
export const REMOVE_STEP = 1_000;

interface Hidden {
  readonly item: Item;
  readonly sinceMs: number;
}

/**
 * The end of items. An item that expires leaves the set at once. If it expires while the clock is trusted, it is erased at
 * once, too. If it expires by a clock that is not trusted yet (after a start, after a jump, while others contradict it), it
 * is only hidden, and comes back if the clock goes back. It is erased when the clock has been trusted for `clockHoldMs`, or
 * when it was hidden for the retention.
 */
export class Expiry {
  /** In order of their timestamps. */
  #hidden: Hidden[] = [];
  #isComingBack = false;

  constructor(private readonly context: ReplicaContext) {}

  get wakeAtMs(): number {
    if (this.#isComingBack) return 0;
    const { holdings, clock, options } = this.context;
    const oldest = holdings.set.first();
    return oldest ? oldest.timestampMs + options.retentionMs - clock.ms(0) : Number.POSITIVE_INFINITY;
  }

  /** Looks at the clock once. @returns what is to be erased from the storage, and what subscribers are to be told */
  step(nowMs: number): { readonly erase: readonly Item[]; readonly changes: readonly ReplicaChange[] } {
    const erase: Item[] = [];
    const changes: ReplicaChange[] = [];
    this.#bringBack(nowMs, erase, changes);
    if (!this.#isComingBack) this.#hide(nowMs, erase, changes);
    this.#erase(nowMs, erase);
    return { erase, changes };
  }

  #bringBack(nowMs: number, erase: Item[], changes: ReplicaChange[]): void {
    const { holdings, commits, options } = this.context;
    for (let count = 0; count < REMOVE_STEP; count++) {
      const last = this.#hidden.at(-1);
      this.#isComingBack = last !== undefined && !this.#isExpired(last.item, nowMs);
      if (!last || !this.#isComingBack) return;
      this.#hidden.pop();
      const { item } = last;
      if (options.policy.refusalOf(item)) erase.push(item);
      // A peer may have brought it meanwhile.
      else if (!holdings.has(item.digest) && !commits.has(item.digest))
        noteChange(changes, holdings.add(item));
    }
  }

  #hide(nowMs: number, erase: Item[], changes: ReplicaChange[]): void {
    const { holdings, clock, options } = this.context;
    for (let count = 0; count < REMOVE_STEP; count++) {
      const item = holdings.set.first();
      if (!item || !this.#isExpired(item, nowMs)) return;
      noteChange(changes, holdings.remove(item));
      if (clock.stoodAt(item.timestampMs + options.retentionMs)) erase.push(item);
      else this.#hidden.push({ item, sinceMs: nowMs });
    }
  }

  #erase(nowMs: number, erase: Item[]): void {
    const keptMs = Math.max(this.context.options.retentionMs, LIMITS.clockHoldMs);
    const hasStood = this.context.clock.hasStood(nowMs);
    let count = 0;
    for (; count < this.#hidden.length && erase.length < REMOVE_STEP; count++) {
      const { item, sinceMs } = this.#hidden[count]!;
      if (!hasStood && nowMs - sinceMs < keptMs) break;
      erase.push(item);
    }
    this.#hidden.splice(0, count);
  }

  #isExpired({ timestampMs }: Item, nowMs: number): boolean {
    return timestampMs + this.context.options.retentionMs <= this.context.clock.ms(nowMs);
  }
}

/** Subscribers hear of what they can see: an item that comes or goes behind another is none of it. */
export function noteChange(changes: ReplicaChange[], change: ViewChange): void {
  switch (change.type) {
    case "appeared":
      changes.push({ type: "item", item: change.item });
      break;
    case "replaced":
      changes.push(change);
      break;
    case "vanished":
      changes.push({ type: "expired", item: change.item });
      break;
    case "hidden":
      break;
  }
}
