import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { VERSION } from "../net/version.js";
import type {
  EventsOptions,
  ListQuery,
  NodeEvent,
  NodeState,
  NodeStatus,
  Peer,
  PostOptions,
  PostResult,
  StatusQuery,
} from "./broadcast.js";
import { decodeCursor, encodeCursor } from "./cursor.js";
import { completeDraft, notSigned } from "./drafts.js";
import { Lanes } from "./lanes.js";
import type { Node } from "./node.js";
import { lineOf, resultOf } from "./outcome.js";
import { PostGathering } from "./post-gathering.js";
import { behind, fingerprintSince, startOf } from "./protocol/holdings.js";
import type { Item, ItemDraft } from "./protocol/item.js";
import { isAuthored } from "./protocol/signature.js";
import { peerOf } from "./report.js";
import type { BulkLine, NodeService, Page, PageQuery } from "./service.js";

const NONE: ReadonlySet<Item> = new Set();

/** What users of one node can ask of it, on the replica that runs in this process. */
export class LocalService implements NodeService {
  readonly #lanes = new Lanes();
  readonly #gathering: PostGathering;

  constructor(private readonly node: Node) {
    this.#gathering = new PostGathering((items) => node.submit(items));
  }

  async post(draft: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    this.#refuseWhenStopping();
    options.signal?.throwIfAborted();
    const item = completeDraft(draft, Date.now());
    if (isAuthored(item.signature) && (await this.#unproven([item])).size > 0) throw notSigned();
    const result = resultOf(await this.#gathering.add(item));
    if (options.wait === undefined) return result;
    return { ...result, receipt: await this.#receipt(result.digest, options.wait, options) };
  }

  async postMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]> {
    this.#refuseWhenStopping();
    const nowMs = Date.now();
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

  /** Those that their author did not sign; at once when there is nothing to check. */
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

  page({ sinceMs = 0, untilMs, limit = LIMITS.pageItemsMax, cursor }: PageQuery): Page {
    const start = cursor === undefined ? startOf(sinceMs) : decodeCursor(cursor);
    const items: Item[] = [];
    for (const item of this.node.replica.holdings.visible(start, untilMs)) {
      // One more than asked for is there: so there is a next page.
      if (items.length === limit) return { items, nextCursor: encodeCursor(behind(items.at(-1)!)) };
      items.push(item);
    }
    return { items };
  }

  *list({
    sinceMs = 0,
    untilMs,
    limit = Number.POSITIVE_INFINITY,
    signal,
  }: ListQuery): Generator<Item, void, undefined> {
    let left = limit;
    for (const item of this.node.replica.holdings.visible(startOf(sinceMs), untilMs)) {
      if (left-- <= 0 || signal?.aborted) return;
      yield item;
    }
  }

  events({ after, sinceMs, signal }: EventsOptions): AsyncIterable<NodeEvent> {
    const { events, replica } = this.node;
    if (after !== undefined) return events.subscribe(after, signal);
    const position = events.position;
    const live = events.subscribe(undefined, signal);
    // Taken now: what arrives while the reader works through it comes by the live part.
    const history = sinceMs === undefined ? [] : [...replica.holdings.visible(startOf(sinceMs))];
    return historyThenLive(history, position, live);
  }

  status({ sinceMs }: StatusQuery = {}): NodeStatus {
    const { node } = this;
    const { replica, cluster, options, intake, outbox } = node;
    const { holdings, figures } = replica;
    const nowMs = Date.now();
    const fingerprintSinceMs = sinceMs ?? fingerprintSince(nowMs, options.retentionMs);
    const reasons = this.#reasons();
    return {
      name: node.name,
      id: cluster.id,
      cluster: options.cluster,
      version: VERSION,
      uptimeMs: nowMs - node.startedAtMs,
      state: this.#state(reasons),
      reasons,
      items: holdings.view.size,
      hidden: holdings.view.hidden,
      bytes: holdings.bytes,
      posted: figures.posted,
      fingerprint: holdings.fingerprint(fingerprintSinceMs).fingerprint,
      fingerprintSinceMs,
      retentionMs: options.retentionMs,
      peers: replica.peers.greeted().length,
      engine: cluster.engine,
      peerAddresses: cluster.addresses,
      sync: {
        rounds: figures.rounds,
        roundsFailed: figures.roundsFailed,
        itemsReceived: figures.itemsReceivedBySync,
        itemsSent: figures.itemsSentBySync,
        bytesReceived: node.frameFigures.bytesReceived,
        bytesSent: node.frameFigures.bytesSent,
      },
      gossip: { ...intake.figures, ...outbox.figures, unsent: 0, heldUp: 0, ...cluster.gossipFigures },
      process: node.vitals.figures(),
    };
  }

  peers(): readonly Peer[] {
    const nowMs = Date.now();
    const { replica } = this.node;
    return [...replica.peers.all()]
      .filter((peer) => peer.hello)
      .map((record) => peerOf(record, replica, nowMs));
  }

  get ready(): boolean {
    return !this.node.stopping && !this.#isStarting;
  }

  #refuseWhenStopping(): void {
    if (this.node.stopping) throw new HubcastError("stopping", "the node is shutting down");
  }

  async #receipt(digest: string, wait: number | "all", { timeoutMs = 5_000, signal }: PostOptions) {
    const peers = this.peers().filter((peer) => peer.state === "connected");
    const receipt = this.node.receipts.open(digest, peers, wait, timeoutMs, signal);
    this.node.askReceipts(digest);
    return receipt;
  }

  #reasons(): NodeStatus["reasons"] {
    const { replica, committer, outlet } = this.node;
    const isSkewed = Math.abs(replica.peers.clockOffsetMs()) > LIMITS.clockSkewMsMax;
    return [
      ...(isSkewed ? (["clockSkew"] as const) : []),
      ...(replica.isFull() ? (["nodeFull"] as const) : []),
      ...(committer?.isFailing ? (["storageFailed"] as const) : []),
      ...(outlet?.reasons() ?? []),
    ];
  }

  #state(reasons: NodeStatus["reasons"]): NodeState {
    if (this.node.stopping) return "stopping";
    if (reasons.length > 0) return "degraded";
    return this.#isStarting ? "starting" : "ready";
  }

  get #isStarting(): boolean {
    const { replica, cluster } = this.node;
    return replica.starting || cluster.log?.caughtUp === false;
  }
}

/** What is held already, then `caught-up`, then what `live` brings: by its own steps, not by those of a generator around it. */
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
      // A place inside the history cannot be resumed at: its id is one that resuming refuses.
      const value: NodeEvent =
        at < history.length
          ? { type: "item", eventId: `${position}h`, item: history[at]! }
          : { type: "caught-up", eventId: position };
      return Promise.resolve({ value, done: false });
    },
    return: () => live.return(),
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
