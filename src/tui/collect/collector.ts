import { HubcastError } from "../../core/errors.js";
import { type AskedNode, hubRowOf, nodeRowsOf } from "../assemble.js";
import { happenings } from "../happenings.js";
import type { EventRow, Snapshot } from "../snapshot.js";
import { Feed } from "./feed.js";
import { type HubPlace, HubWatch } from "./hub-watch.js";
import { type NodePlace, NodeWatch } from "./node-watch.js";

const EVENTS_MAX = 500;
/** Servers that are asked at the same time; whoever announces more on the network is not asked. */
const WATCHES_MAX = 64;

export type { HubPlace } from "./hub-watch.js";
export type { NodePlace } from "./node-watch.js";

/** Asks nodes and hubs, and makes snapshots of what they say. */
export class Collector {
  readonly #nodes = new Map<string, NodeWatch>();
  readonly #hubs = new Map<string, HubWatch>();
  readonly #feed = new Feed();
  #events: EventRow[] = [];
  #eventCount = 0;
  #before: Pick<Snapshot, "nodes" | "hubs"> = { nodes: [], hubs: [] };

  /** Begins to ask a node; one that is asked already keeps its place. */
  addNode(place: NodePlace): void {
    if (this.#nodes.has(place.url) || this.#nodes.size >= WATCHES_MAX) return;
    this.#nodes.set(place.url, new NodeWatch(place));
  }

  /** Stops asking a node, unless the user has named it. */
  removeNode(url: string): void {
    const watch = this.#nodes.get(url);
    if (!watch || watch.place.isNamed) return;
    this.#nodes.delete(url);
    void watch.close();
  }

  /** Begins to ask a hub, or changes where it is. */
  addHub(place: HubPlace): void {
    const watch = this.#hubs.get(place.key);
    if (watch) watch.place = place;
    else if (this.#hubs.size < WATCHES_MAX) this.#hubs.set(place.key, new HubWatch(place));
  }

  removeHub(key: string): void {
    const watch = this.#hubs.get(key);
    this.#hubs.delete(key);
    void watch?.close();
  }

  /**
   * Asks all once; resolves when all have answered or failed to.
   * @param isAside figures of nodes are not what is looked at: most of them may be a second old
   */
  async ask(isAside = false): Promise<void> {
    const first = this.#first();
    const nodes = [...this.#nodes.values()].map((watch) => watch.ask(watch === first, isAside));
    await Promise.all([...nodes, ...[...this.#hubs.values()].map((watch) => watch.ask())]);
  }

  /** Whether any node has answered. */
  get hasNode(): boolean {
    return this.#first() !== undefined;
  }

  /** Why the nodes that were named do not answer. */
  get faults(): readonly string[] {
    return [...this.#nodes.values()].flatMap(({ fault }) => (fault ? [fault.message] : []));
  }

  /** @param withItems whether to follow the items too, which costs something for each of them */
  snapshot(withItems: boolean): Snapshot {
    this.#feed.follow(withItems ? this.#first()?.node : undefined);
    const atMs = Date.now();
    const nodes = nodeRowsOf([...this.#nodes.values()].filter(({ asked }) => asked).map(askedNode));
    const hubs = [...this.#hubs.values()].filter(({ asked }) => asked).map(hubRow);
    for (const happening of happenings(this.#before, { nodes, hubs })) {
      this.#events.unshift({ key: String(++this.#eventCount), atMs, ...happening });
    }
    if (this.#events.length > EVENTS_MAX) this.#events = this.#events.slice(0, EVENTS_MAX);
    this.#before = { nodes, hubs };
    const items = this.#feed.items.toReversed();
    const isListing = this.hasNode && !this.#feed.isListed;
    return { atMs, nodes, hubs, items, ...(isListing && { isListing }), events: [...this.#events] };
  }

  /** Posts to the first node that answers. @returns its name, and the id of the item */
  async post(raw: string): Promise<{ readonly name: string; readonly id: string }> {
    const first = this.#first();
    if (!first?.node) throw new HubcastError("unreachable", "no node answers that could take the item");
    const { id } = await first.node.post({ raw });
    return { name: first.status?.name ?? first.place.url, id };
  }

  async close(): Promise<void> {
    this.#feed.close();
    const watches = [...this.#nodes.values(), ...this.#hubs.values()];
    await Promise.all(watches.map((watch) => watch.close()));
  }

  #first(): NodeWatch | undefined {
    return [...this.#nodes.values()].find(({ isReachable, node }) => isReachable && node);
  }
}

function askedNode(watch: NodeWatch): AskedNode {
  const { place, status, peers, fault, posts, gossipIn, gossipOut } = watch;
  return {
    url: place.url,
    name: place.name,
    isNamed: place.isNamed,
    status,
    peers,
    fault,
    rates: { posts: posts.rate, gossipIn: gossipIn.rate, gossipOut: gossipOut.rate },
  };
}

function hubRow(watch: HubWatch) {
  const { place, status, fault, deliveries, bytesOut, bytesIn, outboxBytes, pausedCount, slowest } = watch;
  return hubRowOf({
    key: place.key,
    name: place.name,
    address: place.address,
    isMonitored: place.monitorUrl !== undefined,
    status,
    fault,
    rates: { deliveries: deliveries.rate, bytesOut: bytesOut.rate, bytesIn: bytesIn.rate },
    outboxBytes,
    paused: pausedCount,
    slowest,
  });
}
