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
