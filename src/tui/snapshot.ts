import type { HubClientStatus } from "../hub/index.js";
import type { Item, NodeState, Peer, PeerState } from "../node/broadcast.js";

/** Everything that the dashboard shows, at one instant. Drawing needs nothing else. */
export interface Snapshot {
  /** Epoch ms. */
  readonly atMs: number;
  readonly nodes: readonly NodeRow[];
  readonly hubs: readonly HubRow[];
  /** Newest first; the last few hundred. */
  readonly items: readonly Item[];
  /** A node is still being asked which items there are. */
  readonly isListing?: boolean;
  /** Newest first; the last few hundred. */
  readonly events: readonly EventRow[];
}

/** Why a server that is asked gives no figures. */
export type Fault = "unreachable" | "notHubcast" | "unauthorized";

export interface NodeRow {
  /** Id of the node; its URL while that is unknown. */
  readonly key: string;
  readonly name: string;
  readonly cluster: string;
  /** Of the API that is asked; absent for a node that only its peers tell of. */
  readonly url?: string;
  readonly state: NodeState | PeerState | Fault;
  /** Why the state is what it is, where there is more to say. */
  readonly detail?: string;
  readonly agreement: Peer["agreement"];
  readonly items?: number;
  readonly hidden?: number;
  readonly fingerprint?: string;
  readonly fingerprintSinceMs?: number;
  readonly peers?: number;
  readonly version?: string;
  readonly uptimeMs?: number;
  /** To the node that tells of it. */
  readonly roundTripMs?: number;
  /** Items posted to this node, and accepted. */
  readonly posts?: Rate;
  /** Items that came by gossip. */
  readonly gossipIn?: Rate;
  /** Gossip messages sent; one carries a batch. */
  readonly gossipOut?: Rate;
  readonly syncRounds?: number;
  readonly syncRoundsFailed?: number;
  readonly rssBytes?: number;
  readonly eventLoopDelayMs?: number;
}

export interface HubRow {
  readonly key: string;
  readonly name: string;
  readonly address: string;
  /** `unmonitored`: it was not started with --monitor-port, or on another machine. */
  readonly state: "ready" | "stopping" | "unmonitored" | Fault;
  readonly clients?: number;
  readonly deliveries?: Rate;
  readonly bytesOut?: Rate;
  readonly bytesIn?: Rate;
  readonly memoryBytes?: number;
  readonly memoryMaxBytes?: number;
  /** Queued for all clients together. */
  readonly outboxBytes?: number;
  /** Clients that the hub did not read from since the look before. */
  readonly paused?: number;
  /** Clients closed because they were slow or memory ran out. */
  readonly evicted?: number;
  readonly closed?: Readonly<Record<string, number>>;
  /** The slowest first. */
  readonly slowest: readonly HubClientStatus[];
}

/** A figure a second. */
export interface Rate {
  readonly perSecond: number;
  /** One value a second, oldest first. */
  readonly history: readonly number[];
}

export interface EventRow {
  readonly key: string;
  readonly atMs: number;
  readonly tone: "good" | "bad" | "plain";
  readonly text: string;
}
