import { LIMITS } from "../../../core/limits.js";
import { TokenBuckets } from "../../../core/token-buckets.js";

export interface GossipRate {
  /** What one peer may gossip in the long run... */
  readonly bytesPerSecond: number;
  /** ... and at once, when it was quiet before. */
  readonly burstBytes: number;
  /** A peer that had nothing left for so long without a break is punished, and again after as long. */
  readonly patienceMs: number;
}

export const GOSSIP_RATE: GossipRate = {
  bytesPerSecond: LIMITS.gossipBytesPerSecond,
  burstBytes: LIMITS.gossipBurstBytes,
  patienceMs: LIMITS.gossipPatienceMs,
};

interface Notes {
  /** Since when a peer has been at its limit; absent when it is not. */
  pressingSinceMs: number | undefined;
}

/** Peers whose share is remembered. One that has not gossiped for a while has its whole share anyway. */
const SHARES_MAX = 1_024;
/** Whoever has used up its share waits until it has so much of a second's worth: a few long breaks, not many short ones. */
const BREAK_SECONDS = 0.1;

/**
 * How much each peer may gossip: bytes as they come off its connection, before anything is decoded. It goes by peer, not
 * by connection: coming back gives no new share.
 */
export class GossipBudget {
  readonly #byPeer: TokenBuckets<Notes>;

  constructor(private readonly rate: GossipRate = GOSSIP_RATE) {
    const { bytesPerSecond, burstBytes } = rate;
    this.#byPeer = new TokenBuckets({ perSecond: bytesPerSecond, burst: burstBytes, namesMax: SHARES_MAX });
  }

  /**
   * Counts what came from a peer.
   * @returns ms for which nothing more may be read from it, and whether it has pressed for longer than is patient
   */
  take(
    peerId: string,
    bytes: number,
    nowMs: number,
  ): { readonly breakMs: number; readonly presses: boolean } {
    const { bytesPerSecond, burstBytes, patienceMs } = this.rate;
    const share = this.#byPeer.of(peerId, nowMs);
    if (share.tokens > burstBytes / 2) share.pressingSinceMs = undefined;
    share.tokens -= bytes;
    if (share.tokens > 0) return { breakMs: 0, presses: false };
    share.pressingSinceMs ??= nowMs;
    const presses = nowMs - share.pressingSinceMs >= patienceMs;
    if (presses) share.pressingSinceMs = nowMs;
    return { breakMs: Math.ceil((BREAK_SECONDS - share.tokens / bytesPerSecond) * 1_000), presses };
  }
}
