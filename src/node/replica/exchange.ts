import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { encodedLength, type Item } from "./item.js";
import type { Link } from "./links.js";
import type { Differences } from "./rounds.js";
import { itemsFrame, packDigests, unpackDigests } from "./wire.js";

/** Moves exactly the items that a round found missing: `have` offers, `want` asks, `items` gives (protocol.md#exchange). */
export class Exchange implements Differences {
  constructor(private readonly context: ReplicaContext) {}

  /** Tells a peer which items it lacks. @param digests those a round found here and not there */
  offer(peer: string, digests: readonly string[]): void {
    for (let start = 0; start < digests.length; start += LIMITS.digestsPerFrameMax) {
      const packed = packDigests(digests.slice(start, start + LIMITS.digestsPerFrameMax));
      this.context.sendTo(peer, { t: "have", digests: packed });
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
  give(link: Link, packed: Uint8Array, nowMs: number): void {
    const { holdings, figures, send } = this.context;
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
    link.givenAtMs = nowMs;
    send(link, itemsFrame(served, items));
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
    // Earlier requests are still under way, and their answers must find the want.
    if (context.isFull()) context.wants.dropQueue(peer);
    this.#ask(peer, nowMs);
    return true;
  }

  #ask(peer: string, nowMs: number): void {
    const { context } = this;
    for (const digests of context.wants.next(peer, context.knows, nowMs)) {
      context.sendTo(peer, { t: "want", digests: packDigests(digests) });
    }
  }
}
