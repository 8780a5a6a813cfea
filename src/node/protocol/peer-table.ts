import { LIMITS } from "../../core/limits.js";
import type { HelloFrame, SummaryFrame } from "./frames.js";

/** What a replica knows of one peer. */
export interface PeerRecord {
  readonly id: string;
  address: string;
  state: "connected" | "left" | "lost";
  sinceMs: number;
  /** Why it is not connected. */
  reason?: string;
  /** What it said of itself; absent until its hello arrived, and nothing else is said or heard before that. */
  hello?: HelloFrame;
  summary?: SummaryFrame;
  summaryAtMs: number;
  /** Since its summaries tell of another set than ours; absent while they agree. */
  differsSinceMs?: number;
  heardAtMs: number;
  pingedAtMs: number;
  roundTripMs?: number;
  /** Its clock minus ours, ms. */
  clockOffsetMs?: number;
  /** It said goodbye: when the stream ends, it left. */
  leaving: boolean;
  /** Our hello said that we were starting. */
  greetedStarting: boolean;
  /** When it was last given items, epoch ms. */
  givenAtMs: number;
}

/** The peers a replica is or was connected to, and the signs of life between them. */
export class PeerTable {
  readonly #peers = new Map<string, PeerRecord>();
  #wokeAtMs = 0;

  get(id: string): PeerRecord | undefined {
    return this.#peers.get(id);
  }

  all(): IterableIterator<PeerRecord> {
    return this.#peers.values();
  }

  /** Those connected whose hello has arrived. */
  greeted(): PeerRecord[] {
    return [...this.#peers.values()].filter((peer) => peer.state === "connected" && peer.hello);
  }

  up(id: string, address: string, nowMs: number): PeerRecord {
    const peer: PeerRecord = {
      id,
      address,
      state: "connected",
      sinceMs: nowMs,
      summaryAtMs: 0,
      heardAtMs: nowMs,
      pingedAtMs: nowMs,
      leaving: false,
      greetedStarting: false,
      givenAtMs: 0,
    };
    this.#peers.set(id, peer);
    return peer;
  }

  down(id: string, reason: string, nowMs: number): PeerRecord | undefined {
    const peer = this.#peers.get(id);
    if (peer?.state !== "connected") return undefined;
    peer.state = peer.leaving ? "left" : "lost";
    peer.reason = peer.leaving ? "said goodbye" : reason;
    peer.sinceMs = nowMs;
    return peer;
  }

  /** Forgets those gone for long, and the longest gone beyond the bound. */
  prune(nowMs: number): void {
    const departed = [...this.#peers.values()]
      .filter(({ state }) => state !== "connected")
      .sort((a, b) => b.sinceMs - a.sinceMs);
    departed.forEach((peer, index) => {
      if (index >= LIMITS.knownPeersMax || nowMs - peer.sinceMs > LIMITS.departedPeerMs)
        this.#peers.delete(peer.id);
    });
  }

  /**
   * Who must be asked for a sign of life, and who has given none for too long. A node that was itself stopped for a
   * while (a frozen process, a sleeping laptop) finds everybody silent: it asks again before it gives anybody up.
   */
  checkPulse(nowMs: number): { ask: PeerRecord[]; lost: PeerRecord[] } {
    const slept = nowMs - this.#wokeAtMs > LIMITS.heartbeatLostMs / 2;
    this.#wokeAtMs = nowMs;
    const ask: PeerRecord[] = [];
    const lost: PeerRecord[] = [];
    for (const peer of this.#peers.values()) {
      if (peer.state !== "connected") continue;
      // A clock that was set back must not make silence look like the future.
      peer.heardAtMs = Math.min(peer.heardAtMs, nowMs);
      peer.pingedAtMs = Math.min(peer.pingedAtMs, nowMs);
      if (slept) peer.heardAtMs = Math.max(peer.heardAtMs, nowMs - LIMITS.heartbeatMs);
      if (nowMs - peer.heardAtMs >= LIMITS.heartbeatLostMs) lost.push(peer);
      else if (
        nowMs - peer.heardAtMs >= LIMITS.heartbeatMs &&
        nowMs - peer.pingedAtMs >= LIMITS.heartbeatMs
      ) {
        peer.pingedAtMs = nowMs;
        ask.push(peer);
      }
    }
    return { ask, lost };
  }

  /**
   * How far this clock is off its peers' (median), ms; 0 without peers. With one peer nobody can say whose clock is
   * wrong, so both are off.
   */
  clockOffsetMs(): number {
    const offsets = [...this.#peers.values()]
      .filter((peer) => peer.state === "connected" && peer.clockOffsetMs !== undefined)
      .map((peer) => peer.clockOffsetMs!)
      .sort((a, b) => a - b);
    return offsets[offsets.length >> 1] ?? 0;
  }
}
