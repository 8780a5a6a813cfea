import type {
  EventsOptions,
  ListQuery,
  NodeEvent,
  NodeStatus,
  Peer,
  PostOptions,
  PostResult,
  StatusQuery,
} from "./broadcast.js";
import { LocalService } from "./local-service.js";
import type { Node } from "./node.js";
import { checkPublicKey } from "./options.js";
import { wholeItem } from "./protocol/held/held-item.js";
import type { Item, ItemDraft } from "./protocol/item.js";
import type { NodeService } from "./service.js";
import type { StartedNode } from "./start.js";

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

  async post(draft: ItemDraft, options?: PostOptions): Promise<PostResult> {
    return this.service.post(draft, options);
  }

  async get(id: string): Promise<Item | undefined> {
    const item = this.service.get(id);
    return item && wholeItem(item);
  }

  async *list(query: ListQuery = {}): AsyncGenerator<Item, void, undefined> {
    for (const item of this.service.list(query)) yield wholeItem(item);
  }

  events(options: EventsOptions = {}): AsyncIterable<NodeEvent> {
    // Subscribed now, not at the first read.
    return wholeEvents(this.service.events(options));
  }

  async status(query?: StatusQuery): Promise<NodeStatus> {
    return this.service.status(query);
  }

  async peers(): Promise<readonly Peer[]> {
    return this.service.peers();
  }

  trust(keys: readonly string[]): void {
    for (const key of keys) checkPublicKey(key);
    this.node.trust(keys.map((key) => key.toLowerCase()));
  }

  close(): Promise<void> {
    return this.node.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What leaves the node is plain, and keeps nothing of it alive. */
async function* wholeEvents(events: AsyncIterable<NodeEvent>): AsyncGenerator<NodeEvent, void, undefined> {
  for await (const event of events) {
    if (event.type === "replaced")
      yield { ...event, item: wholeItem(event.item), previous: wholeItem(event.previous) };
    else yield "item" in event ? { ...event, item: wholeItem(event.item) } : event;
  }
}
