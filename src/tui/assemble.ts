import type { HubStatus } from "../hub/index.js";
import type { NodeStatus, Peer } from "../node/broadcast.js";
import type { Fault, HubRow, NodeRow, Rate } from "./snapshot.js";

/** What is known of a node that is asked. */
export interface AskedNode {
  readonly url: string;
  readonly name?: string | undefined;
  /** Named by the user, so shown whatever happens. */
  readonly isNamed: boolean;
  readonly status: NodeStatus | undefined;
  readonly peers: readonly Peer[];
  readonly fault: { readonly kind: Fault; readonly message: string } | undefined;
  readonly rates: { readonly posts: Rate; readonly gossipIn: Rate; readonly gossipOut: Rate };
}

/**
 * One row for each node: the asked ones with all their figures, the others as their peers tell of them. Those that
 * nobody named and that do not answer are left to their peers' words.
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

/** What a peer says adds to what the node says of itself, or to what another peer said before. */
function told(known: NodeRow, peer: Peer): Partial<NodeRow> {
  // Two peers may see one node differently: the one that still hears it is right.
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
    ...(status.reasons.length > 0 && { detail: status.reasons.join(", ") }),
    agreement: agreementOf(node, answering),
    items: status.items,
    hidden: status.hidden,
    fingerprint: status.fingerprint,
    fingerprintSinceMs: status.fingerprintSinceMs,
    peers: status.peers,
    version: status.version,
    uptimeMs: status.uptimeMs,
    ...node.rates,
    syncRounds: status.sync.rounds,
    syncRoundsFailed: status.sync.roundsFailed,
    // A node of an older version has none.
    ...(status.process && {
      rssBytes: status.process.rssBytes,
      eventLoopDelayMs: status.process.eventLoopDelayMs,
    }),
  };
}

/** A node agrees when it finds that all its connected peers do; the worst verdict counts. */
function agreementOf({ peers, status }: AskedNode, answering: readonly AskedNode[]): Peer["agreement"] {
  const verdicts = peers.filter(({ state }) => state === "connected").map(({ agreement }) => agreement);
  // Two that differ would both be marked; with three and more the others say who is the odd one.
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
    state: peer.state,
    ...(peer.reason !== undefined && { detail: peer.reason }),
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

/** What is known of a hub. */
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
