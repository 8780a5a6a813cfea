import { hash } from "node:crypto";
import { type GossipsubOpts, StrictNoSign } from "@libp2p/gossipsub";
import { LIMITS } from "../../../core/limits.js";
import { PendingMessages } from "./pending.js";
import { SCORE_THRESHOLDS, scoreParams } from "./score.js";

/** Room in one RPC beside its message: control messages and subscriptions. */
const RPC_OVERHEAD_BYTES_MAX = 65_536;

/** How GossipSub is set up for one topic. @param punishment points that the node itself holds against a peer */
export function gossipSettings(
  topic: string,
  punishment: (peerId: string) => number,
): Partial<GossipsubOpts> {
  return {
    // Peers are authenticated by noise, items by their own signature: a third would only cost.
    globalSignaturePolicy: StrictNoSign,
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // The author sends to all its peers, so most nodes are one hop away; batchPublish encodes once for all.
    floodPublish: true,
    batchPublish: true,
    fallbackToFloodsub: false,
    allowedTopics: [topic],
    asyncValidation: true,
    msgIdFn: ({ data }) => hash("sha256", data, "buffer").subarray(0, 16),
    msgIdToStrFn: (id) => Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("latin1"),
    // A duplicate that comes later than that is judged once more, and ignored: the replica holds its items.
    seenTTL: 30_000,
    messageCache: new PendingMessages() as unknown as GossipsubOpts["messageCache"],
    // No lists of recent messages (IHAVE): what a peer missed it gets by reconciliation.
    Dlazy: 0,
    gossipFactor: 0,
    // "I have it already": worth its 60 bytes for messages from here on, and a batch a millisecond is normal.
    idontwantMinDataSize: 4_096,
    idontwantMaxMessages: 4_096,
    tagMeshPeers: false,
    maxInboundDataLength: LIMITS.gossipBytesMax + RPC_OVERHEAD_BYTES_MAX,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: 1_024,
      maxIhaveMessageIDs: 1_024,
      maxIwantMessageIDs: 1_024,
      maxIdontwantMessageIDs: 1_024,
      maxControlMessages: 1_024,
      maxPeerInfos: 16,
    },
    maxTopicBytesPerPeer: 4_096,
    scoreParams: scoreParams(topic, punishment),
    scoreThresholds: SCORE_THRESHOLDS,
  };
}
