import type { Item } from "../../node/broadcast.js";
import type { RemoteNode } from "../../node/client.js";

/** Items that are kept to be looked at. */
const ITEMS_MAX = 500;
/** How far back to look for the newest items: the API lists the oldest first. */
const WINDOWS_MS = [2_000, 20_000, 180_000, 1_800_000, 86_400_000 * 366];
const RETRY_MS = 1_000;
/** Nobody sees an item sooner than at the next refresh: what comes meanwhile is read in one go, at half the cost. */
const REST_MS = 200;
const READ_MS = 10;

/** The newest items of one node: its history first, then its events. */
export class Feed {
  /** Oldest first. */
  items: Item[] = [];
  /** Whether `items` are those of the node that is followed. */
  isListed = false;
  #node: RemoteNode | undefined;
  #following = new AbortController();
  #retryAtMs = 0;
  #isFollowing = false;

  /** Follows that node; called again and again, also with the same one. */
  follow(node: RemoteNode | undefined): void {
    if (node === this.#node && (this.#isFollowing || performance.now() < this.#retryAtMs)) return;
    this.close();
    this.#node = node;
    if (!node) return;
    this.#following = new AbortController();
    this.#isFollowing = true;
    const { signal } = this.#following;
    this.#run(node, signal)
      .catch(() => {})
      .finally(() => {
        if (signal.aborted) return;
        this.#isFollowing = false;
        this.#retryAtMs = performance.now() + RETRY_MS;
      });
  }

  close(): void {
    this.#following.abort();
    this.#isFollowing = false;
    this.isListed = false;
    this.#node = undefined;
  }

  async #run(node: RemoteNode, signal: AbortSignal): Promise<void> {
    const live = node.events({ signal });
    this.items = await newest(node, signal);
    this.isListed = true;
    const known = new Set(this.items.map(({ digest }) => digest));
    let restedAtMs = performance.now();
    for await (const event of live) {
      if (performance.now() - restedAtMs > READ_MS) {
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
        restedAtMs = performance.now();
      }
      if (event.type !== "item" && event.type !== "replaced") continue;
      if (known.delete(event.item.digest)) continue;
      this.items.push(event.item);
      if (this.items.length >= ITEMS_MAX * 2) this.items.splice(0, this.items.length - ITEMS_MAX);
    }
  }
}

/** The newest items, oldest first: as many as a window holds that does not hold too many. */
async function newest(node: RemoteNode, signal: AbortSignal): Promise<Item[]> {
  let found: Item[] = [];
  for (const windowMs of WINDOWS_MS) {
    const items: Item[] = [];
    const query = { sinceMs: Math.max(0, Date.now() - windowMs), limit: ITEMS_MAX + 1, signal };
    for await (const item of node.list(query)) items.push(item);
    if (items.length > ITEMS_MAX) break;
    found = items;
  }
  return found;
}
