import { LIMITS } from "../../core/limits.js";
import { openFiles } from "../../runtime/listen.js";
import type { EncodedEntry, PublishKind } from "../replica/messages.js";

/** Of the files that this process may open, so many are for peers at most: the others are for clients and the disk. */
const PEERS_PART = 1 / 4;

/** Connections with peers at the same time, with those in the handshake. */
export function peerConnectionsMax(): number {
  const { max } = openFiles() ?? { max: Number.POSITIVE_INFINITY };
  return Math.max(1, Math.min(LIMITS.peerConnectionsMax, Math.floor(max * PEERS_PART)));
}

/**
 * How a node reaches its peers. An engine carries bytes and decides nothing: who is a member, whom to dial, what a peer may
 * cost, and when it is lost are decisions of the replica machine. Two kinds: `LinkEngine` (libp2p, the default), where peers
 * connect to each other, and `BrokerEngine` (nats), where a server that all connect to stands between them.
 */
interface Engine {
  /** This node's identity: the text of a libp2p peer id (`12D3KooW...`). */
  readonly id: string;
  /** Addresses that a peer's `--peer` takes. */
  readonly addresses: readonly string[];
  /** For people. */
  readonly engine: string;
  /** TCP port where peers connect; absent when the engine has none of its own. */
  readonly port?: number;

  /** @returns the Ed25519 signature of this node's key (RFC 8032), 64 bytes */
  sign(bytes: Uint8Array): Uint8Array;

  /** @param peer an id, which has the public key in it @returns false also when it is no id of an Ed25519 key */
  verify(peer: string, bytes: Uint8Array, signature: Uint8Array): boolean;

  /** Flushes for 500 ms at most, and gives back every socket; every link that is up gets its `linkDown` first. Idempotent. */
  close(): Promise<void>;
}

/** Links, each one reliable ordered stream of frames with a peer whose id the engine has proven. */
export interface LinkEngine extends Engine {
  /**
   * Dials all addresses, staggered: the first link wins and the others are aborted. The answer is one `linkUp` with this
   * attempt or one `dialFailed`, within `timeoutMs`.
   */
  dial(dial: Dial): void;

  /**
   * Sends behind the frames sent before; frames sent in one turn leave together. A link that is down takes nothing.
   * @throws RangeError for more than peerFrameBytesMax
   */
  send(link: number, frame: Uint8Array): void;

  /**
   * Stops or goes on reading a link. Once `holdUp(link, true)` has returned, no frame of it is delivered: some 1 MiB is read
   * and waits here, the rest waits in the system and at the peer. Behind that much the end of the link is seen only when
   * something is sent, or when it is read again.
   */
  holdUp(link: number, isHeldUp: boolean): void;

  /**
   * Ends a link. `linkDown` follows with this reason, no frame of it is delivered any more, and the frames sent before
   * are flushed for 500 ms at most.
   */
  disconnect(link: number, reason: string): void;
}

/** A broker. It keeps items in a log and records in a registry; the rest may be lost, and is dropped while it is away. */
export interface BrokerEngine extends Engine {
  readonly log: MessageLog;
  /** Keeps this node's record in the registry, in place of the one before. */
  renew(record: Uint8Array): void;
  /** Reads the registry; `registry` of the listener follows, unless the broker is away. */
  readRegistry(): void;
  /** To all members that are there. */
  publish(kind: PublishKind, payload: Uint8Array): void;
  /** To one member. @param peer an id @param frame at most peerFrameBytesMax bytes */
  tell(peer: string, frame: Uint8Array): void;
}

export type Cluster = LinkEngine | BrokerEngine;

export interface Dial {
  /** Chosen by the caller, to tell the answers apart. */
  readonly attempt: number;
  /** Engine addresses (libp2p: multiaddrs, or HOST:PORT). Those that cannot be read count as failed. */
  readonly addresses: readonly string[];
  /** The expected id; another id there is a failure. */
  readonly peer?: string;
  /** How long all of it may take; absent: peerHandshakeMsMax. */
  readonly timeoutMs?: number;
}

/**
 * Messages that an engine keeps for all nodes, also for those that come later. Every one is handed to the listener's
 * `gossip`, from a position on: that of the start first, then live.
 */
export interface MessageLog {
  /** It can be appended to now. */
  readonly isUp: boolean;
  /** Why not, for people; empty while it can. */
  readonly reason: string;
  /** All that the log had when the node was started has been handed over and acknowledged. */
  readonly caughtUp: boolean;
  /** Something that the log had when it was found last is still to be handed over. */
  readonly isBehind: boolean;
  /**
   * All messages up to here were taken (`GossipMessage.taken`). Opaque text, which a later start may begin behind;
   * absent before the first.
   */
  readonly position: string | undefined;
  /**
   * Adds one message; resolves when the log has acknowledged that it keeps it.
   * @throws natsFull; natsAway when there was no acknowledgement in time: then it may be kept, or not
   */
  append(message: Uint8Array): Promise<void>;
}

export type GossipVerdict = "accept" | "ignore" | "reject";

/** A message of the engine's log that another node appended. */
export interface GossipMessage {
  readonly bytes: Uint8Array;
  /** Must be called once: the log hands on more only as messages are acknowledged. */
  acknowledge(verdict: GossipVerdict): void;
  /**
   * The log is read but once: called right before its items are handed on, so that what is stored with them is the
   * position behind it. Such a message must not be left to reconciliation.
   */
  taken?(): void;
}

/**
 * The callbacks of an engine of links. Calls come one at a time, never from inside a call into the engine, and none before
 * the caller has its engine.
 */
export interface LinkListener {
  /** May this peer connect? Asked once it has proven its id, for links in both directions. */
  admits(peer: string): boolean;
  /** A link is open both ways. Several links to one peer may be: both sides dialled at once, or the peer came back. */
  linkUp(link: LinkUp): void;
  /** @param reason for people @param self an address was this node's own, and nobody else answered */
  dialFailed(attempt: number, reason: string, self: boolean): void;
  /** It is gone; `reason` is for people. Every `linkUp` has one, behind the frames that arrived and were not held. */
  linkDown(link: number, reason: string): void;
  /** One whole frame, in the order it was sent. */
  frame(link: number, frame: Uint8Array): void;
  /**
   * More than linkQueueBytesLong waits for a link (true), or less than a quarter of it again (false). Past
   * peerQueueBytesMax the link ends.
   */
  queued(link: number, isLong: boolean): void;
  /** Some 16 KiB came of a frame that is not whole yet. */
  progressed(link: number): void;
}

/** The callbacks of a broker, on the same terms. */
export interface BrokerListener {
  /** The registry can be read, and members reached; or no longer. */
  broker(isUp: boolean): void;
  /** The log is there. @param isNew this node made it, and nothing is in it */
  logUp(isNew: boolean): void;
  /** It is away. @param reason for people */
  logDown(reason: string): void;
  gossip(message: GossipMessage): void;
  /** This node is elected: of all nodes at most one should be. Told again when it is so no more. */
  leader(isLeader: boolean): void;
  /** All entries of the registry. */
  registry(entries: readonly EncodedEntry[]): void;
  /** Another member published. */
  published(kind: PublishKind, payload: Uint8Array): void;
  /** Another member tells this one. @param peer who says that it is; nothing proves it */
  told(peer: string, frame: Uint8Array): void;
}

export type ClusterListener = LinkListener & BrokerListener;

export interface LinkUp {
  /** Unique while the engine is open, from 1 on. */
  readonly link: number;
  /** Proven by its key. */
  readonly peer: string;
  /** Where the peer is seen at; of an accepted link not where it listens. */
  readonly address: string;
  /** Of `dial`, when this node dialled; absent when the peer did. */
  readonly attempt?: number;
}

/** Options of every engine. */
export interface ClusterOptions<Listener = LinkListener> {
  /** Cluster name: 1..63 characters of a-z, 0-9 and `-`. */
  readonly cluster: string;
  readonly listener: Listener;
}

/**
 * Calls that wait for their turn: one at a time, in order, never from inside the code that posted them. An
 * engine posts everything it tells its node, so a listener may call the engine back at any time.
 */
export class Mailbox {
  #waiting: (() => void)[] = [];
  #scheduled = false;

  post(call: () => void): void {
    this.#waiting.push(call);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    const calls = this.#waiting;
    this.#waiting = [];
    for (let index = 0; index < calls.length; index++) {
      try {
        calls[index]!();
      } catch (error) {
        // The fault is the listener's: let it surface, but lose none of the calls behind it.
        for (const call of calls.slice(index + 1)) this.post(call);
        throw error;
      }
    }
  }
}
