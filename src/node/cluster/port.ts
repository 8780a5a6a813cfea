/**
 * How a node reaches its peers: who is connected, one reliable ordered stream of frames to each, and gossip to
 * all. It carries bytes and knows nothing of items. Engines: libp2p (default), nats, and the virtual network of
 * the simulator; one contract suite runs on all of them.
 */
export interface Cluster {
  /** This node's identity on the wire, proven to peers by the engine. */
  readonly id: string;
  /** Addresses that a peer's `--peer` takes. */
  readonly addresses: readonly string[];
  readonly engine: string;
  /** TCP port where peers connect; absent when the engine has none of its own. */
  readonly port?: number;
  /** Absent where messages only pass by (libp2p): who was not there when one was published never hears of it. */
  readonly log?: MessageLog;

  /** Absent where an engine of its own (a server) holds up who sends too much. */
  readonly gossipFigures?: ClusterGossipFigures;

  /** Whether a message published now goes anywhere. Without an audience it need not be made. */
  readonly hasAudience: boolean;

  /** Gossips one message to all nodes of the cluster. Never echoes to this node. */
  publish(message: Uint8Array): void;

  /**
   * Sends a frame to a connected peer, behind the frames sent before.
   * @returns bytes that wait for that peer, this frame included; 0 when it is not connected (the frame is dropped)
   */
  send(peerId: string, frame: Uint8Array): number;

  /** Remembers where a node may be found, dials all of its addresses in parallel, redials with back-off. */
  dial(candidate: PeerCandidate): void;

  /** Stops dialling a node: it said goodbye. It may come back by itself, or by another `dial`. */
  forget(peerId: string): void;

  /**
   * Cuts the connection. `punish` lowers the score that GossipSub gives the peer; `silent` does so if the peer fell silent
   * in the middle of a frame.
   */
  disconnect(
    peerId: string,
    reason: string,
    options?: { readonly punish?: boolean; readonly silent?: boolean },
  ): void;

  /** Gives back every socket. Frames already sent are flushed first, for 500 ms at most. */
  close(): Promise<void>;
}

export interface ClusterGossipFigures {
  /** Messages not sent to a peer because too much waited for it; reconciliation brings them. */
  readonly unsent: number;
  /** Times that a peer was not read for a moment, because it gossiped more than its share. */
  readonly heldUp: number;
}

/**
 * Messages that an engine keeps for all nodes, also for those that come later. Every one is handed to the listener's
 * `gossip`, from a position on: that of the start first, then live.
 */
export interface MessageLog {
  /** It can be appended to now. */
  readonly isUp: boolean;
  /** All that the log had when the node was started has been handed over and settled. */
  readonly caughtUp: boolean;
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

export interface PeerCandidate {
  /** Known when it was discovered; absent for `--peer` without an id. */
  readonly id?: string;
  /** Engine addresses (libp2p: multiaddrs, or HOST:PORT). */
  readonly addresses: readonly string[];
}

export type GossipVerdict = "accept" | "ignore" | "reject";

export interface GossipMessage {
  /** The peer it came from, which need not be its origin. */
  readonly from: string;
  readonly bytes: Uint8Array;
  /** Must be called once: only an accepted message travels on; a rejected one counts against the peer. */
  settle(verdict: GossipVerdict): void;
  /**
   * Only of a message from the engine's log, which is read but once: called right before its items are handed on, so
   * that what is stored with them is the position behind it. Such a message must not be left to reconciliation.
   */
  taken?(): void;
}

/** What an engine tells its node. Calls come one at a time, never from inside a call into the engine. */
export interface ClusterListener {
  /** The peer's frame stream is open both ways. */
  peerUp(peer: { readonly id: string; readonly address: string }): void;
  /** It is gone; `reason` is for people. Every `peerUp` has one. */
  peerDown(peerId: string, reason: string): void;
  /** One whole frame, in the order it was sent. */
  frame(peerId: string, frame: Uint8Array): void;
  gossip(message: GossipMessage): void;
  /** The engine's log is there, for the first time or again. @param isNew this node made it, and nothing is in it */
  logUp?(isNew: boolean): void;
}

/** What every engine is opened with. */
export interface ClusterOptions {
  /** Cluster name: 1..63 characters of a-z, 0-9 and `-`. */
  readonly cluster: string;
  readonly listener: ClusterListener;
}
