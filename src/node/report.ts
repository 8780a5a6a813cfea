import { VERSION } from "../core/version.js";
import type { NodeState, NodeStatus, Peer, ProcessFigures } from "./broadcast.js";
import type { EngineChoice } from "./engine-options.js";
import { isClockApart, type NodeParts, reasonsOf, reasonsOfMember } from "./reasons.js";
import type { Clock } from "./replica/clock.js";
import { fingerprintSince } from "./replica/holdings.js";
import type { HoldingsSummary } from "./replica/member.js";
import type { Stranger } from "./replica/membership.js";
import type { Replica } from "./replica/replica.js";
import { type Member, withoutPredecessors } from "./replica/roster.js";
import type { ReplicaShell } from "./replica-shell.js";

/** What `status` tells besides what the replica's shell knows. */
interface StatusRest {
  /** Epoch ms; absent: the start that the node chooses. */
  readonly sinceMs: number | undefined;
  readonly isStopping: boolean;
  readonly certificateExpiresAtMs: number | undefined;
  readonly process: ProcessFigures;
}

export function statusOf(shell: ReplicaShell, rest: StatusRest): NodeStatus {
  const { replica, cluster, options } = shell;
  const { holdings, figures } = replica;
  const nowMs = shell.machineMs();
  const { certificateExpiresAtMs } = rest;
  const fingerprintSinceMs = rest.sinceMs ?? fingerprintSince(replica.clock.ms(nowMs), options.retentionMs);
  const details = reasonsOf(shell, nowMs);
  const reasons = [...new Set(details.map(({ code }) => code))];
  return {
    name: shell.name,
    id: cluster.id,
    cluster: options.cluster,
    version: VERSION,
    uptimeMs: nowMs - shell.startedAtMs,
    state: stateOf(shell, rest, reasons),
    reasons,
    details,
    items: holdings.view.size,
    hidden: holdings.view.hidden,
    bytes: holdings.bytes,
    ahead: replica.aheadCount(nowMs),
    leftOut: shell.committer?.leftOut ?? 0,
    posted: figures.posted,
    fingerprint: holdings.fingerprint(fingerprintSinceMs).fingerprint,
    fingerprintSinceMs,
    retentionMs: options.retentionMs,
    peers: replica.roster.alive().length,
    links: replica.links.count,
    members: replica.roster.total,
    membersEstimated: replica.roster.isSample,
    engine: cluster.engine,
    ...(certificateExpiresAtMs !== undefined && { certificateExpiresAtMs }),
    peerAddresses: cluster.addresses,
    sync: {
      rounds: figures.rounds,
      roundsFailed: figures.roundsFailed,
      itemsReceived: figures.itemsReceivedBySync,
      itemsSent: figures.itemsSentBySync,
      bytesReceived: shell.frameFigures.bytesReceived,
      bytesSent: shell.frameFigures.bytesSent,
    },
    gossip: shell.gossipFigures(),
    process: rest.process,
  };
}

function stateOf(shell: ReplicaShell, { isStopping }: StatusRest, reasons: NodeStatus["reasons"]): NodeState {
  if (isStopping) return "stopping";
  if (reasons.length > 0) return "degraded";
  return shell.isStarting ? "starting" : "ready";
}

/** The other members, those that left or were lost, and those that were not reached. */
export function peersOf(shell: ReplicaShell): readonly Peer[] {
  const nowMs = shell.machineMs();
  const { roster, membership, clock } = shell.replica;
  return [
    ...withoutPredecessors(roster.all(), membership).map((member) => peerOf(member, shell, nowMs)),
    ...membership.strangers().map((stranger) => unreachedPeer(stranger, clock)),
  ];
}

/** The row of a node or address that cannot be met. */
export function unreachedPeer(stranger: Stranger, clock: Clock): Peer {
  const { id, name, address, code, reason } = stranger;
  const sinceMs = clock.ms(stranger.sinceMs);
  return {
    ...{ id, name, address, state: "unreached", linked: false, sinceMs, reason, agreement: "unknown" },
    ...(code && { reasons: [code] }),
  };
}

/** The row of another member. @param nowMs the time of the machine, epoch ms */
export function peerOf(
  member: Member,
  node: Pick<NodeParts, "replica" | "options" | "policy"> & {
    readonly options: { readonly engine: EngineChoice };
  },
  nowMs: number,
): Peer {
  const { replica } = node;
  const { record, summary, state } = member;
  const reasons = reasonsOfMember(member, node, nowMs);
  const link = replica.links.with(record.id);
  const agreement = agreementWith(member, replica);
  return {
    id: record.id,
    name: record.name,
    address: link?.address ?? record.addresses[0] ?? brokerAddress(node.options.engine),
    state: state === "alive" ? "connected" : state,
    linked: link !== undefined,
    sinceMs: replica.clock.ms(member.sinceMs),
    ...(state !== "alive" && { reason: member.reason }),
    ...(link?.roundTripMs !== undefined && { roundTripMs: link.roundTripMs }),
    summary: {
      items: summary.count,
      fingerprint: summary.fingerprint,
      fingerprintSinceMs: summary.sinceMs,
      ageMs: Math.max(0, nowMs - member.summaryAtMs),
    },
    agreement,
    ...(reasons.length > 0 && { reasons }),
    ...((agreement === "differs" || agreement === "differsByPolicy") && {
      difference: {
        sinceMs: replica.clock.ms(link && link.differsSinceMs > 0 ? link.differsSinceMs : member.summaryAtMs),
        itemsHere: replica.holdings.fingerprint(summary.sinceMs).count,
      },
    }),
  };
}

/** Members behind a broker have no addresses of their own. */
function brokerAddress(engine: EngineChoice): string {
  return engine.name === "nats" ? `nats://${engine.servers.join(",")}` : "";
}

/**
 * Compares within the bounds that the member named: its start, so that two nodes on either side of a minute compare
 * alike, and up to what gossip has settled, so that an item on its way is no difference.
 */
function agreementWith({ summary, record, state }: Member, replica: Replica): Peer["agreement"] {
  if (state !== "alive" || record.retentionMs !== replica.options.retentionMs) return "unknown";
  // Its items expire at other instants.
  if (isClockApart(record.id, replica)) return "unknown";
  // Nothing of its set can be compared, so nothing is known.
  if (summary.settledMs <= summary.sinceMs) return "unknown";
  if (agrees(summary, replica)) return "agrees";
  return record.policy === replica.options.policy.text ? "differs" : "differsByPolicy";
}

function agrees({ sinceMs, settledMs, settledFingerprint }: HoldingsSummary, { holdings }: Replica): boolean {
  return holdings.fingerprint(sinceMs, settledMs).fingerprint === settledFingerprint;
}
