import type { ErrorCode } from "../../core/errors.js";
import type { Item } from "./item.js";
import type { MemberRecord } from "./member.js";
import type { BatchFrame, Frame, HelloFrame, ItemsFrame, NewsMessage, Question, ToldFrame } from "./wire.js";

/**
 * The facts a replica is told. Items, records and questions in them are decoded, well-formed, and verified by their
 * signature.
 */
export type ReplicaInput =
  /** The engine listens: the first input. */
  | { readonly type: "started" }
  /** Somebody hands in items; `answer` with the same request follows, one outcome per item. */
  | {
      readonly type: "posted";
      readonly request: number;
      readonly items: readonly Item[];
      /** Wanted for those that are held then; `receipt` follows. */
      readonly receipts?: readonly PostedReceipt[];
    }
  /** A message of the engine's log was read; `acknowledge` with the same message follows. */
  | { readonly type: "logged"; readonly message: number; readonly items: readonly Item[] }
  /** The broker is there, or away. */
  | { readonly type: "brokerChanged"; readonly isUp: boolean }
  /** This member was elected leader, or is it no more. */
  | { readonly type: "leaderChanged"; readonly isLeader: boolean }
  /** All records that the broker keeps; the answer to `readRegistry`. */
  | { readonly type: "registryRead"; readonly entries: readonly RegistryEntry[] }
  /** Members told all others of themselves. */
  | { readonly type: "membersHeard"; readonly records: readonly MemberRecord[] }
  /** The leader told all others what has changed. */
  | { readonly type: "newsHeard"; readonly news: News }
  /** A member asked all others. @see Questions */
  | { readonly type: "questionHeard"; readonly id: string; readonly question: Question }
  /** A member sent a frame to this one by the broker. */
  | { readonly type: "told"; readonly peer: string; readonly frame: ToldFrame }
  /** All commits up to and with this number are durable. */
  | { readonly type: "committed"; readonly commit: number }
  /** This commit was refused: nothing of it was kept. */
  | { readonly type: "commitFailed"; readonly commit: number; readonly code?: CommitRefusal }
  /** Somebody may be at these addresses: the user says so, or discovery, where `introducer` named it first. */
  | {
      readonly type: "found";
      readonly addresses: readonly string[];
      readonly peer?: string;
      readonly introducer?: string;
    }
  /** Discovery shows a node of this cluster that cannot be met: with another cluster key, or with this node's own id. */
  | {
      readonly type: "strangerSeen";
      readonly peer: string;
      readonly name: string;
      readonly address: string;
      readonly code: "clusterKeyDiffers" | "twin";
    }
  /** Discovery says that this member has said goodbye. */
  | { readonly type: "peerVanished"; readonly peer: string }
  /** A connection with a peer is there. `attempt`: this node dialled it. */
  | {
      readonly type: "linkUp";
      readonly link: number;
      readonly peer: string;
      readonly address: string;
      readonly attempt?: number;
    }
  | { readonly type: "linkDown"; readonly link: number; readonly reason: string }
  /** Much waits to be sent on a link, or no longer. */
  | { readonly type: "queued"; readonly link: number; readonly isLong: boolean }
  /** Bytes of a long frame have come on a link. */
  | { readonly type: "progressed"; readonly link: number }
  /** A `dial` has led nowhere. `self`: the address is this node's own. */
  | { readonly type: "dialFailed"; readonly attempt: number; readonly reason: string; readonly self: boolean }
  /** A frame that carries neither items nor records. */
  | {
      readonly type: "frameReceived";
      readonly link: number;
      readonly frame: Exclude<Frame, ItemsFrame | HelloFrame | { readonly t: "records" }>;
      /** Its length on the wire. */
      readonly bytes: number;
    }
  | {
      readonly type: "helloReceived";
      readonly link: number;
      readonly frame: HelloFrame;
      readonly record: MemberRecord;
    }
  /** A hello of another version of the protocol. `record`: the peer's, where it can be read. */
  | {
      readonly type: "otherVersion";
      readonly link: number;
      readonly v: number;
      readonly record?: MemberRecord;
    }
  | {
      readonly type: "recordsReceived";
      readonly link: number;
      readonly records: readonly MemberRecord[];
      readonly lost: Uint8Array;
      readonly want: Uint8Array;
      readonly bytes: number;
    }
  /** An `items` frame, its batch decoded: `items` passed verification, `invalid` did not. */
  | {
      readonly type: "itemsReceived";
      readonly link: number;
      readonly served: number;
      readonly items: readonly Item[];
      readonly invalid: number;
      readonly bytes: number;
    }
  /** A peer's bytes are no frame, or hold a record that its member has not signed. */
  | { readonly type: "garbled"; readonly link: number }
  /** The batch of a `verify` effect is what it must be. */
  | { readonly type: "batchVerified"; readonly batch: string; readonly content: BatchContent }
  /** It is not. `overloaded`: nobody looked, because too much waits to be verified. */
  | { readonly type: "batchRejected"; readonly batch: string; readonly overloaded: boolean }
  /** Receipts are asked for; for each a `receipt` with the same request follows. */
  | { readonly type: "receiptsAsked"; readonly receipts: readonly AskedReceipt[] }
  /** Nobody waits for that receipt any more. */
  | { readonly type: "receiptEnded"; readonly request: number }
  /** All members are to say what they hold; `counted` with the same request follows. */
  | ({ readonly type: "countsAsked" } & AskedCounts)
  /** This node goes by another name from now on. */
  | { readonly type: "renamed" }
  /** The policy accepts other items than before. */
  | { readonly type: "policyChanged" }
  /** The node shuts down: members are told. */
  | { readonly type: "stopped" }
  /** The instant of `wakeAtMs` has come. `wallMs`: what the wall clock says, epoch ms; absent: nobody looked. */
  | { readonly type: "woke"; readonly wallMs?: number };

/** The content that the shell decoded from a batch. */
export type BatchContent =
  | { readonly kind: "items"; readonly items: readonly Item[] }
  | { readonly kind: "question"; readonly question: Question };

/** One entry of the registry, as its member writes it. */
export interface EncodedEntry extends Pick<RegistryEntry, "ageMs"> {
  /** Whose entry it is, by its key. */
  readonly id: string;
  readonly record: Uint8Array;
}

/** One entry of the registry. */
export interface RegistryEntry {
  /** Verified. */
  readonly record: MemberRecord;
  /** How much older it is than the newest entry, by the clock of the broker. */
  readonly ageMs: number;
}

/** The verified news of the leader. */
export interface News extends Omit<NewsMessage, "records"> {
  readonly records: readonly MemberRecord[];
}

/** The effects of a replica, which the shell carries out. */
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
  | { readonly type: "acknowledge"; readonly message: number; readonly verdict: "accept" | "ignore" }
  | {
      readonly type: "dial";
      readonly attempt: number;
      readonly addresses: readonly string[];
      /** How long the peer may take. */
      readonly timeoutMs: number;
      readonly peer?: string;
    }
  | { readonly type: "send"; readonly link: number; readonly frame: Frame }
  | {
      readonly type: "disconnect";
      readonly link: number;
      readonly peer: string;
      readonly reason: DisconnectReason;
    }
  /** The link is not to be read, or read again. */
  | { readonly type: "holdUp"; readonly link: number; readonly isHeldUp: boolean }
  /** Decode and verify this batch: `batchVerified` or `batchRejected` follows. */
  | { readonly type: "verify"; readonly frame: BatchFrame }
  /** The broker is to keep this record of this member, in place of the one before. */
  | { readonly type: "renew"; readonly record: Uint8Array }
  /** `registryRead` follows, unless the broker is away. */
  | { readonly type: "readRegistry" }
  /** To all members, by the broker. */
  | { readonly type: "publish"; readonly kind: PublishKind; readonly payload: Uint8Array }
  /** To one member, by the broker. */
  | { readonly type: "tell"; readonly peer: string; readonly frame: ToldFrame }
  /** Held here, and lacking in the log. */
  | { readonly type: "append"; readonly items: readonly Item[] }
  | { readonly type: "receipt"; readonly request: number; readonly receipt: Receipt }
  /** `silent` members have not answered. */
  | { readonly type: "counted"; readonly request: number; readonly silent: readonly string[] }
  | { readonly type: "notify"; readonly changes: readonly ReplicaChange[] };

/** Messages to all members by the broker: records, a leader's news, questions. */
export type PublishKind = "members" | "news" | "question";

/** The known holders of an item. */
export interface Receipt {
  /** Members known and alive when it was asked for, this node left out. */
  readonly of: number;
  /** All members that were waited for hold the item, and there was one at least to ask. */
  readonly complete: boolean;
  /** Nobody else was there. */
  readonly alone?: boolean;
  /** Only where the roster is a sample: how many others there are in all, about. */
  readonly membersEstimated?: number;
  /** In the order in which they said so, with the ms since the node accepted it. */
  readonly holders: readonly { readonly id: string; readonly name: string; readonly afterMs: number }[];
  /** Members that have not reported the item as held. */
  readonly missing: readonly { readonly id: string; readonly name: string }[];
  /** Members whose policy does not take it. */
  readonly refused: readonly { readonly id: string; readonly name: string }[];
}

/** Counts that somebody wants. */
export interface AskedCounts {
  readonly request: number;
  readonly timeoutMs: number;
  /** The same question asks for the holders of this item: a member that answers it without naming the item lacks it. */
  readonly digest?: string | undefined;
}

/** A receipt that somebody wants. */
export interface AskedReceipt {
  readonly request: number;
  readonly digest: string;
  /** So many members are to hold it, or all that are alive. */
  readonly wait: number | "all";
  readonly timeoutMs: number;
}

/** The same for a posted item, by its index among the items of the post. */
export type PostedReceipt = Omit<AskedReceipt, "digest"> & { readonly index: number };

/** The outcome of one posted item. `item` is the one held: the posted one, or the one that was there already. */
export type PostOutcome =
  | { readonly status: "accepted" | "held" | "conflict"; readonly item: Item }
  | { readonly status: "refused"; readonly code: RefusalCode; readonly item: Item };

/** Whether the node holds the item that was posted. */
export function isKept({ status }: PostOutcome): boolean {
  return status === "accepted" || status === "held";
}

/** Why an item is not taken, though its signature is good. */
export type RefusalCode = Extract<
  ErrorCode,
  | "timestampOff"
  | "itemExpired"
  | "refusedByPolicy"
  | "refusedTopic"
  | "nodeFull"
  | "clockSkew"
  | CommitRefusal
>;

/** Why an item that was taken could not be kept. */
export type CommitRefusal = "storageFailed" | "natsAway" | "natsFull";

/** A change that subscribers are told of. */
export type ReplicaChange =
  | { readonly type: "item"; readonly item: Item }
  | { readonly type: "replaced"; readonly item: Item; readonly previous: Item }
  | { readonly type: "expired"; readonly item: Item }
  | { readonly type: "peer"; readonly peer: string };

/** Why a replica ends a link. */
export type DisconnectReason =
  | "badFrame"
  | "badRange"
  | "invalidItem"
  | "unwantedItem"
  | "endlessRound"
  | "tooManyRounds"
  | "overBudget"
  | "answerOverdue"
  | "heartbeatLost"
  | "clusterDiffers"
  | "versionDiffers"
  | "alreadyLinked"
  | "full"
  | "released";

/** Reasons that only a peer that breaks the protocol can give. */
export const BREACHES: ReadonlySet<DisconnectReason> = new Set([
  "badFrame",
  "badRange",
  "invalidItem",
  "unwantedItem",
  "endlessRound",
  "tooManyRounds",
  "overBudget",
]);

/** Breaches that no honest node commits, whatever it was sent: the peer is also refused for a while. */
export const PUNISHED: ReadonlySet<DisconnectReason> = new Set(["badFrame", "invalidItem"]);

/** Reasons that are choices among links, no loss. */
export const CHOICES: ReadonlySet<DisconnectReason> = new Set(["alreadyLinked", "full", "released"]);
