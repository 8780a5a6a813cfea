import type { SharedBytes } from "../../core/buffers.js";
import { HubcastError } from "../../core/errors.js";
import { isLoopbackHost } from "../../core/hosts.js";
import { LIMITS, type Limits } from "../../core/limits.js";
import { checkOptions } from "../../core/options.js";
import type { Timing } from "../../runtime/http/metrics.js";
import type { HttpLogger, RefusalCounter } from "../../runtime/http/problem.js";
import type { Token, TokenTable } from "../../runtime/tokens.js";
import type { PacedCalls } from "../../runtime/turns.js";
import type {
  Broadcast,
  BulkLine,
  EventsOptions,
  ItemPage,
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
import { HTTP_KINDS, type HttpOptions } from "../option-kinds.js";
import type { Item, ItemDraft } from "../replica/item.js";
import type { Deadlines } from "./body.js";
import type { KeyRate, PostRate } from "./rates.js";

export interface HttpApiOptions extends HttpOptions {
  readonly node: ServedNode;
}

export interface CompleteOptions {
  readonly node: ServedNode;
  readonly host: string;
  readonly port: number;
  /** Empty: nobody is asked for one. */
  readonly tokens: readonly Token[];
  readonly tls: HttpOptions["tls"] | undefined;
  readonly postRate: number | undefined;
  readonly keyRate: number | undefined;
  readonly boundNames: readonly string[];
  readonly logger: HttpLogger;
  readonly limits: Limits;
}

/** @throws invalidOption when an option is out of its range, or the API would be open to a network unasked */
export function completeOptions(options: HttpApiOptions): CompleteOptions {
  const { node, ...given } = options;
  checkOptions("the HTTP API", given, HTTP_KINDS);
  const { host = HTTP_KINDS.host.default, port = HTTP_KINDS.port.default } = given;
  const { tokens = [], allowAnonymous = false } = given;
  checkTokens(tokens);
  if (!isLoopbackHost(host) && tokens.length === 0 && !allowAnonymous) {
    throw new HubcastError(
      "invalidOption",
      `host ${host} lets other machines call the node without a token`,
      {
        suggestions: [
          "Give tokens with --token-file or HUBCAST_TOKEN.",
          "Or pass --allow-anonymous to let everybody who reaches this address read and post.",
        ],
      },
    );
  }
  return {
    node,
    host,
    port,
    tokens: allowAnonymous ? [] : tokens,
    tls: options.tls,
    postRate: options.postRate,
    keyRate: options.keyRate,
    boundNames: options.boundNames ?? [],
    logger: options.logger ?? SILENT,
    limits: { ...LIMITS, ...options.limits },
  };
}

/** @throws invalidOption */
export function checkTokens(tokens: readonly Token[]): void {
  for (const { token, role } of tokens) {
    if (/^[\x21-\x7e]+$/.test(token) && (role === "read" || role === "post")) continue;
    throw new HubcastError("invalidOption", `a token of the HTTP API has a bad character or role "${role}"`, {
      suggestions: ["Use visible ASCII characters without spaces, and the role read or post."],
    });
  }
}

const SILENT: HttpLogger = { debug() {}, warn() {}, error() {} };

/** Shared by all routes. */
export interface ApiContext {
  readonly node: ServedNode;
  readonly limits: Limits;
  readonly logger: HttpLogger;
  readonly tokens: TokenTable;
  /** Of bodies that are read whole: `requestTimeoutMs` each. */
  readonly bodyDeadlines: Deadlines;
  /** Aborts when the API closes: streams that would never end, end. */
  readonly closing: AbortSignal;
  readonly refusals: RefusalCounter;
  /** Bulk requests take turns of the event loop: between two batches others are served. */
  readonly bulkTurns: PacedCalls;
  /** A thousand subscribers that come at once wait for each other, and let others pass. */
  readonly subscriberTurns: PacedCalls;
  /**
   * Resolves in a turn of the event loop for work of milliseconds: a long body, a long page, metrics. One such work has the
   * turn, and the next turns have none.
   */
  readonly longTurn: () => Promise<void>;
  /** Of bodies that have not come whole, or are being posted line by line. */
  readonly bodiesHeld: SharedBytes;
  /** Of answers that their clients have not read. */
  readonly answersWaiting: SharedBytes;
  readonly postRate: PostRate;
  readonly keyRate: KeyRate;
}

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
  page(query: PageQuery): ItemPage;
  /** Visible items, in the order asked for; nothing where others should have a turn. Tolerates changes between two steps. */
  visible(query: ListQuery): Iterable<Item | undefined>;
  /**
   * As `Broadcast.events`; subscribed when the call returns, so nothing after it is missed. @throws eventsGone,
   * tooManySubscribers
   */
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
