import { Readable } from "node:stream";
import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import {
  checkConnectOptions,
  checkDraft,
  checkEventsOptions,
  checkId,
  checkListQuery,
  checkPostOptions,
  checkShowOptions,
  checkStatusQuery,
} from "./arguments.js";
import type {
  Broadcast,
  BulkLine,
  ConnectOptions,
  EventsOptions,
  ListQuery,
  NodeEvent,
  NodeStatus,
  Peer,
  PeersQuery,
  PostOptions,
  PostResult,
  ShownItem,
  ShowOptions,
  StatusQuery,
} from "./broadcast.js";
import { answerAs, isNode, parsed } from "./remote/answers.js";
import { eventsOf, instantText, type KeptPlace } from "./remote/events.js";
import { errorOf, NodeHttp, notHubcast } from "./remote/http.js";
import { JoinedPosts } from "./remote/joined-posts.js";
import type { Item, ItemDraft } from "./replica/item.js";

export type { BulkLine };

/** A node reached over HTTP. */
export interface RemoteNode extends Broadcast {
  readonly url: string;
  /**
   * Posts many items over one request; outcomes come in the order of the drafts, while further ones are sent.
   * A bad draft is an outcome, not an error.
   */
  postMany(
    drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<BulkLine>;
}

/** How long a node waits for a receipt when no other time is asked for. */
const RECEIPT_TIMEOUT_MS = 5_000;

/** How long members have to say whether they hold an item, when no other time is asked for. */
const HOLDERS_TIMEOUT_MS = 1_000;

/** Items on the first page: small enough for most of what there is. */
const FIRST_PAGE_ITEMS = 100;

/** The size of a page to aim at, in UTF-16 units of raw. */
const PAGE_LENGTH = 4_000_000;

/** Shown when the first answer is JSON, and no status of a node. */
const JSON_ANSWER = { statusCode: 200, headers: { "content-type": "JSON of another shape" } };

/** Lines of many posts are written in pieces of about this size. */
const PIECE_LENGTH = 65_536;

/**
 * Connects to a running node. Resolves when it has shown that it is one.
 * @param url `http://HOST:PORT`, `https://...`, or `HOST:PORT`
 * @throws invalidOption, unreachable, notHubcast, unauthorized, deadline
 */
export async function connectToNode(url: string, options: ConnectOptions = {}): Promise<RemoteNode> {
  const node = await openNode(url, options);
  try {
    await node.identify(options.signal);
    return node;
  } catch (error) {
    await node.close();
    throw error;
  }
}

/**
 * As `connectToNode`, without the question who it is: for a single call, whose answer shows that as well.
 * @internal
 * @param urls of nodes of one cluster: the first is asked, and events go on at the next when it is gone
 */
export async function openNode(
  urls: string | readonly string[],
  options: ConnectOptions = {},
): Promise<HttpNode> {
  checkConnectOptions(options);
  const { token, ca, timeoutMs = 10_000 } = options;
  const parsedUrls = [urls].flat().map(parseUrl);
  return new HttpNode(
    await Promise.all(parsedUrls.map((url) => NodeHttp.open(url, { token, ca, timeoutMs }))),
  );
}

/** Nodes that stand for each other, by their addresses. */
class Addresses {
  #index = 0;
  /** Aborts when they are closed. */
  readonly closing: AbortSignal;

  constructor(private readonly all: readonly NodeHttp[]) {
    this.closing = AbortSignal.any(all.map((http) => http.closing));
  }

  get current(): NodeHttp {
    return this.all[this.#index]!;
  }

  get count(): number {
    return this.all.length;
  }

  advance(): void {
    this.#index = (this.#index + 1) % this.all.length;
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((http) => http.close()));
  }
}

/** @internal */
export class HttpNode implements RemoteNode {
  readonly #addresses: Addresses;
  readonly #joinedPosts = new JoinedPosts(() => this.#http);

  constructor(https: readonly NodeHttp[]) {
    this.#addresses = new Addresses(https);
  }

  get url(): string {
    return this.#http.url.href.replace(/\/$/, "");
  }

  get #http(): NodeHttp {
    return this.#addresses.current;
  }

  /** Resolves when it has said who it is. @throws as `connectToNode` */
  async identify(signal?: AbortSignal): Promise<void> {
    try {
      const status = await this.#read("/v1/status", signal);
      if (!isNode(status)) throw notHubcast(this.#http.url, JSON_ANSWER);
    } catch (error) {
      // A server that hangs up on the first request, as a hub does, is no node.
      const hungUp = error instanceof HubcastError && error.code === "connectionLost";
      throw hungUp ? notHubcast(this.#http.url) : error;
    }
  }

  async post(item: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    checkDraft(item);
    checkPostOptions(options);
    const { wait, timeoutMs = RECEIPT_TIMEOUT_MS, signal } = options;
    const { id, raw, signature, timestampMs } = item;
    return await this.#joinedPosts.post(JSON.stringify({ id, raw, signature, timestampMs }), {
      query: wait === undefined ? "" : `wait=${wait}&timeoutMs=${timeoutMs}`,
      extraMs: wait === undefined ? 0 : timeoutMs,
      // Without an id the node would make two.
      repeatable: id !== undefined,
      signal,
    });
  }

  async *postMany(
    drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<BulkLine> {
    for await (const lines of this.postPieces(piecesOf(drafts), options.signal)) yield* lines;
  }

  /**
   * As `postMany`, with drafts that are lines already. @param pieces each is sent at once: lines of JSON, whole
   * @returns outcomes as they come, one or more at a time
   */
  async *postPieces(
    pieces: AsyncIterable<string>,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly BulkLine[], void, undefined> {
    const { url } = this.#http;
    const what = "the outcome of one of many posts";
    let rest = "";
    let thrown: { readonly error: unknown } | undefined;
    async function* body() {
      try {
        yield* pieces;
      } catch (error) {
        thrown = { error };
        throw error;
      }
    }
    try {
      const { chunks } = await this.#http.stream({
        method: "POST",
        path: "/v1/items",
        headers: { "content-type": "application/x-ndjson", accept: "application/x-ndjson" },
        body: Readable.from(body(), { objectMode: false }),
        signal,
      });
      for await (const chunk of chunks) {
        const whole = (rest + chunk).split("\n");
        rest = whole.pop()!;
        if (whole.length > 0) yield whole.map((line) => answerAs(what, parsed(line, what, url), url));
      }
    } catch (error) {
      // The caller's own, whatever code it has.
      if (thrown) throw thrown.error;
      signal?.throwIfAborted();
      throw errorOf(error, url);
    }
    if (rest !== "") throw notHubcast(url);
  }

  async get(id: string): Promise<Item | undefined> {
    checkId(id);
    const found = await this.#item(id, "");
    if (!found) return undefined;
    const { raw, signature, timestampMs, digest } = found;
    return { id: found.id, raw, signature, timestampMs, digest };
  }

  async show(id: string, options: ShowOptions = {}): Promise<ShownItem | undefined> {
    checkId(id);
    checkShowOptions(options);
    const { holders = false, timeoutMs = HOLDERS_TIMEOUT_MS, signal } = options;
    if (!holders) return await this.#item(id, "", signal);
    return await this.#item(id, `holders=true&timeoutMs=${timeoutMs}`, signal, timeoutMs);
  }

  async #item(id: string, query: string, signal?: AbortSignal, extraMs = 0): Promise<ShownItem | undefined> {
    // No item has an empty id, and the path without one is another call.
    if (id === "") return undefined;
    const escaped = encodeURIComponent(id.toWellFormed());
    try {
      // URL parsers take these two for steps of the path, escaped or not.
      const isStep = id === "." || id === "..";
      const path = isStep ? `/v1/items/?id=${escaped}&` : `/v1/items/${escaped}?`;
      const call = { method: "GET", path: (path + query).replace(/[?&]$/, ""), repeatable: true } as const;
      const answer = await this.#http.json({ ...call, signal, extraMs });
      return answerAs("an item and its rivals", answer, this.#http.url);
    } catch (error) {
      if (error instanceof HubcastError && error.code === "notFound") return undefined;
      throw error;
    }
  }

  /** Lists page by page, so that a slow reader holds nothing open at the node. */
  async *list(query: ListQuery = {}): AsyncGenerator<Item, void, undefined> {
    checkListQuery(query);
    const { topic, sinceMs, untilMs, limit = Number.POSITIVE_INFINITY, order, signal } = query;
    let left = limit;
    let pageItems = FIRST_PAGE_ITEMS;
    let cursor: string | undefined;
    while (left > 0) {
      const wanted = new URLSearchParams({ limit: String(Math.min(left, pageItems)) });
      if (topic !== undefined) wanted.set("topic", topic);
      if (sinceMs !== undefined) wanted.set("since", instantText(sinceMs));
      if (untilMs !== undefined) wanted.set("until", instantText(untilMs));
      if (order !== undefined) wanted.set("order", order);
      if (cursor !== undefined) wanted.set("cursor", cursor);
      let page: unknown;
      try {
        page = await this.#read(`/v1/items?${wanted}`, signal);
      } catch (error) {
        if (!(error instanceof HubcastError) || error.code !== "tooLarge" || pageItems === 1) throw error;
        pageItems = Math.ceil(pageItems / 10);
        continue;
      }
      const { items, nextCursor } = answerAs("a page of items", page, this.#http.url);
      for (const item of items) {
        yield item;
        signal?.throwIfAborted();
      }
      if (nextCursor === undefined) return;
      cursor = nextCursor;
      left -= items.length;
      // Nothing of a deep topic was found so far.
      if (items.length === 0) continue;
      const length = items.reduce((sum, { raw }) => sum + raw.length, 1);
      pageItems = Math.min(
        LIMITS.pageItemsMax,
        Math.max(1, Math.round((items.length * PAGE_LENGTH) / length)),
      );
    }
  }

  async *events(options: EventsOptions = {}): AsyncGenerator<NodeEvent, void, undefined> {
    checkEventsOptions(options);
    yield* eventsOf(this.#addresses, options);
  }

  /** Events of a reader that keeps its place by itself. @throws as `events` */
  follow(place: KeptPlace, options: EventsOptions = {}): AsyncGenerator<NodeEvent, void, undefined> {
    checkEventsOptions(options);
    return eventsOf(this.#addresses, options, place);
  }

  async status(query: StatusQuery = {}): Promise<NodeStatus> {
    checkStatusQuery(query);
    const { sinceMs } = query;
    const path = sinceMs === undefined ? "/v1/status" : `/v1/status?since=${instantText(sinceMs)}`;
    return answerAs("a node's status", await this.#read(path), this.#http.url);
  }

  async peers({ fresh = false }: PeersQuery = {}): Promise<readonly Peer[]> {
    const path = fresh ? "/v1/peers?fresh=true" : "/v1/peers";
    return answerAs("a list of peers", await this.#read(path), this.#http.url);
  }

  async close(): Promise<void> {
    await this.#addresses.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #read(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.#http.json({ method: "GET", path, signal, repeatable: true });
  }
}

/** A draft in the body of many posts. */
export function draftLine(draft: ItemDraft): string {
  return `${JSON.stringify(draft)}\n`;
}

async function* piecesOf(drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>): AsyncGenerator<string> {
  let piece = "";
  for await (const draft of drafts) {
    piece += draftLine(draft);
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}

function parseUrl(text: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (
    url &&
    typeof text === "string" &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.search === ""
  )
    return url;
  throw new HubcastError("invalidOption", `"${text}" is not the URL of a node`, {
    suggestions: ["Write it as http://HOST:PORT, for example http://127.0.0.1:8080."],
  });
}
