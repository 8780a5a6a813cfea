import type { NodeStatus, Peer } from "../node/broadcast.js";

/** What one node can say about all: who holds the same set as it does, and who does not. */
export interface Agreement {
  /** Every other node is known to hold the same set. A node without peers that is done starting agrees with itself. */
  readonly agreed: boolean;
  /** The node that was asked. */
  readonly id: string;
  readonly name: string;
  readonly state: NodeStatus["state"];
  /** Items it holds, the hidden ones too. */
  readonly items: number;
  readonly peers: readonly Comparison[];
}

/** How a peer's set compares with that of the node that was asked. */
export interface Comparison {
  readonly id: string;
  readonly name: string;
  /** `lost`: it fell silent, and nobody knows what it holds now. */
  readonly verdict: Peer["agreement"] | "lost";
  /** Of `lost`: when and why; of those that differ: since when at least, as the asked node saw it. Epoch ms. */
  readonly sinceMs?: number;
  readonly reason?: string;
  /** Of those that differ: items that the peer holds, and the asked node, in the same window of time. */
  readonly items?: number;
  readonly itemsHere?: number;
  /** Of those that differ: names of peers that told the very same fingerprint, so that the asked node is the odd one. */
  readonly sameAs?: readonly string[];
}

/**
 * Compares a node with its peers, as far as it knows. A peer that said goodbye is no part of the cluster any more; one
 * that was lost still is, unless a node of its name has come back.
 */
export function agreementOf(status: NodeStatus, peers: readonly Peer[]): Agreement {
  const present = new Set([status.name, ...peers.filter(isConnected).map(({ name }) => name)]);
  const counted = peers.filter(
    (peer) => isConnected(peer) || (peer.state === "lost" && !present.has(peer.name)),
  );
  const comparisons = counted.map((peer) => comparisonOf(peer, counted));
  return {
    agreed: status.state !== "starting" && comparisons.every(({ verdict }) => verdict === "agrees"),
    id: status.id,
    name: status.name,
    state: status.state,
    items: status.items + status.hidden,
    peers: comparisons,
  };
}

function comparisonOf(peer: Peer, all: readonly Peer[]): Comparison {
  const { id, name, agreement, difference, summary, reason } = peer;
  if (!isConnected(peer)) {
    return { id, name, verdict: "lost", sinceMs: peer.sinceMs, ...(reason !== undefined && { reason }) };
  }
  if (agreement !== "differs" && agreement !== "differsByPolicy") return { id, name, verdict: agreement };
  const sameAs = all
    .filter((other) => other.id !== id && saidTheSame(peer, other))
    .map((other) => other.name);
  return {
    id,
    name,
    verdict: agreement,
    ...(summary && { items: summary.items }),
    ...(difference && { itemsHere: difference.itemsHere, sinceMs: difference.sinceMs }),
    ...(sameAs.length > 0 && { sameAs }),
  };
}

function isConnected({ state }: Peer): boolean {
  return state === "connected";
}

function saidTheSame({ summary: one }: Peer, { summary: other }: Peer): boolean {
  return (
    one !== undefined &&
    one.fingerprint === other?.fingerprint &&
    one.fingerprintSinceMs === other.fingerprintSinceMs
  );
}
