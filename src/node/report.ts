import type { Peer } from "./broadcast.js";
import type { EngineChoice } from "./engine-options.js";
import { isClockApart, type NodeParts, reasonsOfMember } from "./reasons.js";
import type { Clock } from "./replica/clock.js";
import type { HoldingsSummary } from "./replica/member.js";
import type { Stranger } from "./replica/membership.js";
import type { Replica } from "./replica/replica.js";
import type { Member } from "./replica/roster.js";

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
