import type { Random } from "../../core/machine.js";
import type { Clock } from "./clock.js";
import type { Commits, Origin } from "./commits.js";
import type { Holdings } from "./holdings.js";
import type { Item } from "./item.js";
import type { Link, Links } from "./links.js";
import type { HoldingsSummary, Sign } from "./member.js";
import type { DisconnectReason, RefusalCode, ReplicaEffect } from "./messages.js";
import type { Roster } from "./roster.js";
import type { Wants } from "./wants.js";
import type { Frame, Question } from "./wire.js";

export interface ReplicaOptions {
  /** This node's identity among its peers. */
  readonly id: string;
  /** For people; discovery may change it while the node runs. */
  readonly name: () => string;
  /** Version of the software, for people. */
  readonly version: string;
  readonly cluster: string;
  readonly retentionMs: number;
  readonly syncIntervalMs: number;
  readonly itemsMax: number;
  readonly itemBytesMax: number;
  /** Which valid items this node takes. */
  readonly policy: Policy;
  /** Addresses where peers can dial this node, as they are now. */
  readonly addresses: () => readonly string[];
  /** Signs this node's records, with the key that its id proves. */
  readonly sign: Sign;
  /** A broker carries everything: items by its log, records by its registry, and frames to one member or all. No links. */
  readonly hasBroker: boolean;
  /**
   * Whether all that the broker's log had when it was found has been handed over: what this node lacks then, the log
   * lacks.
   */
  readonly hasReadLog: () => boolean;
  /** A node dials until it has so many links... */
  readonly linksWanted: number;
  /** ... and takes in others up to so many. */
  readonly linksMax: number;
  readonly rosterMembersMax: number;
  readonly random: Random;
}

/** Which schemes and keys a node accepts; when that changes, the replica is told `policyChanged`. */
export interface Policy {
  /** Equal policies have equal text, at most 64 characters; "" for the one that accepts everything. */
  readonly text: string;
  /** Why an item is not accepted, if it is not. */
  refusalOf(item: Item): PolicyRefusal | undefined;
}

/** `refusedTopic`: its author is accepted, but not under that topic. */
export type PolicyRefusal = Extract<RefusalCode, "refusedByPolicy" | "refusedTopic">;

/** The cost of one round. */
export interface RoundCost {
  readonly means: "ranges" | "sketch";
  /** Of its messages, both ways; those of the items are not among them. */
  readonly bytes: number;
  /** Round trips. */
  readonly trips: number;
  /** Items that either side lacked. */
  readonly differences: number;
}

/** Counters since the start. */
export interface ReplicaFigures {
  /** Items posted here that are held, or were. */
  posted: number;
  rounds: number;
  roundsFailed: number;
  /** Rounds whose differences a sketch told, and those for which one was asked in vain. */
  roundsBySketch: number;
  sketchesFailed: number;
  /** The last round led by this node that found a difference. */
  lastRound?: RoundCost;
  itemsReceivedBySync: number;
  itemsSentBySync: number;
  refused: number;
  /** Times that a link was held, because its peer asked for more than its share. */
  linksHeld: number;
}

/** Counters since the start. */
export interface GossipFigures {
  /** Batches that came for the first time. */
  batchesReceived: number;
  /** Frames that brought a batch, first and again: copies. */
  copiesReceived: number;
  batchesSent: number;
  itemsReceived: number;
  itemsSent: number;
  /** Items received that were known already. */
  duplicates: number;
  /** Batches that could not be read or broke a rule. */
  rejected: number;
  /** Batches asked for because they were announced and not pushed. */
  repairs: number;
}

/** Shared by the parts of one replica. */
export interface ReplicaContext {
  readonly options: ReplicaOptions;
  readonly clock: Clock;
  readonly holdings: Holdings;
  readonly commits: Commits;
  readonly links: Links;
  readonly roster: Roster;
  readonly wants: Wants;
  readonly figures: ReplicaFigures;
  readonly gossipFigures: GossipFigures;
  /** Still without a first reconciliation. */
  starting: boolean;
  emit(effect: ReplicaEffect): void;
  send(link: Link, frame: Frame): void;
  /** To the peer's link; nothing when none is up. */
  sendTo(peer: string, frame: Frame): void;
  /** Puts a question to all. @returns the id of its batch */
  ask(question: Question): string;
  /** Ends a link. */
  cut(link: Link, reason: DisconnectReason): void;
  /** Something about a member has changed that subscribers hear of. */
  notifyPeer(peer: string): void;
  /** A dial is under way, or a link is opening. */
  readonly isMeeting: boolean;
  /** How late this node is woken, ms, a moving average: its deadlines for others are so many times as long more. */
  readonly lateMs: number;
  /** When the tree of gossip last led along other links of this node, epoch ms; infinite while none is known. */
  readonly treeChangedAtMs: number;
  /** A summary of the held items, for others. */
  summarise(nowMs: number): HoldingsSummary;
  /** The window that nodes compare: nothing in it expires for a while, and gossip has delivered all of it. */
  window(nowMs: number): { readonly sinceMs: number; readonly settledMs: number };
  /** Held, pending, or refused for now: not to be asked for. */
  knows(digest: string): boolean;
  /** Refused by policy. */
  isRefused(digest: string): boolean;
  /** At its limit of items or bytes: it asks for nothing more. */
  isFull(): boolean;
  /** Held items stamped so far ahead of this clock that no peer takes them yet. */
  aheadCount(nowMs: number): number;
  /** The peer keeps items for as long as this node: only then they exchange any. */
  sharesItems(link: Link): boolean;
  /** Takes in verified items of a peer. @returns how many are new, and the commit that they are part of, 0 for none */
  take(items: readonly Item[], origin: Origin, nowMs: number): { fresh: number; commit: number };
}
