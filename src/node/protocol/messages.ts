import type { ErrorCode } from "../../core/errors.js";
import type { Frame, ItemsFrame } from "./frames.js";
import type { Item } from "./item.js";

/** The facts a replica is told. Items in them are decoded, well-formed, and verified by their signature. */
export type ReplicaInput =
  /** Somebody hands in items; `answer` with the same request follows, one outcome per item. */
  | { readonly type: "posted"; readonly request: number; readonly items: readonly Item[] }
  /** A gossip message arrived; `judge` with the same message follows. */
  | {
      readonly type: "gossiped";
      readonly message: number;
      readonly from: string;
      readonly items: readonly Item[];
    }
  /** All commits up to and with this number are durable. */
  | { readonly type: "committed"; readonly commit: number }
  /** This commit was refused: nothing of it was kept. */
  | { readonly type: "commitFailed"; readonly commit: number; readonly code?: CommitRefusal }
  | { readonly type: "peerUp"; readonly peer: string; readonly address: string }
  | { readonly type: "peerDown"; readonly peer: string; readonly reason: string }
  | { readonly type: "frameReceived"; readonly peer: string; readonly frame: Exclude<Frame, ItemsFrame> }
  /** An `items` frame, its batch decoded: `items` passed verification, `invalid` did not. */
  | {
      readonly type: "itemsReceived";
      readonly peer: string;
      readonly served: number;
      readonly items: readonly Item[];
      readonly invalid: number;
    }
  /** A peer's bytes are no frame. */
  | { readonly type: "garbled"; readonly peer: string }
  /** A receipt is asked for: which peers hold this item? `confirmed` effects follow. */
  | { readonly type: "receiptAsked"; readonly digest: string }
  /** This node goes by another name from now on. */
  | { readonly type: "renamed" }
  /** The policy accepts other items than before. */
  | { readonly type: "policyChanged" }
  /** The node shuts down: peers are told. */
  | { readonly type: "stopped" }
  /** The instant of `wakeAtMs` has come. */
  | { readonly type: "woke" };

/** The orders a replica gives. */
export type ReplicaEffect =
  | {
      readonly type: "commit";
      readonly commit: number;
      readonly add: readonly Item[];
      readonly remove: readonly Item[];
      /** Somebody waits for the answer; without it, they come from peers, or go. */
      readonly posted: boolean;
    }
  | { readonly type: "answer"; readonly request: number; readonly outcomes: readonly PostOutcome[] }
  | { readonly type: "judge"; readonly message: number; readonly verdict: "accept" | "ignore" }
  | { readonly type: "publish"; readonly items: readonly Item[] }
  | { readonly type: "send"; readonly peer: string; readonly frame: Frame }
  | { readonly type: "disconnect"; readonly peer: string; readonly reason: DisconnectReason }
  | { readonly type: "dial"; readonly peer: string; readonly addresses: readonly string[] }
  | { readonly type: "forget"; readonly peer: string }
  | { readonly type: "notify"; readonly changes: readonly ReplicaChange[] }
  | { readonly type: "confirmed"; readonly digest: string; readonly peer: string };

/** What became of one posted item. `item` is the one held: the posted one, or the one that stood there already. */
export type PostOutcome =
  | { readonly status: "accepted" | "held" | "conflict"; readonly item: Item }
  | { readonly status: "refused"; readonly code: RefusalCode; readonly item: Item };

/** Why an item is not taken, though its signature is good. */
export type RefusalCode = Extract<
  ErrorCode,
  "timestampOff" | "itemExpired" | "refusedByPolicy" | "nodeFull" | "clockSkew" | CommitRefusal
>;

/** Why an item that was taken could not be kept. */
export type CommitRefusal = "storageFailed" | "natsAway" | "natsFull";

/** What subscribers are told. */
export type ReplicaChange =
  | { readonly type: "item"; readonly item: Item }
  | { readonly type: "replaced"; readonly item: Item; readonly previous: Item }
  | { readonly type: "expired"; readonly item: Item }
  | { readonly type: "peer"; readonly peer: string };

/** Why a replica cuts a peer off; the first group are breaches of the protocol, and lower the peer's score. */
export type DisconnectReason =
  | "badFrame"
  | "badRange"
  | "invalidItem"
  | "unwantedItem"
  | "endlessRound"
  | "tooManyRounds"
  | "answerOverdue"
  | "heartbeatLost"
  | "clusterDiffers"
  | "retentionDiffers"
  | "versionDiffers";

/** Reasons that only a peer that breaks the protocol can give. */
export const BREACHES: ReadonlySet<DisconnectReason> = new Set([
  "badFrame",
  "badRange",
  "invalidItem",
  "unwantedItem",
  "endlessRound",
  "tooManyRounds",
]);
