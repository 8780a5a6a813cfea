import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { unlessAborted } from "../core/options.js";
import { topicOf } from "../core/topic.js";
import { VERSION } from "../core/version.js";
import { startStep } from "../runtime/start-step.js";
import {
  checkDraft,
  checkEventsOptions,
  checkId,
  checkListQuery,
  checkPostOptions,
  checkShowOptions,
  checkStatusQuery,
} from "./arguments.js";
import type {
  Access,
  BulkLine,
  EventsOptions,
  HoldersReceipt,
  ItemPage,
  ListQuery,
  NodeEvent,
  NodeStatus,
  Peer,
  PeersQuery,
  PostOptions,
  PostResult,
  Rival,
  ShownItem,
  ShowOptions,
  StartedNode,
  StatusQuery,
  Trusted,
} from "./broadcast.js";
import { type Discovery, openDiscovery } from "./discovery.js";
import { type HttpApi, openHttpApi } from "./http/index.js";
import type { PageQuery, ServedNode, Timings } from "./http/options.js";
import type { NodeOptions } from "./option-kinds.js";
import { type CompleteNodeOptions, checkTrust, completeOptions } from "./options.js";
import { Posts } from "./posts.js";
import { wholeItem } from "./replica/held/held-item.js";
import { behind, startOf } from "./replica/holdings.js";
import type { Item, ItemDraft } from "./replica/item.js";
import { type Bound, decodeCursor, encodeCursor } from "./replica/item-set/bound.js";
import { schemeOf, signerOf } from "./replica/signature.js";
import { topicFilter } from "./replica/topic-index.js";
import { ReplicaShell } from "./replica-shell.js";
import { peersOf, statusOf, Vitals } from "./report.js";
import { stopping } from "./verification/verifier.js";

/** How long members have to say what they hold. */
const FRESH_MS_MAX = 1_000;
/** Items of other topics that a list looks at in one turn of the event loop: some 0.3 ms. */
const ITEMS_PASSED_PER_TURN = 1_000;
/** ... and a page in all. It is made in one turn. */
const PAGE_ITEMS_PASSED_MAX = 20_000;
/** Hidden items that are shown with the visible one. */
const RIVALS_MAX = 64;

/**
 * Starts a node. Resolves when it listens; finding peers goes on from there.
 * @throws invalidOption, portInUse, cannotListen, dataDirInUse and its like; nothing is left open then
 */
export async function startNode(options: NodeOptions = {}): Promise<StartedNode> {
  const node = new Node(completeOptions(options));
  try {
    options.signal?.throwIfAborted();
    await node.open();
    options.signal?.throwIfAborted();
  } catch (error) {
    await node.close();
    throw error;
  }
  options.signal?.addEventListener("abort", () => void node.close(), { once: true, signal: node.closing });
  return node;
}

/**
 * A node in this process. The methods of `Broadcast` check their arguments, as those of a node over HTTP do, and give
 * items that keep nothing of the node alive. Those of `ServedNode` are for its HTTP API, which has checked already and
 * copies nothing.
 */
class Node implements StartedNode, ServedNode {
  readonly #shell: ReplicaShell;
  readonly #posts: Posts;
  readonly #vitals = new Vitals();
  #http: HttpApi | undefined;
  #discovery: Discovery | undefined;
  #isStopping = false;
  readonly #over = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(private readonly options: CompleteNodeOptions) {
    this.#shell = new ReplicaShell(options);
    this.#posts = new Posts(this.#shell);
  }

  get id(): string {
    return this.#shell.cluster.id;
  }

  get name(): string {
    return this.#shell.name;
  }

  get url(): string {
    // Typed as optional in the interface; without HTTP there is none.
    return this.#http?.url as string;
  }

  get peerAddresses(): readonly string[] {
    return this.#shell.cluster.addresses;
  }

  get timings(): Timings {
    return this.#shell.timings;
  }

  get ready(): boolean {
    return !this.#isStopping && !this.#shell.isStarting && !this.#shell.publisher?.awayReason;
  }

  async open(): Promise<void> {
    const { http, peers, mdns, logger } = this.options;
    await this.#shell.open();
    if (http) this.#http = await openHttpApi({ ...http, node: this, logger });
    for (const address of peers) this.#shell.tell({ type: "found", addresses: [address] });
    if (mdns !== false) this.#discovery = await this.#discoverPeers();
  }

  /** Aborts when the node closes. */
  get closing(): AbortSignal {
    return this.#over.signal;
  }

  close(): Promise<void> {
    this.#over.abort();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async post(draft: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    checkDraft(draft);
    checkPostOptions(options);
    options.signal?.throwIfAborted();
    return await unlessAborted(this.accept(draft, options), options.signal);
  }

  async accept(draft: ItemDraft, { wait, timeoutMs = 5_000, signal }: PostOptions = {}): Promise<PostResult> {
    this.#refuseWhenStopping();
    const receipt = wait === undefined ? undefined : this.#shell.openReceipt(wait, timeoutMs);
    try {
      const posted = await this.#posts.accept(draft, receipt);
      const visible = this.#find(posted.id)?.digest ?? posted.digest;
      if (!receipt) return { ...posted, visible };
      return { ...posted, visible, receipt: await this.#shell.receiptOf(receipt, signal) };
    } catch (error) {
      if (receipt) this.#shell.dropReceipt(receipt);
      throw error;
    }
  }

  async acceptMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]> {
    this.#refuseWhenStopping();
    return await this.#posts.acceptMany(drafts);
  }

  async get(id: string): Promise<Item | undefined> {
    checkId(id);
    const item = this.#find(id);
    return item && wholeItem(item);
  }

  async show(id: string, options: ShowOptions = {}): Promise<ShownItem | undefined> {
    checkId(id);
    checkShowOptions(options);
    options.signal?.throwIfAborted();
    return await unlessAborted(this.find(id, options), options.signal);
  }

  async find(id: string, options: ShowOptions = {}): Promise<ShownItem | undefined> {
    const { holders = false, timeoutMs = FRESH_MS_MAX, signal } = options;
    const item = this.#find(id);
    if (!item) return undefined;
    const whole = wholeItem(item);
    const topic = topicOf(id);
    const rivals = this.#shell.replica.holdings.view.hiddenBehind(id).slice(0, RIVALS_MAX).map(wholeItem);
    const shown = {
      ...whole,
      ...(topic !== undefined && { topic }),
      ...authorshipOf(whole.signature),
      visible: whole.digest,
      rivals: rivals.map(({ digest, timestampMs, signature }) => ({
        digest,
        timestampMs,
        signature,
        ...authorshipOf(signature),
      })),
    };
    if (!holders) return shown;
    this.#refuseWhenStopping();
    return { ...shown, receipt: await this.#askHolders(shown.digest, { timeoutMs, signal }) };
  }

  async *list(query: ListQuery = {}): AsyncGenerator<Item, void, undefined> {
    checkListQuery(query);
    query.signal?.throwIfAborted();
    for (const item of this.visible(query)) {
      if (item === undefined) await new Promise(setImmediate);
      else yield wholeItem(item);
      query.signal?.throwIfAborted();
    }
  }

  *visible({
    limit = Number.POSITIVE_INFINITY,
    ...query
  }: ListQuery): Generator<Item | undefined, void, undefined> {
    let left = limit;
    for (const item of withPauses(this.#visible(query), topicFilter(query.topic))) {
      if (item !== undefined && left-- <= 0) return;
      yield item;
    }
  }

  page({ limit = LIMITS.pageItemsMax, cursor, ...query }: PageQuery): ItemPage {
    const items: Item[] = [];
    const isOfTopic = topicFilter(query.topic);
    let last: Item | undefined;
    let passed = 0;
    for (const item of this.#visible(query, cursor === undefined ? undefined : decodeCursor(cursor))) {
      // One more than asked for is there: so there is a next page.
      if (last && (items.length === limit || passed === PAGE_ITEMS_PASSED_MAX))
        return { items, nextCursor: encodeCursor(query.order === "newest" ? last : behind(last)) };
      last = item;
      if (isOfTopic(item)) items.push(item);
      else passed++;
    }
    return { items };
  }

  events(options: EventsOptions = {}): AsyncIterable<NodeEvent> {
    try {
      checkEventsOptions(options);
      // Subscribed now, not at the first read.
      return wholeEvents(this.subscribe(options));
    } catch (error) {
      // Thrown at the first read, as for a node that is reached over HTTP.
      return failing(error);
    }
  }

  subscribe({ topic, after, sinceMs, signal }: EventsOptions): AsyncIterable<NodeEvent> {
    const { events } = this.#shell;
    try {
      if (after !== undefined) return events.subscribe(after, { topic, signal });
    } catch (error) {
      // `sinceMs` can always be resumed.
      if (sinceMs === undefined || (error as HubcastError).code !== "eventsGone") throw error;
    }
    return events.subscribe(undefined, {
      topic,
      signal,
      ...(sinceMs !== undefined && { history: this.#history(sinceMs, topic) }),
    });
  }

  async status(query: StatusQuery = {}): Promise<NodeStatus> {
    checkStatusQuery(query);
    return this.statusNow(query);
  }

  statusNow({ sinceMs }: StatusQuery = {}): NodeStatus {
    return statusOf(this.#shell, {
      sinceMs,
      isStopping: this.#isStopping,
      certificateExpiresAtMs: this.#http?.certificate.expiresAtMs,
      process: this.#vitals.figures(),
    });
  }

  async peers({ fresh = false }: PeersQuery = {}): Promise<readonly Peer[]> {
    if (!fresh) return this.peersNow();
    this.#refuseWhenStopping();
    return peersOf(this.#shell, await this.#shell.askCounts(FRESH_MS_MAX));
  }

  peersNow(): readonly Peer[] {
    return peersOf(this.#shell);
  }

  trust(keys: readonly Trusted[]): void {
    checkTrust(keys);
    this.#shell.trust(keys);
  }

  renew(access: Access): void {
    if (!this.#http)
      throw new HubcastError("invalidOption", "a node without an HTTP API has no certificate and no tokens", {
        suggestions: ["Start it with `http`."],
      });
    this.#http.renew(access);
  }

  /** Makes the node known on its network, and tells the replica who else is there. */
  #discoverPeers(): Promise<Discovery> {
    const { mdns, cluster, clusterKey, peers, logger } = this.options;
    const shell = this.#shell;
    const discovery = openDiscovery({
      ...(typeof mdns === "object" && { interfaces: mdns.interfaces }),
      // Peers that were named are reached without it.
      optional: peers.length > 0,
      name: shell.name,
      id: shell.cluster.id,
      cluster,
      version: VERSION,
      ...(clusterKey && { clusterKey }),
      ...(shell.cluster.port !== undefined && { peerPort: shell.cluster.port }),
      ...(this.#http && { http: this.#http.address }),
      logger,
      found: ({ id, ...found }) => shell.tell({ type: "found", peer: id, ...found }),
      strangerSeen: (stranger) => shell.tell({ type: "strangerSeen", ...stranger }),
      vanished: (peer) => shell.tell({ type: "peerVanished", peer }),
      renamed: (name) => {
        logger.warn(
          { name, wished: shell.name },
          `the name ${shell.name} is taken on this network; this node is called ${name}`,
        );
        shell.name = name;
        shell.tell({ type: "renamed" });
      },
    });
    return startStep("opening multicast DNS", discovery, { logger, late: (opened) => opened.close() });
  }

  /** A member that lacks the item answers the question for it by its count alone. */
  async #askHolders(
    digest: string,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<HoldersReceipt> {
    const asked = this.#shell.askReceipt(digest, "all", options);
    const counts = this.#shell.askCounts(options.timeoutMs, digest);
    const receipt = await asked;
    const silent = new Set(receipt.missing.length > 0 && !options.signal?.aborted ? await counts : []);
    const lost = this.peersNow().filter(({ state }) => state === "lost");
    return {
      ...receipt,
      missing: receipt.missing.filter((member) => silent.has(member.id)),
      lacking: receipt.missing.filter((member) => !silent.has(member.id)),
      lost: lost.map(({ id, name }) => ({ id, name })),
    };
  }

  #find(id: string): Item | undefined {
    return this.#shell.replica.holdings.view.get(id);
  }

  /** @param place where to go on, in the order asked for */
  #visible({ topic, sinceMs = 0, untilMs, order }: ListQuery, place?: Bound): Iterable<Item> {
    const { holdings } = this.#shell.replica;
    if (order !== "newest") return holdings.visible(place ?? startOf(sinceMs), untilMs, topic);
    return holdings.visibleBack(place ?? startOf(untilMs ?? Number.POSITIVE_INFINITY), sinceMs, topic);
  }

  /** Visible items from then on that are there now, read as the reader goes; those stamped later come live. */
  #history(sinceMs: number, topic: string | undefined): Iterable<Item | undefined> {
    const [newest] = this.#shell.replica.holdings.visibleBack(
      startOf(Number.POSITIVE_INFINITY),
      sinceMs,
      topic,
    );
    if (newest === undefined) return [];
    const items = this.#visible({
      sinceMs,
      untilMs: newest.timestampMs + 1,
      ...(topic !== undefined && { topic }),
    });
    return withPauses(items, topicFilter(topic));
  }

  #refuseWhenStopping(): void {
    if (this.#isStopping) throw stopping();
  }

  async #close(): Promise<void> {
    this.#isStopping = true;
    // Posts made before this call are handed over at the end of this turn (PostGathering).
    await new Promise((resolve) => setImmediate(resolve));
    // First the others hear of it, while requests are finished; then nothing comes in any more.
    const goodbye = this.#discovery?.close();
    await this.#http?.close();
    await this.#shell.close();
    this.#vitals.close();
    await goodbye;
  }
}

/** @param signature of a verified item */
function authorshipOf(signature: string): Pick<Rival, "scheme" | "author"> {
  const author = signerOf(signature);
  return { scheme: schemeOf(signature)!, ...(author !== undefined && { author }) };
}

/** Leaves out some items. @returns nothing now and then, after many that were left out: time for others */
function* withPauses(
  items: Iterable<Item>,
  isWanted: (item: Item) => boolean,
): Generator<Item | undefined, void, undefined> {
  let passed = 0;
  for (const item of items) {
    if (isWanted(item)) yield item;
    else if (++passed % ITEMS_PASSED_PER_TURN === 0) yield undefined;
  }
}

// biome-ignore lint/correctness/useYield: the iterable has nothing to give
async function* failing(error: unknown): AsyncGenerator<NodeEvent, void, undefined> {
  throw error;
}

/** Copies events into plain objects, which keep nothing of the node alive. */
async function* wholeEvents(events: AsyncIterable<NodeEvent>): AsyncGenerator<NodeEvent, void, undefined> {
  for await (const event of events) {
    if (event.type === "replaced")
      yield { ...event, item: wholeItem(event.item), previous: wholeItem(event.previous) };
    else yield "item" in event ? { ...event, item: wholeItem(event.item) } : event;
  }
}
