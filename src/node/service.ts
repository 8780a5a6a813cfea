import type { ErrorCode } from "../core/errors.js";
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
import type { Item, ItemDraft } from "./protocol/item.js";

/** What the HTTP API needs of the node behind it; `node.ts` provides it, tests of the API bring a fake. */
export interface NodeService {
  /** As `Broadcast.post`. */
  post(draft: ItemDraft, options?: PostOptions): Promise<PostResult>;
  /** Many at once: one commit, one line of outcome per draft, in their order. Never rejects for one item's sake. */
  postMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]>;
  get(id: string): Item | undefined;
  /** One page of visible items, oldest first. @throws badRequest when the cursor is none of this node's */
  page(query: PageQuery): Page;
  /** Visible items, oldest first; tolerates changes between two steps. */
  list(query: ListQuery): Iterable<Item>;
  /** As `Broadcast.events`; subscribed when the call returns, so nothing after it is missed. @throws eventsGone, tooManySubscribers */
  events(options: EventsOptions): AsyncIterable<NodeEvent>;
  status(query?: StatusQuery): NodeStatus;
  peers(): readonly Peer[];
  /** First reconciliation done, or no peer found in 3 s. */
  readonly ready: boolean;
}

/** Outcome of one line of a bulk request. `code` says why when it was not taken. */
export interface BulkLine {
  readonly id: string;
  readonly status: "accepted" | "held" | "conflict" | "invalid" | "refused";
  readonly code?: ErrorCode;
}

export interface PageQuery {
  /** Epoch ms, inclusive. */
  readonly sinceMs?: number;
  /** Epoch ms, exclusive. */
  readonly untilMs?: number;
  readonly limit?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
}

export interface Page {
  readonly items: readonly Item[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
}
