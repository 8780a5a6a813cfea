import type { RPC } from "@libp2p/gossipsub/message";

interface Pending {
  readonly message: RPC.Message;
  readonly originatingPeers: Set<string>;
  readonly tick: number;
}

/** Heartbeats (one a second) that a message waits for its verdict; after that it travels no further. */
const VERDICT_TICKS_MAX = 30;

/**
 * The messages that wait for a verdict, in place of GossipSub's message cache. That one keeps every message for
 * five seconds to answer peers that ask for one they missed: half a gigabyte under load, and an answer of
 * unbounded size. Ours come back by reconciliation, so a message is let go as soon as it is settled.
 */
export class PendingMessages {
  readonly msgs = new Map<string, Pending>();
  /** What the original exposes; nothing here reads it. */
  readonly history = [];
  #tick = 0;

  get size(): number {
    return this.msgs.size;
  }

  get notValidatedCount(): number {
    return this.msgs.size;
  }

  put(messageId: { readonly msgIdStr: string }, message: RPC.Message, validated = false): boolean {
    if (validated || this.msgs.has(messageId.msgIdStr)) return !validated;
    this.msgs.set(messageId.msgIdStr, { message, originatingPeers: new Set(), tick: this.#tick });
    return true;
  }

  /** Another peer sent it too: it need not get it from us. */
  observeDuplicate(id: string, fromPeerId: string): void {
    this.msgs.get(id)?.originatingPeers.add(fromPeerId);
  }

  validate(id: string): Pending | null {
    return this.remove(id);
  }

  remove(id: string): Pending | null {
    const pending = this.msgs.get(id);
    this.msgs.delete(id);
    return pending ?? null;
  }

  /** Called at each heartbeat. The map is in order of arrival, so the walk stops at the first that may stay. */
  shift(): void {
    this.#tick++;
    for (const [id, { tick }] of this.msgs) {
      if (this.#tick - tick <= VERDICT_TICKS_MAX) return;
      this.msgs.delete(id);
    }
  }

  get(): undefined {
    return undefined;
  }

  getWithIWantCount(): null {
    return null;
  }

  getGossipIDs(): Map<string, Uint8Array[]> {
    return new Map();
  }
}
