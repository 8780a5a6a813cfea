import type { ErrorCode, HubcastError } from "../core/errors.js";
import type { TokenSource } from "../core/options.js";
import type { TlsPair } from "../runtime/certificate.js";
import type { Token } from "../runtime/tokens.js";
import type { Item, ItemDraft } from "./replica/item.js";
import type { Receipt } from "./replica/messages.js";
import type { Trusted } from "./replica/policy.js";
import type { SignatureScheme } from "./replica/signature.js";

export type { Item, ItemDraft, Receipt, SignatureScheme, Trusted };

/**
 * A node as a program uses it, whether it runs inside (`startNode`) or is reached over HTTP
 * (`connectToNode`). Shapes equal the bodies of the HTTP API.
 */
export interface Broadcast extends AsyncDisposable {
  /**
   * Hands an item to the node. Resolves when the node has accepted it (on disk, with a data directory) or already held
   * it, and, with `wait`, when the receipt is complete or its deadline has passed.
   * @throws conflict, invalidItem, timestampOff, itemExpired, refusedByPolicy, refusedTopic, clockSkew, nodeFull,
   *   storageFailed, natsAway, natsFull
   */
  post(item: ItemDraft, options?: PostOptions): Promise<PostResult>;
  /** The visible item of that id. */
  get(id: string): Promise<Item | undefined>;
  /** The visible item of that id, with those that are hidden behind it. */
  show(id: string, options?: ShowOptions): Promise<ShownItem | undefined>;
  /** Visible items, oldest first unless `order` says otherwise. */
  list(query?: ListQuery): AsyncIterable<Item>;
  /**
   * Events from now on; with `sinceMs`, the visible items since then first, then `caught-up`, then live events.
   * Ends when `signal` aborts. Of a node that is reached over HTTP it survives a lost connection and a restart of the
   * node: see `reconnect`.
   * @throws eventsGone when `after` is unknown or too old and there is no `sinceMs`, or when the reader is too slow
   */
  events(options?: EventsOptions): AsyncIterable<NodeEvent>;
  status(query?: StatusQuery): Promise<NodeStatus>;
  /** All other members of the cluster, those that left or were lost, and those that were not reached. */
  peers(query?: PeersQuery): Promise<readonly Peer[]>;
  /** Idempotent. A node says goodbye to its peers and gives back every socket, timer and file. */
  close(): Promise<void>;
}

export interface PostOptions {
  /** Wait until that many members hold the item too; `all`: every member that is alive when it is accepted. */
  readonly wait?: number | "all";
  /** Deadline of `wait`; default 5,000. */
  readonly timeoutMs?: number;
  /** Rejects with its reason. The item may be accepted all the same. */
  readonly signal?: AbortSignal;
}

export interface PostResult {
  readonly id: string;
  readonly digest: string;
  readonly timestampMs: number;
  /** `held`: the node had this very item already. */
  readonly status: "accepted" | "held";
  /**
   * Digest of the item that is visible under the id as the answer is given. Another than `digest`: one that was posted
   * elsewhere at the same time wins, and this one is hidden.
   */
  readonly visible: string;
  /** Only when `wait` was asked for. */
  readonly receipt?: Receipt;
}

export interface ShowOptions {
  /** Ask all members whether they hold it: adds a receipt. */
  readonly holders?: boolean;
  /** How long they have; default 1,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The members of the cluster that hold an item now, and those that do not. */
export interface HoldersReceipt extends Receipt {
  /** Of those that were asked, those that answered nothing, and may hold it or not. */
  readonly missing: Receipt["missing"];
  /** Members that answered, and do not hold it. */
  readonly lacking: Receipt["missing"];
  /** Members that were lost, and so were not asked. */
  readonly lost: Receipt["missing"];
}

/** An item that is hidden behind another of its id. */
export interface Rival extends Pick<Item, "digest" | "timestampMs" | "signature"> {
  readonly scheme: SignatureScheme;
  readonly author?: string;
}

/** The item that is visible under an id, and what there is beside it. */
export interface ShownItem extends Item {
  /** The part of its id before the last `/`; absent where the id is no path. */
  readonly topic?: string;
  readonly scheme: SignatureScheme;
  /** The public key of who signed it, 64 hex digits; absent where the scheme names nobody. */
  readonly author?: string;
  /** Its own digest, as in the result of a post. */
  readonly visible: string;
  /** Items of the same id that are hidden behind it, in their order; the first 64. */
  readonly rivals: readonly Rival[];
  /** Only when holders were asked for. */
  readonly receipt?: HoldersReceipt;
}

export interface PeersQuery {
  /**
   * Ask all members what they hold, instead of telling what they said last, up to 10 s ago. Takes 1 s at most: the agreement
   * of one that has not answered then is `unknown`.
   */
  readonly fresh?: boolean;
}

export interface ListQuery {
  /** Only items of this topic and of all below it. */
  readonly topic?: string;
  /** Epoch ms; only items stamped at or after it. */
  readonly sinceMs?: number;
  /** Epoch ms; only items stamped before it. */
  readonly untilMs?: number;
  /** At most so many; 1 at least. */
  readonly limit?: number;
  /** Default `oldest`; `newest` lists backwards, so that `limit` takes the last ones. */
  readonly order?: "oldest" | "newest";
  /** Throws its reason: a list that ends is whole. */
  readonly signal?: AbortSignal;
}

export interface EventsOptions {
  /** Of events of items only those of this topic and of all below it; the others are told all the same. */
  readonly topic?: string;
  /** Event id to resume behind. */
  readonly after?: string;
  /** Epoch ms; visible items from then on come first. With `after`: only if that place is unknown or too old. */
  readonly sinceMs?: number;
  readonly signal?: AbortSignal;
  /**
   * Default true: when the connection to the node is lost, connect again until it is back, and go on behind the last
   * event. A node that has restarted lists again what is stamped since 2 min before the beginning; what was told or there
   * already is left out (of the newest 1,000,000 items), and so is what is stamped earlier: peers bring it back to a node
   * that keeps nothing. False: throw connectionLost. A node in this process has no connection to lose.
   */
  readonly reconnect?: boolean;
  /** Called when the connection is lost, with the reason, and when it is back. */
  readonly onConnection?: (state: "lost" | "back", reason?: HubcastError) => void;
}

export interface StatusQuery {
  /** Epoch ms: take the fingerprint from there instead of the start that the node would choose. */
  readonly sinceMs?: number;
}

/**
 * One event. `eventId` (node epoch and arrival number) resumes behind it. Items that were there before `caught-up` have
 * none: nobody can resume inside of them.
 */
export type NodeEvent =
  | { readonly type: "item"; readonly eventId?: string; readonly item: Item }
  | { readonly type: "replaced"; readonly eventId: string; readonly item: Item; readonly previous: Item }
  | { readonly type: "expired"; readonly eventId: string; readonly item: Item }
  | { readonly type: "peer"; readonly eventId: string; readonly peer: Peer }
  | { readonly type: "caught-up"; readonly eventId: string };

/**
 * `unreached`: no member, and `reason` says why: an address that was named and leads to nobody, a node of another version or
 * another cluster key, a twin.
 */
export type PeerState = "connected" | "left" | "lost" | "unreached";

export interface Peer {
  /** Of one that was never reached and has no known id: its address, as it was named. */
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly state: PeerState;
  /** Whether this node has a link with it; others are heard of through links. */
  readonly linked: boolean;
  /** When it came into that state, epoch ms. */
  readonly sinceMs: number;
  /** Why it is not connected; absent while it is. */
  readonly reason?: string;
  /** Round trip of the last heartbeat; absent before the first. */
  readonly roundTripMs?: number;
  /** Its last summary of its set, and the age of that; absent for a peer that was not reached. */
  readonly summary?: {
    readonly items: number;
    readonly fingerprint: string;
    readonly fingerprintSinceMs: number;
    readonly ageMs: number;
  };
  /** How its set compares with this node's, as far as both know. */
  readonly agreement: "agrees" | "differs" | "differsByPolicy" | "unknown";
  /** The differences from this node, as codes of `status.reasons`; absent when there are none. */
  readonly reasons?: readonly Reason[];
  /** Only while the two sets differ. */
  readonly difference?: {
    /** Since when, as far as this node noticed, epoch ms. */
    readonly sinceMs: number;
    /** This node's count of items in the window of the peer's summary; `items` there is the peer's count. */
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
  readonly reasons: readonly Reason[];
  /** The reasons for people, each with what to do; of what differs between nodes, one for each of them (16 at most). */
  readonly details: readonly ReasonDetail[];
  /** Visible items. */
  readonly items: number;
  /** Items hidden behind another of the same id. */
  readonly hidden: number;
  /** Bytes of all held items, in their canonical encoding. */
  readonly bytes: number;
  /**
   * Items, of those held, that are stamped more than 2 min ahead of the node's clock: peers take them when their time
   * has come.
   */
  readonly ahead: number;
  /** Stored items that this start found damaged and left out; peers that hold them bring them back. */
  readonly leftOut: number;
  /** Items that were posted here and accepted, since the start. */
  readonly posted: number;
  /** Items of peers that were not taken, by policy, by their time or for want of room, since the start. */
  readonly notTaken: number;
  /** 32 hex digits over all held items stamped at or after `fingerprintSinceMs`. */
  readonly fingerprint: string;
  readonly fingerprintSinceMs: number;
  readonly retentionMs: number;
  /** Other members that are connected, by links of their own or through others. */
  readonly peers: number;
  /** Links of this node. */
  readonly links: number;
  /** Members in all, this node included; an estimate where the roster is a sample. */
  readonly members: number;
  /** The cluster has more members than a node knows: `members` is estimated, and peers are a sample of them. */
  readonly membersEstimated: boolean;
  readonly engine: string;
  /** When the certificate of the API expires, epoch ms; absent without TLS. */
  readonly certificateExpiresAtMs?: number;
  readonly peerAddresses: readonly string[];
  readonly sync: SyncFigures;
  readonly gossip: GossipFigures;
  readonly process: ProcessFigures;
}

/** The cost of a round that found differences. */
export interface RoundCost {
  /** How it was found: by comparing ranges, or by a sketch of the whole set. */
  readonly means: "ranges" | "sketch";
  /** Bytes of its messages, both ways, without the items that were fetched then. */
  readonly bytes: number;
  /** Round trips. */
  readonly trips: number;
  /** Items that either node lacked. */
  readonly differences: number;
}

/** Anti-entropy since the start. */
export interface SyncFigures {
  readonly rounds: number;
  readonly roundsFailed: number;
  /** Rounds in which a sketch told what differs, in place of ranges. */
  readonly roundsBySketch: number;
  /** Sketches that did not tell it: ranges did. */
  readonly sketchesFailed: number;
  /** The last round led by this node that found a difference. */
  readonly lastRound?: RoundCost;
  readonly itemsReceived: number;
  readonly itemsSent: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Gossip since the start; one batch carries many items. */
export interface GossipFigures {
  readonly batchesReceived: number;
  /** Copies received of those batches; 1 for each is the least. */
  readonly copiesReceived: number;
  readonly batchesSent: number;
  readonly itemsReceived: number;
  readonly itemsSent: number;
  /** Items received that were known already. */
  readonly duplicates: number;
  readonly rejected: number;
  /** Batches asked for because they were announced and not pushed. */
  readonly repairs: number;
  /** Batches left to reconciliation, because too many signatures waited to be checked. */
  readonly skipped: number;
  /** Times that a link was not read for a moment, because its peer asked for more than its share. */
  readonly heldUp: number;
}

/** One page of GET /v1/items. */
export interface ItemPage {
  readonly items: readonly Item[];
  /** Absent on the last page. */
  readonly nextCursor?: string;
}

/** The process that the node runs in. */
export interface ProcessFigures {
  /** Memory that is resident. */
  readonly rssBytes: number;
  /** How late timers ran in the last seconds, the 99th percentile: what a busy node adds to every answer. */
  readonly eventLoopDelayMs: number;
}

/** Outcome of one line of a bulk request. `code` says why when it was not taken. */
export interface BulkLine {
  readonly id: string;
  readonly status: "accepted" | "held" | "conflict" | "invalid" | "refused";
  readonly code?: ErrorCode;
}

/** Why a node is degraded. docs/errors.md says what each means. */
export const REASONS = [
  "clockSkew",
  "clocksDiffer",
  "clockJumped",
  "itemsAhead",
  "noPeer",
  "twin",
  "retentionDiffers",
  "policyDiffers",
  "versionDiffers",
  "clusterKeyDiffers",
  "nodeFull",
  "storageFailed",
  "itemsLeftOut",
  "natsAway",
  "natsFull",
] as const satisfies readonly ErrorCode[];

export type Reason = (typeof REASONS)[number];

/** One reason, told to people. */
export interface ReasonDetail {
  readonly code: Reason;
  /** The fact, with names and values. */
  readonly message: string;
  /** The next step. */
  readonly advice: string;
  /** The node that it is about; absent where that is the one that tells. */
  readonly peer?: { readonly id: string; readonly name: string };
}

/** How a node is reached over HTTP. */
export interface ConnectOptions {
  /** Sent as `Authorization: Bearer`. A function is asked at each call, and when a stream connects again. */
  readonly token?: TokenSource;
  /** For one call and its answer; default 10,000. A post that waits for a receipt has that time on top. */
  readonly timeoutMs?: number;
  /** PEM of an authority to trust besides the system's. */
  readonly ca?: string | Buffer;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

/** The credentials of the HTTP API; they may change while it is served. */
export interface Access {
  /** PEM; the API then speaks HTTPS only. */
  readonly tls?: TlsPair;
  /** Absent or empty: nobody needs a token. */
  readonly tokens?: readonly Token[];
}

/** A node that runs in this process. */
export interface StartedNode extends Broadcast {
  readonly id: string;
  /** As it is now: discovery renames a node whose name is taken. */
  readonly name: string;
  /** Of the HTTP API; absent without one. */
  readonly url?: string;
  /** Addresses for `--peer` of another node. */
  readonly peerAddresses: readonly string[];
  /**
   * Trusts these public keys from now on, and no others: what others signed leaves this node's view (`expired` events),
   * what was refused until now is fetched from peers. Needs no restart.
   * @throws invalidOption when one is no key, or its topics are none; nothing changes then
   */
  trust(keys: readonly Trusted[]): void;
  /**
   * Takes another certificate and other tokens for the HTTP API from now on; connections that are open stay.
   * @throws invalidOption when one of them cannot be used; nothing changes then
   */
  renew(access: Access): void;
}
