import type { Timing } from "../../runtime/http/metrics.js";
import type {
  Broadcast,
  BulkLine,
  EventsOptions,
  ListQuery,
  NodeEvent,
  NodeStatus,
  Peer,
  PostOptions,
  PostResult,
  ShownItem,
  ShowOptions,
  StatusQuery,
} from "../broadcast.js";
import type { Item, ItemDraft } from "../replica/item.js";

/**
 * A node as its HTTP API needs it, beyond `Broadcast`: arguments are checked, answers come at once where they can, and
 * items are the node's own, not copied for each reader. Tests of the API use a fake.
 */
export interface ServedNode {
  /** As `Broadcast.post`; `signal` ends the wait for the receipt, and is no error. */
  accept(draft: ItemDraft, options?: PostOptions): Promise<PostResult>;
  /** Many at once: one commit, one line of outcome per draft, in their order. Never rejects for one item's sake. */
  acceptMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]>;
  /** As `Broadcast.show`; `signal` ends the wait for holders, and is no error. */
  find(id: string, options?: ShowOptions): Promise<ShownItem | undefined>;
  /** One page of visible items, in the order asked for. @throws badRequest when the cursor is none of this node's */
  page(query: PageQuery): Page;
  /** Visible items, in the order asked for; tolerates changes between two steps. */
  visible(query: ListQuery): Iterable<Item>;
  /** As `Broadcast.events`; subscribed when the call returns, so nothing after it is missed. @throws eventsGone, tooManySubscribers */
  subscribe(options: EventsOptions): AsyncIterable<NodeEvent>;
  statusNow(query?: StatusQuery): NodeStatus;
  peersNow(): readonly Peer[];
  peers: Broadcast["peers"];
  /** First reconciliation done, or no peer found in 3 s. */
  readonly ready: boolean;
  readonly timings: Timings;
}

/** How long work of the node took. */
export type Timings = Readonly<Record<"post" | "receipt" | "delivery", Timing>>;

export interface PageQuery {
  readonly topic?: string;
  /** Epoch ms, inclusive. */
  readonly sinceMs?: number;
  /** Epoch ms, exclusive. */
  readonly untilMs?: number;
  readonly limit?: number;
  readonly order?: NonNullable<ListQuery["order"]>;
  /** `nextCursor` of the page before, of the same order. */
  readonly cursor?: string;
}

export interface Page {
  readonly items: readonly Item[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
}
