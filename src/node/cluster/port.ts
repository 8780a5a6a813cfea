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

  /** Cuts the connection. `punish` lowers the score that GossipSub gives the peer. */
  disconnect(peerId: string, reason: string, options?: { readonly punish?: boolean }): void;

  /** Gives back every socket. Frames already sent are flushed first, for 500 ms at most. */
  close(): Promise<void>;
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
}

/** What every engine is opened with. */
export interface ClusterOptions {
  /** Cluster name: 1..63 characters of a-z, 0-9 and `-`. */
  readonly cluster: string;
  readonly listener: ClusterListener;
}
