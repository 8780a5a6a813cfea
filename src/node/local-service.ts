import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { topicOf } from "../core/topic.js";
import { VERSION } from "../core/version.js";
import type {
  BulkLine,
  EventsOptions,
  HoldersReceipt,
  ListQuery,
  NodeEvent,
  NodeState,
  NodeStatus,
  Peer,
  PostOptions,
  PostResult,
  Rival,
  ShownItem,
  ShowOptions,
  StatusQuery,
} from "./broadcast.js";
import { decodeCursor, encodeCursor } from "./cursor.js";
import { completeDraft, notSigned } from "./drafts.js";

import type { Node } from "./node.js";
import { lineOf, resultOf } from "./outcome.js";
import { PostGathering } from "./post-gathering.js";
import { reasonsOf } from "./reasons.js";
import { wholeItem } from "./replica/held/held-item.js";
import { behind, fingerprintSince, startOf } from "./replica/holdings.js";
import { Lanes } from "./replica/inbox.js";
import type { Item, ItemDraft } from "./replica/item.js";
import type { Bound } from "./replica/item-set/bound.js";
import { withoutPredecessors } from "./replica/roster.js";
import { isAuthored, schemeOf, signerOf } from "./replica/signature.js";
import { peerOf, unreachedPeer } from "./report.js";
import type { NodeService, Page, PageQuery, Timings } from "./service.js";

const NONE: ReadonlySet<Item> = new Set();
/** How long members have to say what they hold. */
const FRESH_MS_MAX = 1_000;
/** Hidden items that are shown with the visible one. */
const RIVALS_MAX = 64;

/** The service of a node whose replica runs in this process. */
export class LocalService implements NodeService {
  readonly #lanes = new Lanes();
  readonly #gathering: PostGathering;

  constructor(private readonly node: Node) {
    this.#gathering = new PostGathering((items) => node.submit(items));
  }

  async post(draft: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    this.#refuseWhenStopping();
    const item = completeDraft(draft, this.node.clockMs());
    if (isAuthored(item.signature) && (await this.#unproven([item])).size > 0) throw notSigned();
    const posted = resultOf(await this.#gathering.add(item));
    const result = { ...posted, visible: this.get(posted.id)?.digest ?? posted.digest };
    const { wait, timeoutMs = 5_000, signal } = options;
    if (wait === undefined) return result;
    return { ...result, receipt: await this.node.askReceipt(result.digest, wait, { timeoutMs, signal }) };
  }

  async postMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]> {
    this.#refuseWhenStopping();
    const nowMs = this.node.clockMs();
    const lines: BulkLine[] = new Array(drafts.length);
    const items: Item[] = [];
    const places: number[] = [];
    for (const [place, draft] of drafts.entries()) {
      try {
        items.push(completeDraft(draft, nowMs));
        places.push(place);
      } catch (error) {
        if (!(error instanceof HubcastError)) throw error;
        lines[place] = { id: draft.id ?? "", status: "invalid", code: error.code };
      }
    }
    if (items.length > 0)
      for (const [index, line] of (await this.#submitMany(items)).entries()) lines[places[index]!] = line;
    return lines;
  }

  /** Of batches handed over one after the other, a later one is not taken first because it needs no checking. */
  #submitMany(items: readonly Item[]): Promise<readonly BulkLine[]> {
    const unproven = this.#unproven(items);
    const { promise, resolve, reject } = Promise.withResolvers<readonly BulkLine[]>();
    if (unproven instanceof Promise) unproven.catch(reject);
    this.#lanes.add("bulk", unproven, (bad) => {
      const proven = bad.size === 0 ? items : items.filter((item) => !bad.has(item));
      this.node.submit(proven).then((outcomes) => {
        let next = 0;
        const line = (item: Item): BulkLine =>
          bad.has(item) ? { id: item.id, status: "invalid", code: "invalidItem" } : lineOf(outcomes[next++]!);
        resolve(items.map(line));
      }, reject);
    });
    return promise;
  }

  /** The items that their author did not sign; returned at once when there is nothing to check. */
  #unproven(items: readonly Item[]): ReadonlySet<Item> | Promise<ReadonlySet<Item>> {
    const { holdings, commits } = this.node.replica;
    const authored = items.filter(
      ({ signature, digest }) => isAuthored(signature) && !holdings.has(digest) && !commits.has(digest),
    );
    if (authored.length === 0) return NONE;
    const bad = (verdicts: readonly boolean[]) => new Set(authored.filter((_, index) => !verdicts[index]));
    const verdicts = this.node.verifier.check(authored);
    return verdicts instanceof Promise ? verdicts.then(bad) : bad(verdicts);
  }

  get(id: string): Item | undefined {
    return this.node.replica.holdings.view.get(id);
  }

  async show(id: string, options: ShowOptions = {}): Promise<ShownItem | undefined> {
    const { holders = false, timeoutMs = FRESH_MS_MAX, signal } = options;
    const { view } = this.node.replica.holdings;
    const item = view.get(id);
    if (!item) return undefined;
    const rivals = view.hiddenBehind(id).slice(0, RIVALS_MAX);
    const whole = wholeItem(item);
    const topic = topicOf(id);
    const shown = {
      ...whole,
      ...(topic !== undefined && { topic }),
      ...authorshipOf(whole.signature),
      visible: whole.digest,
      rivals: rivals.map(wholeItem).map(({ digest, timestampMs, signature }) => ({
        digest,
        timestampMs,
        signature,
        ...authorshipOf(signature),
      })),
    };
    if (!holders) return shown;
    return { ...shown, receipt: await this.#askHolders(shown.digest, { timeoutMs, signal }) };
  }

  /** Members that lack the item say nothing of it; but they say what they hold, as those cannot that are not reached. */
  async #askHolders(
    digest: string,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<HoldersReceipt> {
    const counts = this.node.askCounts(options.timeoutMs);
    const receipt = await this.node.askReceipt(digest, "all", options);
    const silent = new Set(receipt.missing.length > 0 && !options.signal?.aborted ? await counts : []);
    const lost = this.peers().filter(({ state }) => state === "lost");
    return {
      ...receipt,
      missing: receipt.missing.filter((member) => silent.has(member.id)),
      lacking: receipt.missing.filter((member) => !silent.has(member.id)),
      lost: lost.map(({ id, name }) => ({ id, name })),
    };
  }

  page({ limit = LIMITS.pageItemsMax, cursor, ...query }: PageQuery): Page {
    const items: Item[] = [];
    for (const item of this.#visible(query, cursor === undefined ? undefined : decodeCursor(cursor))) {
      // One more than asked for is there: so there is a next page.
      if (items.length === limit) {
        const last = items.at(-1)!;
        return { items, nextCursor: encodeCursor(query.order === "newest" ? last : behind(last)) };
      }
      items.push(item);
    }
    return { items };
  }

  *list({ limit = Number.POSITIVE_INFINITY, ...query }: ListQuery): Generator<Item, void, undefined> {
    let left = limit;
    for (const item of this.#visible(query)) {
      if (left-- <= 0) return;
      yield item;
    }
  }

  /** @param place where to go on, in the order asked for */
  #visible({ topic, sinceMs = 0, untilMs, order }: ListQuery, place?: Bound): Iterable<Item> {
    const { holdings } = this.node.replica;
    if (order !== "newest") return holdings.visible(place ?? startOf(sinceMs), untilMs, topic);
    return holdings.visibleBack(place ?? startOf(untilMs ?? Number.POSITIVE_INFINITY), sinceMs, topic);
  }

  events({ topic, after, sinceMs, signal }: EventsOptions): AsyncIterable<NodeEvent> {
    const { events, replica } = this.node;
    try {
      if (after !== undefined) return events.subscribe(after, { topic, signal });
    } catch (error) {
      // Where it began is a place that is always there.
      if (sinceMs === undefined || (error as HubcastError).code !== "eventsGone") throw error;
    }
    const position = events.position;
    const live = events.subscribe(undefined, { topic, signal });
    // Taken now: what arrives while the reader works through it comes by the live part.
    const history =
      sinceMs === undefined ? [] : [...replica.holdings.visible(startOf(sinceMs), undefined, topic)];
    return historyThenLive(history, position, live);
  }

  status({ sinceMs }: StatusQuery = {}): NodeStatus {
    const { node } = this;
    const { replica, cluster, options } = node;
    const { holdings, figures } = replica;
    const nowMs = node.machineMs();
    const fingerprintSinceMs = sinceMs ?? fingerprintSince(replica.clock.ms(nowMs), options.retentionMs);
    const details = reasonsOf(node, nowMs);
    const reasons = [...new Set(details.map(({ code }) => code))];
    const certificateExpiresAtMs = node.http?.certificate.expiresAtMs;
    return {
      name: node.name,
      id: cluster.id,
      cluster: options.cluster,
      version: VERSION,
      uptimeMs: nowMs - node.startedAtMs,
      state: this.#state(reasons),
      reasons,
      details,
      items: holdings.view.size,
      hidden: holdings.view.hidden,
      bytes: holdings.bytes,
      ahead: replica.aheadCount(nowMs),
      leftOut: node.committer?.leftOut ?? 0,
      posted: figures.posted,
      fingerprint: holdings.fingerprint(fingerprintSinceMs).fingerprint,
      fingerprintSinceMs,
      retentionMs: options.retentionMs,
      peers: replica.roster.alive().length,
      links: replica.links.count,
      members: replica.roster.total,
      membersEstimated: replica.roster.isSample,
      engine: cluster.engine,
      ...(certificateExpiresAtMs !== undefined && { certificateExpiresAtMs }),
      peerAddresses: cluster.addresses,
      sync: {
        rounds: figures.rounds,
        roundsFailed: figures.roundsFailed,
        roundsBySketch: figures.roundsBySketch,
        sketchesFailed: figures.sketchesFailed,
        ...(figures.lastRound && { lastRound: figures.lastRound }),
        itemsReceived: figures.itemsReceivedBySync,
        itemsSent: figures.itemsSentBySync,
        bytesReceived: node.frameFigures.bytesReceived,
        bytesSent: node.frameFigures.bytesSent,
      },
      gossip: node.gossipFigures(),
      process: node.vitals.figures(),
    };
  }

  peers(): readonly Peer[] {
    const nowMs = this.node.machineMs();
    const { roster, membership, clock } = this.node.replica;
    return [
      ...withoutPredecessors(roster.all(), membership).map((member) => peerOf(member, this.node, nowMs)),
      ...membership.strangers().map((stranger) => unreachedPeer(stranger, clock)),
    ];
  }

  async freshPeers(): Promise<readonly Peer[]> {
    await this.node.askCounts(FRESH_MS_MAX);
    return this.peers();
  }

  get timings(): Timings {
    return this.node.timings;
  }

  get ready(): boolean {
    return !this.node.stopping && !this.#isStarting && !this.node.outlet?.awayReason;
  }

  #refuseWhenStopping(): void {
    if (this.node.stopping) throw new HubcastError("stopping", "the node is shutting down");
  }

  #state(reasons: NodeStatus["reasons"]): NodeState {
    if (this.node.stopping) return "stopping";
    if (reasons.length > 0) return "degraded";
    return this.#isStarting ? "starting" : "ready";
  }

  get #isStarting(): boolean {
    const { replica, cluster } = this.node;
    return replica.starting || ("log" in cluster && !cluster.log.caughtUp);
  }
}

/** @param signature of a verified item */
function authorshipOf(signature: string): Pick<Rival, "scheme" | "author"> {
  const author = signerOf(signature);
  return { scheme: schemeOf(signature)!, ...(author !== undefined && { author }) };
}

/** The items held already, then `caught-up`, then live events. A plain iterator: a generator would double the steps. */
function historyThenLive(
  history: readonly Item[],
  position: string,
  live: AsyncGenerator<NodeEvent, void, undefined>,
): AsyncIterable<NodeEvent> {
  let next = 0;
  const iterator: AsyncIterator<NodeEvent, void, undefined> = {
    next: () => {
      const at = next++;
      if (at > history.length) return live.next();
      // A place inside the history cannot be resumed at, so it has no id.
      const value: NodeEvent =
        at < history.length ? { type: "item", item: history[at]! } : { type: "caught-up", eventId: position };
      return Promise.resolve({ value, done: false });
    },
    return: () => live.return(),
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
