import { HubcastError } from "../core/errors.js";
import type {
  Broadcast,
  EventsOptions,
  ListQuery,
  NodeEvent,
  NodeStatus,
  Peer,
  PostOptions,
  PostResult,
  StatusQuery,
} from "./broadcast.js";
import type { Item, ItemDraft } from "./protocol/item.js";
import { bulkOf } from "./remote/bulk-call.js";
import { Caller } from "./remote/caller.js";
import { eventsOf } from "./remote/event-call.js";
import { notHubcast } from "./remote/faults.js";
import { itemsOf } from "./remote/list-call.js";
import type { BulkLine, Page } from "./service.js";

export interface ConnectOptions {
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
  /** For one call and its answer; default 10,000. A post that waits for a receipt has that time on top. */
  readonly timeoutMs?: number;
  /** PEM of an authority to trust besides the system's. */
  readonly ca?: string | Buffer;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

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

/**
 * Connects to a running node. Resolves when it has shown that it is one.
 * @param url `http://HOST:PORT`, `https://...`, or `HOST:PORT`
 * @throws invalidOption, unreachable, notHubcast, unauthorized, deadline
 */
export async function connectToNode(url: string, options: ConnectOptions = {}): Promise<RemoteNode> {
  const { token, ca, timeoutMs = 10_000, signal } = options;
  const caller = await Caller.create(parseUrl(url), { token, ca, timeoutMs });
  try {
    const status = await caller.json({ method: "GET", path: "/v1/status", repeatable: true, signal });
    if (!isStatus(status)) throw notHubcast(caller.url);
    return new HttpNode(caller);
  } catch (error) {
    caller.close();
    // What hangs up on the first request, as a hub does, is no node.
    const hungUp = error instanceof HubcastError && error.code === "connectionLost";
    throw hungUp ? notHubcast(caller.url) : error;
  }
}

class HttpNode implements RemoteNode {
  readonly url: string;
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
    this.url = caller.url.href.replace(/\/$/, "");
  }

  async post(item: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    const { wait, timeoutMs, signal } = options;
    const query = wait === undefined ? "" : `?wait=${wait}&timeoutMs=${timeoutMs ?? RECEIPT_TIMEOUT_MS}`;
    const { id, raw, signature, timestampMs } = item;
    return (await this.#caller.json({
      method: "POST",
      path: `/v1/items${query}`,
      body: JSON.stringify({ id, raw, signature, timestampMs }),
      signal,
      // Without an id the node would make two.
      repeatable: id !== undefined,
      ...(wait === undefined ? {} : { extraMs: timeoutMs ?? RECEIPT_TIMEOUT_MS }),
    })) as PostResult;
  }

  postMany(
    drafts: Iterable<ItemDraft> | AsyncIterable<ItemDraft>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<BulkLine> {
    return bulkOf(this.#caller, drafts, options.signal);
  }

  async get(id: string): Promise<Item | undefined> {
    // No item has an empty id, and the path without one is another call.
    if (id === "") return undefined;
    try {
      return (await this.#read(`/v1/items/${encodeURIComponent(id.toWellFormed())}`)) as Item;
    } catch (error) {
      if (error instanceof HubcastError && error.code === "notFound") return undefined;
      throw error;
    }
  }

  list(query: ListQuery = {}): AsyncIterable<Item> {
    return itemsOf(async (path) => (await this.#read(path, query.signal)) as Page, query);
  }

  events(options: EventsOptions = {}): AsyncIterable<NodeEvent> {
    return eventsOf(this.#caller, options);
  }

  async status({ sinceMs }: StatusQuery = {}): Promise<NodeStatus> {
    const query = sinceMs === undefined ? "" : `?since=${new Date(sinceMs).toISOString()}`;
    const status = await this.#read(`/v1/status${query}`);
    if (!isStatus(status)) throw notHubcast(this.#caller.url);
    return status;
  }

  async peers(): Promise<readonly Peer[]> {
    return (await this.#read("/v1/peers")) as readonly Peer[];
  }

  async close(): Promise<void> {
    this.#caller.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #read(path: string, signal?: AbortSignal): Promise<unknown> {
    return this.#caller.json({ method: "GET", path, signal, repeatable: true });
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url && /^https?:$/.test(url.protocol) && url.username === "" && url.search === "") return url;
  throw new HubcastError("invalidOption", `"${text}" is not the URL of a node`, {
    suggestions: ["Write it as http://HOST:PORT, for example http://127.0.0.1:8080."],
  });
}

function isStatus(value: unknown): value is NodeStatus {
  const fields = Object(value) as Record<string, unknown>;
  return ["name", "id", "cluster", "version", "fingerprint"].every(
    (field) => typeof fields[field] === "string",
  );
}
