import { monitorEventLoopDelay } from "node:perf_hooks";
import { VERSION } from "../core/version.js";
import type { GossipFigures, NodeState, NodeStatus, Peer, ProcessFigures } from "./broadcast.js";
import type { CompleteNodeOptions, EngineChoice } from "./options.js";
import { isClockApart, type NodeParts, reasonsOf, reasonsOfMember } from "./reasons.js";
import type { Stranger } from "./replica/candidates.js";
import type { Clock } from "./replica/clock.js";
import { fingerprintSince } from "./replica/holdings.js";
import type { HoldingsSummary } from "./replica/member.js";
import type { Replica } from "./replica/replica.js";
import { type Member, withoutPredecessors } from "./replica/roster.js";

/** The parts of a node that reports are made of: `ReplicaShell` has them. */
interface ReportedParts extends NodeParts {
  readonly options: CompleteNodeOptions;
  readonly startedAtMs: number;
  /** The time of the machine, epoch ms. */
  machineMs(): number;
  readonly isStarting: boolean;
  readonly frameFigures: { readonly bytesSent: number; readonly bytesReceived: number };
  gossipFigures(): GossipFigures;
}

/** The figures of `status` that the replica does not know. */
interface StatusRest {
  /** Epoch ms; absent: the start that the node chooses. */
  readonly sinceMs: number | undefined;
  readonly isStopping: boolean;
  readonly certificateExpiresAtMs: number | undefined;
  readonly process: ProcessFigures;
}

export function statusOf(node: ReportedParts, rest: StatusRest): NodeStatus {
  const { replica, cluster, options } = node;
  const { holdings, figures } = replica;
  const nowMs = node.machineMs();
  const { certificateExpiresAtMs } = rest;
  const fingerprintSinceMs = rest.sinceMs ?? fingerprintSince(replica.clock.ms(nowMs), options.retentionMs);
  const details = reasonsOf(node, nowMs);
  const reasons = [...new Set(details.map(({ code }) => code))];
  return {
    name: node.name,
    id: cluster.id,
    cluster: options.cluster,
    version: VERSION,
    uptimeMs: nowMs - node.startedAtMs,
    state: stateOf(node, rest, reasons),
    reasons,
    details,
    items: holdings.view.size,
    hidden: holdings.view.hidden,
    bytes: holdings.bytes,
    ahead: replica.aheadCount(nowMs),
    leftOut: node.committer?.leftOut ?? 0,
    posted: figures.posted,
    notTaken: figures.refused,
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
      roundsBySketch: figures.roundsBySketch,
      sketchesFailed: figures.sketchesFailed,
      ...(figures.lastRound && { lastRound: figures.lastRound }),
      itemsReceived: figures.itemsReceivedBySync,
      itemsSent: figures.itemsSentBySync,
      bytesReceived: node.frameFigures.bytesReceived,
      bytesSent: node.frameFigures.bytesSent,
    },
    gossip: node.gossipFigures(),
    process: rest.process,
  };
}

function stateOf(node: ReportedParts, { isStopping }: StatusRest, reasons: NodeStatus["reasons"]): NodeState {
  if (isStopping) return "stopping";
  if (reasons.length > 0) return "degraded";
  return node.isStarting ? "starting" : "ready";
}

/**
 * The other members, those that left or were lost, and those that were not reached.
 * @param silent ids of members that were asked what they hold now, and did not answer
 */
export function peersOf(node: ReportedParts, silent: readonly string[] = []): readonly Peer[] {
  const nowMs = node.machineMs();
  const { roster, membership, clock } = node.replica;
  return [
    ...withoutPredecessors(roster.all(), membership).map((member) =>
      peerOf(member, node, nowMs, silent.includes(member.record.id)),
    ),
    ...membership.unreached().map((stranger) => unreachedPeer(stranger, clock)),
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

/** The row of another member. @param nowMs the time of the machine, epoch ms @param isSilent what it holds now is unknown */
export function peerOf(
  member: Member,
  node: Pick<NodeParts, "replica" | "options" | "policy"> & {
    readonly options: { readonly engine: EngineChoice };
  },
  nowMs: number,
  isSilent = false,
): Peer {
  const { replica } = node;
  const { record, summary, state } = member;
  const reasons = reasonsOfMember(member, node, nowMs);
  const link = replica.links.with(record.id);
  const agreement = isSilent ? "unknown" : agreementWith(member, replica);
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

/** Wakes the process 50 times a second, which costs 0.1 % of a core. */
const RESOLUTION_MS = 20;
/** Delays are looked at in windows of this length; the figure is that of the window before. */
const WINDOW_MS = 2_000;

/** Measures the process from the first question on: a node that nobody watches does not pay for it. */
export class Vitals {
  #histogram: ReturnType<typeof monitorEventLoopDelay> | undefined;
  #windowAtMs = 0;
  #delayMs: number | undefined;

  figures(): ProcessFigures {
    return { rssBytes: process.memoryUsage.rss(), eventLoopDelayMs: this.#eventLoopDelayMs() };
  }

  close(): void {
    this.#histogram?.disable();
  }

  #eventLoopDelayMs(): number {
    if (!this.#histogram) {
      this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#histogram.enable();
      this.#windowAtMs = performance.now();
    }
    const nowMs = performance.now();
    if (this.#delayMs === undefined || nowMs - this.#windowAtMs >= WINDOW_MS) {
      // The histogram records the time between two wake-ups.
      const lateMs = this.#histogram.percentile(99) / 1e6 - RESOLUTION_MS;
      this.#delayMs = this.#histogram.count === 0 ? undefined : Math.max(0, Math.round(lateMs * 10) / 10);
      this.#histogram.reset();
      this.#windowAtMs = nowMs;
    }
    return this.#delayMs ?? 0;
  }
}
