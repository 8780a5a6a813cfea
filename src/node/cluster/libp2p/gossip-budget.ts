import { LIMITS } from "../../../core/limits.js";

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

/** What one peer has left, and when that was reckoned. */
interface Share {
  bytes: number;
  atMs: number;
  /** Since when it has been at its limit; absent when it is not. */
  pressingSinceMs?: number | undefined;
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
  /** Used last stands last. */
  readonly #byPeer = new Map<string, Share>();

  constructor(private readonly rate: GossipRate = GOSSIP_RATE) {}

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
    const share = this.#share(peerId, nowMs);
    if (share.bytes > burstBytes / 2) share.pressingSinceMs = undefined;
    share.bytes -= bytes;
    if (share.bytes > 0) return { breakMs: 0, presses: false };
    share.pressingSinceMs ??= nowMs;
    const presses = nowMs - share.pressingSinceMs >= patienceMs;
    if (presses) share.pressingSinceMs = nowMs;
    return { breakMs: Math.ceil((BREAK_SECONDS - share.bytes / bytesPerSecond) * 1_000), presses };
  }

  #share(peerId: string, nowMs: number): Share {
    const { bytesPerSecond, burstBytes } = this.rate;
    const share = this.#byPeer.get(peerId) ?? { bytes: burstBytes, atMs: nowMs };
    this.#byPeer.delete(peerId);
    this.#byPeer.set(peerId, share);
    if (this.#byPeer.size > SHARES_MAX) this.#byPeer.delete(this.#byPeer.keys().next().value!);
    const gained = (Math.max(0, nowMs - share.atMs) * bytesPerSecond) / 1_000;
    share.bytes = Math.min(burstBytes, share.bytes + gained);
    share.atMs = nowMs;
    return share;
  }
}
