import type { Peer } from "./broadcast.js";
import type { PeerRecord } from "./protocol/peer-table.js";
import type { Replica } from "./protocol/replica.js";

/** What a node tells of a peer. @param nowMs epoch ms */
export function peerOf(record: PeerRecord, replica: Replica, nowMs: number): Peer {
  const { summary } = record;
  const agreement = agreementWith(record, replica);
  return {
    id: record.id,
    name: record.hello?.name ?? "",
    address: record.address,
    state: record.state,
    sinceMs: record.sinceMs,
    ...(record.state !== "connected" && { reason: record.reason ?? "" }),
    ...(record.roundTripMs !== undefined && { roundTripMs: record.roundTripMs }),
    ...(summary && {
      summary: {
        items: summary.count,
        fingerprint: summary.fingerprint,
        fingerprintSinceMs: summary.sinceMs,
        ageMs: nowMs - record.summaryAtMs,
      },
    }),
    agreement,
    ...((agreement === "differs" || agreement === "differsByPolicy") && {
      difference: {
        sinceMs: record.differsSinceMs ?? nowMs,
        itemsHere: replica.holdings.fingerprint(summary!.sinceMs).count,
      },
    }),
  };
}

/**
 * Compares within the bounds that the peer named: its start, so that two nodes on either side of a minute compare
 * alike, and up to what gossip has settled, so that an item on its way is no difference.
 */
function agreementWith({ summary, hello, state }: PeerRecord, replica: Replica): Peer["agreement"] {
  if (!summary || state !== "connected") return "unknown";
  const { sinceMs, settledMs, settledFingerprint } = summary;
  // Nothing of its set was compared, so nothing is known.
  if (settledMs <= sinceMs) return "unknown";
  if (replica.holdings.fingerprint(sinceMs, settledMs).fingerprint === settledFingerprint) return "agrees";
  return hello?.policy === replica.options.policy.text ? "differs" : "differsByPolicy";
}
