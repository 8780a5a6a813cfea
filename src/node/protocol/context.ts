import type { Random } from "../../core/machine.js";
import type { Commits, Origin } from "./commits.js";
import type { Holdings } from "./holdings.js";
import type { Item } from "./item.js";
import type { ReplicaEffect } from "./messages.js";
import type { PeerTable } from "./peer-table.js";
import type { Wants } from "./wants.js";

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
  readonly random: Random;
}

/** Which schemes and keys a node accepts; when that changes, the replica is told `policyChanged`. */
export interface Policy {
  /** Equal policies have equal text, at most 64 characters; "" for the one that accepts everything. */
  readonly text: string;
  accepts(item: Item): boolean;
}

/** Counters since the start. */
export interface ReplicaFigures {
  /** Items posted here that are held, or were. */
  posted: number;
  rounds: number;
  roundsFailed: number;
  itemsReceivedBySync: number;
  itemsSentBySync: number;
  refused: number;
}

/** What the parts of one replica share. */
export interface ReplicaContext {
  readonly options: ReplicaOptions;
  readonly holdings: Holdings;
  readonly commits: Commits;
  readonly peers: PeerTable;
  readonly wants: Wants;
  readonly figures: ReplicaFigures;
  /** Still without a first reconciliation. */
  starting: boolean;
  emit(effect: ReplicaEffect): void;
  /** Held, pending, or refused for good: not to be asked for. */
  knows(digest: string): boolean;
  /** At its limit of items or bytes: it asks for nothing more. */
  isFull(): boolean;
  /** A peer asks to be told when this node holds an item. */
  confirm(peer: string, digest: string): void;
  /** Takes in verified items of a peer. @returns how many are new */
  take(items: readonly Item[], origin: Origin, nowMs: number): { fresh: number; commit: number };
}
