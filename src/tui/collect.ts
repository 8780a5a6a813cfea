import { HubcastError } from "../core/errors.js";
import { counted } from "../core/text.js";
import type { Item } from "../node/broadcast.js";
import type { RemoteNode } from "../node/client.js";
import {
  type AskedNode,
  type EventRow,
  type HubRow,
  hubRowOf,
  isPresent,
  type NodeRow,
  nodeRowsOf,
  type Snapshot,
} from "./snapshot.js";
import { type HubPlace, HubWatch, type NodePlace, NodeWatch } from "./watch.js";

const EVENTS_MAX = 500;
/** A higher rate of items cannot be read beside other figures. */
const ASIDE_ITEMS_PER_SECOND = 100;
/** Servers polled at the same time; further announcements are ignored. */
const WATCHES_MAX = 64;

export type { HubPlace, NodePlace } from "./watch.js";

/** Polls nodes and hubs, and makes snapshots of their answers. */
export class Collector {
  readonly #nodes = new Map<string, NodeWatch>();
  readonly #hubs = new Map<string, HubWatch>();
  readonly #feed = new ItemFeed();
  #events: EventRow[] = [];
  #eventCount = 0;
  #isTooFast = false;
  #before: Pick<Snapshot, "nodes" | "hubs"> = { nodes: [], hubs: [] };

  /** Begins to poll a node; a node that is polled already keeps its place. */
  addNode(place: NodePlace): void {
    if (this.#nodes.has(place.url) || this.#nodes.size >= WATCHES_MAX) return;
    this.#nodes.set(place.url, new NodeWatch(place));
  }

  /** Stops polling a node, unless the user has named it. */
  removeNode(url: string): void {
    const watch = this.#nodes.get(url);
    if (!watch || watch.place.isNamed) return;
    this.#nodes.delete(url);
    void watch.close();
  }

  /** Begins to poll a hub, or changes its address. */
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
   * Polls all once; resolves when each has answered or failed.
   * @param isAside another view is shown: figures of most nodes may be a second old
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

  /** Why the named nodes do not answer. */
  get faults(): readonly string[] {
    return [...this.#nodes.values()].flatMap(({ fault }) => (fault ? [fault.message] : []));
  }

  /**
   * @param items whether to follow the items too, which costs something for each of them; `aside`: while they come slowly
   *   enough to be read beside something else
   * @param topic items of this one and of all below it; absent: of all
   */
  snapshot(items: boolean | "aside", topic?: string): Snapshot {
    const first = this.#first();
    const rates = first?.meter.rates;
    const perSecond = rates ? rates.posts.perSecond + rates.gossipIn.perSecond : 0;
    // Hysteresis: resumes at half the rate at which it stopped.
    this.#isTooFast = items === "aside" && perSecond > ASIDE_ITEMS_PER_SECOND / (this.#isTooFast ? 2 : 1);
    this.#feed.follow(items && !this.#isTooFast ? first?.node : undefined, topic);
    const atMs = Date.now();
    const nodes = nodeRowsOf([...this.#nodes.values()].filter(({ asked }) => asked).map(askedNode));
    const hubs = [...this.#hubs.values()].filter(({ asked }) => asked).map(hubRow);
    for (const event of eventsBetween(this.#before, { nodes, hubs })) {
      this.#events.unshift({ key: String(++this.#eventCount), atMs, ...event });
    }
    if (this.#events.length > EVENTS_MAX) this.#events = this.#events.slice(0, EVENTS_MAX);
    this.#before = { nodes, hubs };
    const newest = this.#isTooFast ? [] : this.#feed.items.toReversed();
    const isListing = this.hasNode && !this.#feed.isListed && !this.#isTooFast;
    return {
      atMs,
      nodes,
      hubs,
      items: newest,
      isTooFast: this.#isTooFast,
      ...(isListing && { isListing }),
      events: [...this.#events],
    };
  }

  /** Posts to the node of that row. @returns the id of the item */
  async post(raw: string, to: { readonly key: string; readonly name: string }): Promise<string> {
    const watches = [...this.#nodes.values()];
    const watch = watches.find(({ status, place }) => (status?.id ?? place.url) === to.key);
    if (!watch) {
      throw new HubcastError("unreachable", `nobody gave the address of ${to.name}'s API: mark another node`);
    }
    if (!watch.node) throw new HubcastError("unreachable", `${to.name} does not answer: mark another node`);
    return (await watch.node.post({ raw })).id;
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
  const { place, status, peers, fault, meter } = watch;
  return {
    url: place.url,
    name: place.name,
    isNamed: place.isNamed,
    status,
    peers,
    fault,
    rates: meter.rates,
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

type NewEvent = Pick<EventRow, "tone" | "text">;

/** Describes the changes between two snapshots. */
export function eventsBetween(
  before: Pick<Snapshot, "nodes" | "hubs">,
  after: Pick<Snapshot, "nodes" | "hubs">,
): readonly NewEvent[] {
  return [
    ...pairs(before.nodes, after.nodes).flatMap(([old, now]) => ofNode(old, now)),
    ...pairs(before.hubs, after.hubs).flatMap(([old, now]) => ofHub(old, now)),
  ];
}

function ofNode(old: NodeRow | undefined, now: NodeRow | undefined): NewEvent[] {
  if (!now) return [{ tone: "bad", text: `node ${old!.name} is gone` }];
  const events: NewEvent[] = [];
  const hasNewId = old && old.key !== now.key && old.key !== old.url;
  if (hasNewId || (old?.uptimeMs ?? 0) > (now.uptimeMs ?? Number.POSITIVE_INFINITY)) {
    events.push({ tone: "plain", text: `node ${now.name} has started again` });
  }
  if (old?.state !== now.state) {
    const tone = ["ready", "connected"].includes(now.state) ? "good" : isPresent(now) ? "plain" : "bad";
    const detail = now.detail ? ` (${now.detail})` : "";
    events.push({ tone, text: `node ${now.name} is ${now.state}${detail}` });
  }
  if (old && old.agreement !== now.agreement && isPresent(now)) {
    if (now.agreement === "differs") events.push({ tone: "bad", text: `the set of ${now.name} differs` });
    if (now.agreement === "agrees") events.push({ tone: "good", text: `the set of ${now.name} agrees` });
  }
  const more = (now.hidden ?? 0) - (old?.hidden ?? now.hidden ?? 0);
  if (more > 0) {
    const items = more === 1 ? "an item is" : `${more} items are`;
    events.push({
      tone: "plain",
      text: `node ${now.name}: ${items} hidden now, behind one of the same id that was stamped earlier`,
    });
  }
  return events;
}

function ofHub(old: HubRow | undefined, now: HubRow | undefined): NewEvent[] {
  if (!now) return [{ tone: "bad", text: `hub ${old!.name} is gone` }];
  const events: NewEvent[] = [];
  if (old?.state !== now.state) {
    events.push({
      tone: now.state === "ready" ? "good" : "plain",
      text: `hub ${now.name} is ${now.state}${now.detail ? ` (${now.detail})` : ""}`,
    });
  }
  if (!old?.closed) return events;
  for (const [reason, times] of Object.entries(now.closed ?? {})) {
    const more = times - (old.closed[reason] ?? 0);
    if (more <= 0) continue;
    const tone = reason === "clientClosed" || reason === "stopping" ? "plain" : "bad";
    events.push({
      tone,
      text: `hub ${now.name}: ${counted(more, "client")} closed, ${reason}`,
    });
  }
  return events;
}

/** Pairs rows of two snapshots that are the same server: by key, else by name, as after a restart. */
function pairs<Row extends { readonly key: string; readonly name: string }>(
  before: readonly Row[],
  after: readonly Row[],
): [Row | undefined, Row | undefined][] {
  const old = new Map(before.map((row) => [row.key, row]));
  const gone = before.filter(({ key }) => !after.some((row) => row.key === key));
  const both = after.map((row): [Row | undefined, Row | undefined] => {
    const same = old.get(row.key) ?? gone.find(({ name }) => name === row.name);
    if (same) old.delete(same.key);
    return [same, row];
  });
  return [...both, ...[...old.values()].map((row): [Row, undefined] => [row, undefined])];
}

/** Items that are kept to be looked at. */
const ITEMS_MAX = 500;
/** How far back to look for the newest items: the API lists the oldest first. */
const WINDOWS_MS = [2_000, 20_000, 180_000, 1_800_000, 86_400_000 * 366];
const RETRY_MS = 1_000;
/** Items are shown at the next refresh: reading those that arrive meanwhile in one go halves the cost. */
const REST_MS = 200;
const READ_MS = 10;

/** The newest items of one node: its history first, then its events. */
export class ItemFeed {
  /** Oldest first. */
  items: Item[] = [];
  /** Whether `items` belong to the node that is followed now. */
  isListed = false;
  #node: RemoteNode | undefined;
  #topic: string | undefined;
  #following = new AbortController();
  #retryAtMs = 0;
  #isFollowing = false;

  /** Follows a topic of that node, or all; has no effect while both are the same. */
  follow(node: RemoteNode | undefined, topic?: string): void {
    const isSame = node === this.#node && topic === this.#topic;
    if (isSame && (this.#isFollowing || performance.now() < this.#retryAtMs)) return;
    this.close();
    this.#node = node;
    this.#topic = topic;
    if (!node) return;
    this.#following = new AbortController();
    this.#isFollowing = true;
    const { signal } = this.#following;
    this.#run(node, topic, signal)
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

  async #run(node: RemoteNode, topic: string | undefined, signal: AbortSignal): Promise<void> {
    const of = topic === undefined ? {} : { topic };
    const events = node.events({ ...of, signal, reconnect: false, sinceMs: Date.now() });
    const live = events[Symbol.asyncIterator]();
    // The first event shows that the node tells of all further ones: earlier items are listed, later ones come by events.
    const first = await live.next();
    this.items = await newest(node, of, signal);
    this.isListed = true;
    const known = new Set(this.items.map(({ digest }) => digest));
    let restedAtMs = performance.now();
    for (let next = first; !next.done; next = await live.next()) {
      const event = next.value;
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
async function newest(node: RemoteNode, of: { topic?: string }, signal: AbortSignal): Promise<Item[]> {
  let found: Item[] = [];
  for (const windowMs of WINDOWS_MS) {
    const items: Item[] = [];
    const query = { ...of, sinceMs: Math.max(0, Date.now() - windowMs), limit: ITEMS_MAX + 1, signal };
    for await (const item of node.list(query)) items.push(item);
    if (items.length > ITEMS_MAX) break;
    found = items;
  }
  return found;
}
