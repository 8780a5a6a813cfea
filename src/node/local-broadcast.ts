import { HubcastError } from "../core/errors.js";
import {
  checkDraft,
  checkEventsOptions,
  checkId,
  checkListQuery,
  checkPostOptions,
  checkShowOptions,
  checkStatusQuery,
  unlessAborted,
} from "./arguments.js";
import type {
  Access,
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
  StartedNode,
  StatusQuery,
  Trusted,
} from "./broadcast.js";
import { LocalService } from "./local-service.js";
import type { Node } from "./node.js";
import { checkTrust } from "./options.js";
import { wholeItem } from "./replica/held/held-item.js";
import type { Item, ItemDraft } from "./replica/item.js";
import type { NodeService } from "./service.js";

/** The library's face of a node in this process. */
export class LocalBroadcast implements StartedNode {
  readonly service: NodeService;

  constructor(private readonly node: Node) {
    this.service = new LocalService(node);
  }

  get id(): string {
    return this.node.cluster.id;
  }

  get name(): string {
    return this.node.name;
  }

  get url(): string {
    // Typed as optional in the interface; without HTTP there is none.
    return this.node.http?.url as string;
  }

  get peerAddresses(): readonly string[] {
    return this.node.cluster.addresses;
  }

  async post(draft: ItemDraft, options: PostOptions = {}): Promise<PostResult> {
    checkDraft(draft);
    checkPostOptions(options);
    options.signal?.throwIfAborted();
    return await unlessAborted(this.service.post(draft, options), options.signal);
  }

  async get(id: string): Promise<Item | undefined> {
    checkId(id);
    const item = this.service.get(id);
    return item && wholeItem(item);
  }

  async show(id: string, options: ShowOptions = {}): Promise<ShownItem | undefined> {
    checkId(id);
    checkShowOptions(options);
    options.signal?.throwIfAborted();
    return await unlessAborted(this.service.show(id, options), options.signal);
  }

  async *list(query: ListQuery = {}): AsyncGenerator<Item, void, undefined> {
    checkListQuery(query);
    query.signal?.throwIfAborted();
    for (const item of this.service.list(query)) {
      yield wholeItem(item);
      query.signal?.throwIfAborted();
    }
  }

  events(options: EventsOptions = {}): AsyncIterable<NodeEvent> {
    try {
      checkEventsOptions(options);
      // Subscribed now, not at the first read.
      return wholeEvents(this.service.events(options));
    } catch (error) {
      // Thrown at the first read, as for a node that is reached over HTTP.
      return failing(error);
    }
  }

  async status(query: StatusQuery = {}): Promise<NodeStatus> {
    checkStatusQuery(query);
    return this.service.status(query);
  }

  async peers({ fresh = false }: PeersQuery = {}): Promise<readonly Peer[]> {
    return fresh ? this.service.freshPeers() : this.service.peers();
  }

  trust(keys: readonly Trusted[]): void {
    checkTrust(keys);
    this.node.trust(keys);
  }

  renew(access: Access): void {
    if (!this.node.http)
      throw new HubcastError("invalidOption", "a node without an HTTP API has no certificate and no tokens", {
        suggestions: ["Start it with `http`."],
      });
    this.node.http.renew(access);
  }

  close(): Promise<void> {
    return this.node.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
