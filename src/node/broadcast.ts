import type { ErrorCode } from "../core/errors.js";
import type { Item, ItemDraft } from "./protocol/item.js";

export type { Item, ItemDraft };

/**
 * What a program does with a node, the same whether it runs inside (`startNode`) or is reached over HTTP
 * (`connectToNode`). Shapes equal the bodies of the HTTP API.
 */
export interface Broadcast extends AsyncDisposable {
  /**
   * Hands an item to the node. Resolves when the node has accepted it (on disk, with a data directory) or
   * already held it, and, with `wait`, when the receipt is complete or its deadline has passed.
   * @throws conflict, invalidItem, timestampOff, itemExpired, refusedByPolicy, clockSkew, nodeFull, storageFailed, natsAway,
   *   natsFull
   */
  post(item: ItemDraft, options?: PostOptions): Promise<PostResult>;
  /** The visible item of that id. */
  get(id: string): Promise<Item | undefined>;
  /** Visible items, oldest first. */
  list(query?: ListQuery): AsyncIterable<Item>;
  /**
   * What happens from now on, or, with `since`, the visible items from then on first, then `caught-up`, then live.
   * Ends when `signal` aborts. @throws eventsGone when `after` is unknown or too old, or when the reader is too slow
   */
  events(options?: EventsOptions): AsyncIterable<NodeEvent>;
  status(query?: StatusQuery): Promise<NodeStatus>;
  peers(): Promise<readonly Peer[]>;
  /** Idempotent. A node says goodbye to its peers and gives back every socket, timer and file. */
  close(): Promise<void>;
}

export interface PostOptions {
  /** Wait until that many peers hold the item too; `all`: every peer connected when it was accepted. */
  readonly wait?: number | "all";
  /** Deadline of `wait`; default 5,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface PostResult {
  readonly id: string;
  readonly digest: string;
  readonly timestampMs: number;
  /** `held`: the node had this very item already. */
  readonly status: "accepted" | "held";
  /** Only when `wait` was asked for. */
  readonly receipt?: Receipt;
}

/** Who is known to hold an item. */
export interface Receipt {
  /** False when the deadline passed before all that were asked for had answered. */
  readonly complete: boolean;
  /** Peers that hold it, in the order they said so, with the ms since the node accepted it. */
  readonly holders: readonly { readonly id: string; readonly name: string; readonly afterMs: number }[];
  /** Connected peers that have not said so. */
  readonly missing: readonly { readonly id: string; readonly name: string }[];
}

export interface ListQuery {
  /** Epoch ms; only items stamped at or after it. */
  readonly sinceMs?: number;
  /** Epoch ms; only items stamped before it. */
  readonly untilMs?: number;
  /** At most so many. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface EventsOptions {
  /** Event id to resume behind. */
  readonly after?: string;
  /** Epoch ms; visible items from then on come first. Not together with `after`. */
  readonly sinceMs?: number;
  readonly signal?: AbortSignal;
}

export interface StatusQuery {
  /** Epoch ms: take the fingerprint from there instead of the start that the node would choose. */
  readonly sinceMs?: number;
}

/** One event. `eventId` (node epoch and arrival number) resumes behind it; `caught-up` and `peer` carry one too. */
export type NodeEvent =
  | { readonly type: "item"; readonly eventId: string; readonly item: Item }
  | { readonly type: "replaced"; readonly eventId: string; readonly item: Item; readonly previous: Item }
  | { readonly type: "expired"; readonly eventId: string; readonly item: Item }
  | { readonly type: "peer"; readonly eventId: string; readonly peer: Peer }
  | { readonly type: "caught-up"; readonly eventId: string };

export type PeerState = "connected" | "left" | "lost";

export interface Peer {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly state: PeerState;
  /** When it came into that state, epoch ms. */
  readonly sinceMs: number;
  /** Why it is not connected; absent while it is. */
  readonly reason?: string;
  /** Round trip of the last heartbeat; absent before the first. */
  readonly roundTripMs?: number;
  /** What it last said of its set, and how long ago; absent before the first. */
  readonly summary?: {
    readonly items: number;
    readonly fingerprint: string;
    readonly fingerprintSinceMs: number;
    readonly ageMs: number;
  };
  /** How its set compares with this node's, as far as both know. */
  readonly agreement: "agrees" | "differs" | "differsByPolicy" | "unknown";
  /** Only while the two sets differ. */
  readonly difference?: {
    /** Since when, as far as this node noticed, epoch ms. */
    readonly sinceMs: number;
    /** What this node holds in the window of the peer's summary, whose `items` is the peer's count. */
    readonly itemsHere: number;
  };
}

/** `starting` until the first reconciliation is done; `degraded` says why in `reasons`. */
export type NodeState = "starting" | "ready" | "degraded" | "stopping";

export interface NodeStatus {
  readonly name: string;
  readonly id: string;
  readonly cluster: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly state: NodeState;
  /** Why the state is `degraded`; else empty. */
  readonly reasons: readonly ErrorCode[];
  /** Visible items. */
  readonly items: number;
  /** Items hidden behind another of the same id. */
  readonly hidden: number;
  /** Bytes of all held items, in their canonical encoding. */
  readonly bytes: number;
  /** Items that were posted here and accepted, since the start. */
  readonly posted: number;
  /** 32 hex digits over all held items stamped at or after `fingerprintSinceMs`. */
  readonly fingerprint: string;
  readonly fingerprintSinceMs: number;
  readonly retentionMs: number;
  /** Connected peers. */
  readonly peers: number;
  readonly engine: string;
  readonly peerAddresses: readonly string[];
  readonly sync: SyncFigures;
  readonly gossip: GossipFigures;
  readonly process: ProcessFigures;
}

/** Anti-entropy since the start. */
export interface SyncFigures {
  readonly rounds: number;
  readonly roundsFailed: number;
  readonly itemsReceived: number;
  readonly itemsSent: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Gossip since the start; one message carries a batch of items. */
export interface GossipFigures {
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly itemsReceived: number;
  readonly itemsSent: number;
  readonly duplicates: number;
  readonly rejected: number;
  /** Messages left to reconciliation, because too many signatures waited to be checked. */
  readonly skipped: number;
  /** Messages not sent to one peer, because too much waited for it; reconciliation brings them. */
  readonly unsent: number;
  /** Times that one peer's gossip was not read for a moment, because it sent more than `gossipBytesPerSecond`. */
  readonly heldUp: number;
}

/** The process that the node runs in. */
export interface ProcessFigures {
  /** Memory that is resident. */
  readonly rssBytes: number;
  /** How late timers ran in the last seconds, the 99th percentile: what a busy node adds to every answer. */
  readonly eventLoopDelayMs: number;
}
