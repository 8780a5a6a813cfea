import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { packDigests, unpackDigests } from "./frames.js";
import { encodedLength, type Item } from "./item.js";
import { itemsFrame } from "./items-frame.js";
import type { PeerRecord } from "./peer-table.js";

/** Moves exactly the items that a round found missing: `have` offers, `want` asks, `items` gives (protocol.md#exchange). */
export class Exchange {
  constructor(private readonly context: ReplicaContext) {}

  /** Tells a peer which items it lacks. @param digests those a round found here and not there */
  offer(peer: string, digests: readonly string[]): void {
    for (let start = 0; start < digests.length; start += LIMITS.digestsPerFrameMax) {
      const packed = packDigests(digests.slice(start, start + LIMITS.digestsPerFrameMax));
      this.context.emit({ type: "send", peer, frame: { t: "have", digests: packed } });
    }
  }

  /** The peer holds these; those unknown here are asked for. */
  want(peer: string, digests: readonly string[], nowMs: number): void {
    const { context } = this;
    // A full node stops asking: what it fetched it could not keep.
    if (context.isFull()) return;
    context.wants.add(
      peer,
      digests.filter((digest) => !context.knows(digest)),
    );
    this.#ask(peer, nowMs);
  }

  /** Answers one `want`: as many of its items, in its order, as one answer may carry, at least one. */
  give(peer: PeerRecord, packed: Uint8Array, nowMs: number): void {
    const { holdings, figures, emit } = this.context;
    const items: Item[] = [];
    let bytes = 0;
    let served = 0;
    for (const digest of unpackDigests(packed)) {
      // Expired since the round found it: covered, and absent.
      const item = holdings.byDigest(digest);
      if (item) {
        bytes += encodedLength(item);
        if (items.length > 0 && bytes > LIMITS.itemsPerAnswerBytes) break;
        items.push(item);
      }
      served++;
    }
    figures.itemsSentBySync += items.length;
    peer.givenAtMs = nowMs;
    emit({ type: "send", peer: peer.id, frame: itemsFrame(served, items) });
  }

  /** Takes the answer to a `want`. @returns false when nobody asked for that */
  take(peer: string, served: number, items: readonly Item[], nowMs: number): boolean {
    const { context } = this;
    const wanted = context.wants.answered(
      peer,
      served,
      items.map((item) => item.digest),
    );
    if (!wanted) return false;
    context.figures.itemsReceivedBySync += items.length;
    context.take(items, "sync", nowMs);
    // What was asked for before is still under way, and must find its want.
    if (context.isFull()) context.wants.dropQueue(peer);
    this.#ask(peer, nowMs);
    return true;
  }

  #ask(peer: string, nowMs: number): void {
    const { context } = this;
    for (const digests of context.wants.next(peer, context.knows, nowMs)) {
      context.emit({ type: "send", peer, frame: { t: "want", digests: packDigests(digests) } });
    }
  }
}
