import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { encodedLength, encodedLengthMax, type Item } from "./item.js";
import type { RefusalCode } from "./messages.js";

/** Why a posted item is not taken, if it is not. What a client stamps must be near the node's clock. */
export function refusePosted(context: ReplicaContext, item: Item, nowMs: number): RefusalCode | undefined {
  if (context.clock.verdict === "skewed") return "clockSkew";
  const refusal = refuseFromPeer(context, item, nowMs);
  if (refusal) return refusal;
  return Math.abs(item.timestampMs - context.clock.ms(nowMs)) > LIMITS.clockSkewMsMax
    ? "timestampOff"
    : undefined;
}

/** Why an item of a peer is not taken: what is still retained is, however old. */
export function refuseFromPeer(context: ReplicaContext, item: Item, nowMs: number): RefusalCode | undefined {
  const { options } = context;
  const clockMs = context.clock.ms(nowMs);
  if (item.timestampMs + options.retentionMs <= clockMs) return "itemExpired";
  if (item.timestampMs - clockMs > LIMITS.clockSkewMsMax) return "timestampOff";
  const refusal = options.policy.refusalOf(item);
  if (refusal) return refusal;
  return hasRoomFor(context, item) ? undefined : "nodeFull";
}

function hasRoomFor({ options, holdings, commits }: ReplicaContext, item: Item): boolean {
  return (
    holdings.size + commits.size < options.itemsMax &&
    (holdings.bytes + commits.bytes + encodedLengthMax(item) <= options.itemBytesMax ||
      holdings.bytes + commits.bytes + encodedLength(item) <= options.itemBytesMax)
  );
}

/**
 * Digests that were refused, each until some instant by this node's clock: they are not asked for again. Bounded; past the
 * bound the oldest is forgotten, which costs one more fetch of it, never an error.
 */
export class Refusals {
  readonly #untilMs = new Map<string, number>();

  has(digest: string, clockMs: number): boolean {
    return this.#untilMs.size > 0 && (this.#untilMs.get(digest) ?? clockMs) > clockMs;
  }

  add(digest: string, untilMs: number): void {
    this.#untilMs.set(digest, untilMs);
    if (this.#untilMs.size <= LIMITS.refusedDigestsMax) return;
    const [oldest] = this.#untilMs.keys();
    this.#untilMs.delete(oldest!);
  }

  /** What they rest on has changed: the items are asked for again. */
  clear(): void {
    this.#untilMs.clear();
  }

  /** Looks at the longest known ones only: they are nearly in order of their end, and the rest wait their turn. */
  forgetEnded(clockMs: number): void {
    for (const [digest, untilMs] of this.#untilMs) {
      if (untilMs > clockMs) return;
      this.#untilMs.delete(digest);
    }
  }
}
