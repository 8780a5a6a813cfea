import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { type Frame, unpackDigests } from "../node/protocol/frames.js";
import { compareItems, type Item } from "../node/protocol/item.js";
import { BREACHES, type DisconnectReason, type PostOutcome } from "../node/protocol/messages.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** How long after its expiry an item may still be held: until the next wake-up. */
const EXPIRY_GRACE_MS = 1_000;

/** The rules that hold at every instant, whatever the network does. A broken one ends the simulation. */
export class Safety {
  /** Checks made, so that a report can say that there were any. */
  checks = 0;

  constructor(private readonly world: World) {}

  /** What is taken is valid, retained, and not from the future. */
  committing(node: SimNode, items: readonly Item[]): void {
    const { items: known, options } = this.world;
    this.checks++;
    const digests = new Set(items.map((item) => item.digest));
    if (digests.size < items.length) broken("takenOnce", node, "a commit has an item twice");
    for (const item of items) {
      if (!known.isValid(item)) broken("onlyValid", node, `took ${item.digest} with a bad signature`);
      if (item.timestampMs + options.retentionMs <= node.nowMs)
        broken("notExpired", node, `took ${item.digest} after its expiry`);
      if (item.timestampMs - node.nowMs > LIMITS.clockSkewMsMax)
        broken("notFuture", node, `took ${item.digest} from the future`);
    }
  }

  /** What an answer says stands on is durable. */
  answering(node: SimNode, outcomes: readonly PostOutcome[]): void {
    for (const { status, item } of outcomes) {
      if (status !== "refused") this.#mustKeep("answeredDurable", node, item);
      if (status === "accepted") this.world.accepted(item);
    }
  }

  publishing(node: SimNode, items: readonly Item[]): void {
    for (const item of items) this.#mustKeep("gossipedDurable", node, item);
  }

  /** A receipt is a promise too. */
  sending(node: SimNode, frame: Frame): void {
    if (frame.t !== "confirmed") return;
    const [digest] = unpackDigests(frame.digest);
    this.#mustKeep("confirmedDurable", node, this.world.items.byDigest(digest!)!.item);
  }

  /** All nodes of a world run the same code: nobody may be blamed for a breach. */
  disconnecting(node: SimNode, peer: string, reason: DisconnectReason): void {
    this.checks++;
    if (BREACHES.has(reason)) broken("nobodyBlamed", node, `blamed ${peer} for ${reason}`);
  }

  /** The whole state of a node. Costs O(items). */
  inspect(node: SimNode): void {
    const { holdings, wants } = node.replica;
    const { retentionMs } = this.world.options;
    const items = [...holdings.set];
    this.checks += items.length;
    const smallest = new Map<string, Item>();
    let previous: Item | undefined;
    for (const item of items) {
      if (previous && compareItems(previous, item) >= 0) broken("inOrder", node, "the set is out of order");
      previous = item;
      if (holdings.byDigest(item.digest) !== item)
        broken("indexed", node, `the index lacks ${item.digest} of the set`);
      if (!smallest.has(item.id)) smallest.set(item.id, item);
      if (!node.host.disk.has(item.digest))
        broken("heldDurable", node, `holds ${item.digest} and has not kept it`);
      if (item.timestampMs + retentionMs + EXPIRY_GRACE_MS < node.nowMs && !node.frozen)
        broken("expires", node, `still holds ${item.digest} after its expiry`);
    }
    for (const [id, item] of smallest)
      if (holdings.view.get(id) !== item)
        broken("smallestSeen", node, `shows another item than the smallest of ${id}`);
    if (holdings.view.size !== smallest.size || holdings.view.size + holdings.view.hidden !== items.length)
      broken("viewCounts", node, "visible and hidden items are not those held");
    if (wants.size > LIMITS.wantsMax) broken("wantsBounded", node, `wants ${wants.size} items`);
    this.#keepsAcknowledged(node);
  }

  /** What this node has on its disk, and was told so, is held until it expires. */
  #keepsAcknowledged(node: SimNode): void {
    const { replica, host } = node;
    for (const item of host.disk.items()) {
      const isExpired = item.timestampMs + this.world.options.retentionMs <= node.nowMs;
      if (!isExpired && !replica.holdings.has(item.digest) && !replica.commits.has(item.digest))
        broken("neverLost", node, `lost ${item.digest}, which it keeps`);
    }
  }

  #mustKeep(rule: string, node: SimNode, item: Item): void {
    this.checks++;
    const isExpired = item.timestampMs + this.world.options.retentionMs <= node.nowMs;
    if (!isExpired && !node.host.disk.has(item.digest))
      broken(rule, node, `spoke of ${item.digest} before it was kept`);
  }
}

export function broken(rule: string, node: SimNode, what: string): never {
  throw new HubcastError("ruleBroken", `rule ${rule}: ${node.id} ${what}`);
}
