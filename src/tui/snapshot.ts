import type { HubClientStatus, HubStatus } from "../hub/index.js";
import type { Item, NodeState, NodeStatus, Peer, PeerState } from "../node/broadcast.js";

/** The whole content of the dashboard at one instant. */
export interface Snapshot {
  /** Epoch ms. */
  readonly atMs: number;
  readonly nodes: readonly NodeRow[];
  readonly hubs: readonly HubRow[];
  /** Newest first; the last few hundred. */
  readonly items: readonly Item[];
  /** Items arrive too fast for the cluster's view: only the view of items shows them. */
  readonly isTooFast?: boolean;
  /** The list of items is still being read. */
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
  /** URL of the polled API; absent for a node that is known from its peers alone, at `address`. */
  readonly url?: string;
  readonly address?: string;
  readonly state: NodeState | PeerState | Fault;
  /** When a peer noticed that state, epoch ms. */
  readonly sinceMs?: number;
  /** The reason for the state, if there is one. */
  readonly detail?: string;
  readonly agreement: Peer["agreement"];
  readonly items?: number;
  readonly hidden?: number;
  readonly fingerprint?: string;
  readonly fingerprintSinceMs?: number;
  readonly peers?: number;
  readonly version?: string;
  readonly uptimeMs?: number;
  /** To the peer that reports it. */
  readonly roundTripMs?: number;
  /** Retention, and engine. */
  readonly retentionMs?: number;
  readonly engine?: string;
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

/** Whether it is up, as far as any node knows. */
export function isPresent({ state }: NodeRow): boolean {
  return !["left", "lost", "unreached", "unreachable", "notHubcast", "unauthorized"].includes(state);
}

/** Whether its API is polled, and answers. */
export function answers(row: NodeRow): boolean {
  return row.url !== undefined && isPresent(row);
}

export interface HubRow {
  readonly key: string;
  readonly name: string;
  readonly address: string;
  /** `unmonitored`: it was not started with --monitor-port, or on another machine. */
  readonly state: "ready" | "degraded" | "stopping" | "unmonitored" | Fault;
  /** Why it is degraded. */
  readonly detail?: string;
  readonly clients?: number;
  readonly deliveries?: Rate;
  readonly bytesOut?: Rate;
  readonly bytesIn?: Rate;
  readonly memoryBytes?: number;
  readonly memoryMaxBytes?: number;
  /** Queued for all clients together. */
  readonly outboxBytes?: number;
  /** Clients that the hub did not read from since the snapshot before. */
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

/** Rates of a node. */
export interface NodeRates {
  readonly posts: Rate;
  readonly gossipIn: Rate;
  readonly gossipOut: Rate;
}

export interface EventRow {
  readonly key: string;
  readonly atMs: number;
  readonly tone: "good" | "bad" | "plain";
  readonly text: string;
}

/** A node whose API is polled. */
export interface AskedNode {
  readonly url: string;
  readonly name?: string | undefined;
  /** Named by the user: always shown. */
  readonly isNamed: boolean;
  readonly status: NodeStatus | undefined;
  readonly peers: readonly Peer[];
  readonly fault: { readonly kind: Fault; readonly message: string } | undefined;
  readonly rates: NodeRates;
}

/**
 * One row for each node: polled nodes with all their figures, the others as their peers describe them. A node that does
 * not answer and was not named by the user is shown as its peers describe it.
 */
export function nodeRowsOf(asked: readonly AskedNode[]): readonly NodeRow[] {
  const rows = new Map<string, NodeRow>();
  const answering = asked.filter(({ status, fault }) => status && !fault);
  for (const node of answering) {
    const row = askedRow(node, node.status!, answering);
    if (!rows.has(row.key)) rows.set(row.key, row);
  }
  for (const { status, peers } of answering) {
    for (const peer of peers) {
      const known = rows.get(peer.id);
      if (!known) rows.set(peer.id, peerRow(peer, status!.cluster));
      else rows.set(peer.id, { ...known, ...told(known, peer) });
    }
  }
  for (const node of asked) {
    if (!node.fault) continue;
    const key = node.status?.id ?? node.url;
    if (node.isNamed || (node.status && !rows.has(key))) {
      rows.set(key, { ...rows.get(key), ...silentRow(node, key) });
    }
  }
  return [...rows.values()];
}

/** A statement about all nodes together. */
export interface Verdict {
  readonly tone: "good" | "warn" | "bad";
  readonly text: string;
}

/** Whether all nodes hold the same set, by the rules of `broadcast check`: a node that was lost may differ. */
export function verdictsOf(nodes: readonly NodeRow[]): readonly Verdict[] {
  const present = nodes.filter(isPresent);
  const inCluster = (cluster: string) => present.filter((row) => row.cluster === cluster).length;
  const compared = present.filter(({ cluster }) => inCluster(cluster) > 1);
  const held = (agreement: NodeRow["agreement"]) =>
    compared.filter((row) => row.agreement === agreement).length;
  const lost = nodes.filter(({ state }) => state === "lost").length;
  const silent = nodes.filter(
    (row) => !isPresent(row) && row.state !== "lost" && row.state !== "left" && row.state !== "unreached",
  ).length;
  const unreached = nodes.filter(({ state }) => state === "unreached").length;
  const degraded = present.filter(({ state }) => state === "degraded").length;
  const unknown = Math.max(held("unknown"), compared.filter(({ state }) => state === "starting").length);
  const verdicts: readonly (readonly [count: number, tone: Verdict["tone"], text: string])[] = [
    [held("differs"), "bad", `≠ ${held("differs")} ${held("differs") === 1 ? "differs" : "differ"}`],
    [lost, "bad", `! ${lost} lost`],
    [silent, "bad", `! ${silent} silent`],
    [degraded, "bad", `! ${degraded} degraded`],
    [held("differsByPolicy"), "warn", `~ ${held("differsByPolicy")} by policy`],
    [unknown, "warn", `? ${unknown} unknown`],
  ];
  const said = verdicts.filter(([count]) => count > 0).map(([, tone, text]) => ({ tone, text }));
  const more: Verdict[] = unreached > 0 ? [{ tone: "warn", text: `? ${unreached} not reached` }] : [];
  if (said.length > 0 || present.length === 0) return [...said, ...more];
  return [compared.length > 0 ? { tone: "good", text: "= agree" } : { tone: "warn", text: "alone" }, ...more];
}

/** Adds a peer's description to the node's own figures, or to another peer's description. */
function told(known: NodeRow, peer: Peer): Partial<NodeRow> {
  // Two peers may disagree about a node: a peer that is still connected with it is right.
  const isBack = known.url === undefined && known.state !== "connected" && peer.state === "connected";
  return {
    ...(isBack && peerRow(peer, known.cluster)),
    ...(known.roundTripMs === undefined &&
      peer.roundTripMs !== undefined && { roundTripMs: peer.roundTripMs }),
    ...(known.agreement === "unknown" && { agreement: peer.agreement }),
  };
}

function askedRow(node: AskedNode, status: NodeStatus, answering: readonly AskedNode[]): NodeRow {
  return {
    key: status.id,
    name: status.name,
    cluster: status.cluster,
    url: node.url,
    state: status.state,
    ...(status.reasons.length > 0 && { detail: whyOf(status) }),
    agreement: agreementOf(node, answering),
    items: status.items,
    hidden: status.hidden,
    fingerprint: status.fingerprint,
    fingerprintSinceMs: status.fingerprintSinceMs,
    peers: status.peers,
    version: status.version,
    uptimeMs: status.uptimeMs,
    engine: status.engine,
    retentionMs: status.retentionMs,
    ...node.rates,
    syncRounds: status.sync.rounds,
    syncRoundsFailed: status.sync.roundsFailed,
    // An older version has no such field.
    ...(status.process && {
      rssBytes: status.process.rssBytes,
      eventLoopDelayMs: status.process.eventLoopDelayMs,
    }),
  };
}

/** `retentionDiffers: attic, roof; nodeFull` */
function whyOf({ reasons, details }: NodeStatus): string {
  return reasons
    .map((reason) => {
      const names = details.flatMap(({ code, peer }) => (code === reason && peer ? [peer.name] : []));
      return names.length > 0 ? `${reason}: ${names.join(", ")}` : reason;
    })
    .join("; ");
}

/** A node agrees when it finds that all its connected peers do; the worst verdict counts. */
function agreementOf({ peers, status }: AskedNode, answering: readonly AskedNode[]): Peer["agreement"] {
  const verdicts = peers.filter(({ state }) => state === "connected").map(({ agreement }) => agreement);
  // Two nodes that differ are both marked; among three or more, the majority shows the odd one.
  const others = answering.flatMap((other) => other.peers.filter(({ id }) => id === status!.id));
  const seen = others.filter(({ state }) => state === "connected").map(({ agreement }) => agreement);
  const counted = seen.length > 0 ? seen : verdicts;
  for (const verdict of ["agrees", "differs", "differsByPolicy"] as const) {
    if (counted.includes(verdict)) return verdict;
  }
  return "unknown";
}

function peerRow(peer: Peer, cluster: string): NodeRow {
  return {
    key: peer.id,
    name: peer.name,
    cluster,
    address: peer.address,
    state: peer.state,
    sinceMs: peer.sinceMs,
    ...((peer.reason ?? peer.reasons) !== undefined && { detail: peer.reason ?? peer.reasons!.join(", ") }),
    agreement: peer.agreement,
    ...(peer.summary && {
      items: peer.summary.items,
      fingerprint: peer.summary.fingerprint,
      fingerprintSinceMs: peer.summary.fingerprintSinceMs,
    }),
    ...(peer.roundTripMs !== undefined && { roundTripMs: peer.roundTripMs }),
  };
}

function silentRow({ url, name, status, fault }: AskedNode, key: string): NodeRow {
  return {
    key,
    name: status?.name ?? name ?? url.replace(/^https?:\/\//, ""),
    cluster: status?.cluster ?? "-",
    url,
    state: fault!.kind,
    detail: fault!.message,
    agreement: "unknown",
  };
}

/** A hub whose monitoring is polled. */
export interface AskedHub {
  readonly key: string;
  readonly name: string;
  readonly address: string;
  readonly isMonitored: boolean;
  readonly status: HubStatus | undefined;
  readonly fault: Fault | undefined;
  readonly rates: { readonly deliveries: Rate; readonly bytesOut: Rate; readonly bytesIn: Rate };
  readonly outboxBytes: number | undefined;
  readonly paused: number | undefined;
  readonly slowest: HubRow["slowest"];
}

export function hubRowOf(hub: AskedHub): HubRow {
  const { key, name, address, status, fault, outboxBytes, paused, slowest } = hub;
  if (!hub.isMonitored) return { key, name, address, state: "unmonitored", slowest: [] };
  if (!status || fault) return { key, name, address, state: fault ?? "unreachable", slowest: [] };
  const { closed } = status;
  return {
    key,
    name: status.name,
    address,
    state: status.state,
    ...(status.reasons?.length > 0 && { detail: status.reasons.join(", ") }),
    clients: status.clients,
    ...hub.rates,
    memoryBytes: status.memoryBytes,
    memoryMaxBytes: status.memoryMaxBytes,
    ...(outboxBytes !== undefined && { outboxBytes }),
    ...(paused !== undefined && { paused }),
    evicted: (closed.slowConsumer ?? 0) + (closed.memoryBudget ?? 0),
    closed: closed as Readonly<Record<string, number>>,
    slowest,
  };
}
