import {
  createTopicScoreParams,
  type PeerScoreParams,
  type PeerScoreThresholds,
} from "@libp2p/gossipsub/score";

/**
 * How GossipSub rates a peer. Below 0 it is not in the mesh (messages are not forwarded to it, though their
 * author still sends them), below -10 and -50 it is told less, below -80 it is not listened to: it is cut off, and
 * not let in until it has risen again.
 *
 * Only what cannot happen to an honest peer counts:
 * - Rejected messages (undecodable, or an item that fails its own signature). The count is squared: one costs 4
 *   points, three 36, five 100. It halves in five minutes.
 * - What the node itself punishes (`disconnect` with `punish`, and gossip without end), through the application's score.
 *
 * What is switched off, and why:
 * - IP colocation: by default an eleventh peer behind one address starts to be punished for it, and the mesh falls
 *   apart. It guards public networks, where identities are free, against a flood of them. Ours are bounded by
 *   peersMax, proven by noise, and on one host, behind one NAT or in one Docker bridge they rightly share an address.
 * - Delivery quotas and time in the mesh: a cluster may be silent for hours, and silence is no fault.
 */
export function scoreParams(topic: string, punishment: (peerId: string) => number): Partial<PeerScoreParams> {
  return {
    IPColocationFactorWeight: 0,
    appSpecificWeight: 1,
    appSpecificScore: (peerId) => -punishment(peerId),
    // Grafting again before a prune has been forgotten: six times are free, since restarts look the same.
    behaviourPenaltyThreshold: 6,
    // Long enough that coming back does not wash a peer clean; one entry for each identity seen in that time.
    retainScore: 10 * 60_000,
    topics: {
      [topic]: createTopicScoreParams({
        topicWeight: 1,
        timeInMeshWeight: 0,
        firstMessageDeliveriesWeight: 0,
        meshMessageDeliveriesWeight: 0,
        meshFailurePenaltyWeight: 0,
        invalidMessageDeliveriesWeight: -4,
        invalidMessageDeliveriesDecay: 0.5 ** (1 / 300),
      }),
    },
  };
}

export const SCORE_THRESHOLDS = {
  gossipThreshold: -10,
  publishThreshold: -50,
  graylistThreshold: -80,
} as const satisfies Partial<PeerScoreThresholds>;
