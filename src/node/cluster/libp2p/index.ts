import type { Connection, Libp2p } from "@libp2p/interface";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { Mailbox } from "../mailbox.js";
import type {
  Cluster,
  ClusterGossipFigures,
  ClusterListener,
  ClusterOptions,
  PeerCandidate,
} from "../port.js";
import { Dialer } from "./dialer.js";
import { Gossip } from "./gossip.js";
import type { GossipRate } from "./gossip-budget.js";
import { type Host, startHost } from "./host.js";
import { Links, SYNC_PROTOCOL } from "./links.js";
import { type ListenOptions, listenAddresses } from "./listen.js";
import { reach } from "./reach.js";

export interface Libp2pClusterOptions extends ClusterOptions {
  readonly listen?: ListenOptions;
  /** 32 bytes, the seed of this node's Ed25519 key; without it every start has a new identity. */
  readonly privateKey?: Uint8Array;
  /** 32 bytes that all nodes of the cluster share; nobody else gets as far as a handshake. */
  readonly clusterKey?: Uint8Array;
  /** Ids of the peers that may connect; without it any may. */
  readonly allowPeers?: ReadonlySet<string>;
  /** Default LIMITS.peersMax. */
  readonly peersMax?: number;
  /** Default GOSSIP_RATE. */
  readonly gossipRate?: GossipRate;
}

/** One connected peer, for figures. */
export interface PeerConnection {
  readonly id: string;
  readonly address: string;
  /** Frames and gossip that wait for it on this side. */
  readonly queuedBytes: number;
  /** What GossipSub thinks of it; 0 is good, less is worse. */
  readonly score: number;
}

export interface Libp2pCluster extends Cluster {
  connections(): readonly PeerConnection[];
  readonly gossipFigures: ClusterGossipFigures;
}

/** How long `close` waits for peers to take what was sent. */
const FLUSH_MS_MAX = 500;

/**
 * Starts the embedded engine: libp2p over TCP, encrypted with noise, gossiping with GossipSub. Peers are found
 * elsewhere and handed to `dial`.
 * @throws portInUse, cannotListen, invalidOption; nothing is left open then
 */
export async function openLibp2pCluster(options: Libp2pClusterOptions): Promise<Libp2pCluster> {
  const { cluster, privateKey, clusterKey, allowPeers, peersMax = LIMITS.peersMax } = options;
  checkKey("privateKey", privateKey);
  checkKey("clusterKey", clusterKey);
  const gossip = new Gossip(cluster, options.gossipRate);
  let links: Links | undefined;
  const host = await startHost({
    listen: await listenAddresses(options.listen ?? {}),
    gossip,
    peersMax,
    ...(privateKey && { privateKey }),
    ...(clusterKey && { clusterKey }),
    admits: (peerId) =>
      links !== undefined &&
      (allowPeers?.has(peerId) ?? true) &&
      !gossip.shuns(peerId) &&
      (links.size < peersMax || links.isConnected(peerId)),
  });
  const engine = new Engine(host, gossip, options, peersMax);
  links = engine.links;
  await engine.start();
  return engine;
}

class Engine implements Libp2pCluster {
  readonly engine = "libp2p";
  readonly id: string;
  readonly addresses: readonly string[];
  readonly links: Links;
  readonly #libp2p: Libp2p;
  readonly #gossip: Gossip;
  readonly #dialer: Dialer;
  readonly #listener: ClusterListener;
  readonly #mailbox = new Mailbox();
  #closing: Promise<void> | undefined;

  constructor(host: Host, gossip: Gossip, options: Libp2pClusterOptions, peersMax: number) {
    this.id = host.id;
    this.addresses = host.addresses;
    this.#libp2p = host.libp2p;
    this.#gossip = gossip;
    this.#listener = options.listener;
    this.links = new Links(host.id, options.cluster, gossip, {
      up: (id, address) => {
        this.#dialer.up(id);
        this.#mailbox.post(() => this.#listener.peerUp({ id, address }));
      },
      down: (id, reason) => {
        this.#dialer.lost(id);
        this.#mailbox.post(() => this.#listener.peerDown(id, reason));
      },
      frame: (id, frame) => this.#mailbox.post(() => this.#listener.frame(id, frame)),
    });
    this.#dialer = new Dialer({
      selfId: host.id,
      reach: async (addresses, options) => (await reach(host, addresses, options)).remotePeer.toString(),
      isConnected: (id) => this.links.isConnected(id),
      hasRoom: () => this.links.size < peersMax,
    });
  }

  async start(): Promise<void> {
    this.#gossip.start({
      message: (message) => this.#mailbox.post(() => this.#listener.gossip(message)),
      joined: (id) => this.links.joined(id),
      broken: (id, reason) => this.links.cut(id, reason),
      admits: (connection) => this.links.serves(connection),
    });
    this.#libp2p.addEventListener("connection:open", ({ detail }) => this.#connected(detail));
    await this.#libp2p.handle(
      SYNC_PROTOCOL,
      (stream, connection) => this.links.accepted(stream, connection),
      {
        maxInboundStreams: 2,
        maxOutboundStreams: 2,
      },
    );
  }

  #connected(connection: Connection): void {
    const id = connection.remotePeer.toString();
    this.links.connected(connection);
    if (connection.direction === "inbound") this.#dialer.accepted(id);
    connection.addEventListener("close", () => this.#dialer.lost(id), { once: true });
  }

  get port(): number {
    return Number(/\/tcp\/(\d+)/.exec(this.addresses[0] ?? "")?.[1]);
  }

  get gossipFigures(): ClusterGossipFigures {
    return this.#gossip.figures;
  }

  get hasAudience(): boolean {
    return this.#gossip.hasAudience;
  }

  publish(message: Uint8Array): void {
    if (message.length > LIMITS.gossipBytesMax) {
      throw new RangeError(`a message of ${message.length} bytes exceeds gossipBytesMax`);
    }
    if (!this.#closing) this.#gossip.publish(message);
  }

  send(peerId: string, frame: Uint8Array): number {
    return this.#closing ? 0 : this.links.send(peerId, frame);
  }

  dial(candidate: PeerCandidate): void {
    this.#dialer.dial(candidate);
  }

  forget(peerId: string): void {
    this.#dialer.forget(peerId);
  }

  disconnect(peerId: string, reason: string, { punish = false, silent = false } = {}): void {
    if (punish) this.#gossip.punish(peerId);
    this.links.cut(peerId, reason, silent);
  }

  connections(): readonly PeerConnection[] {
    return Array.from(this.links.up(), ({ id, address, queuedBytes }) => ({
      id,
      address,
      queuedBytes: queuedBytes + this.#gossip.queuedBytes(id),
      score: this.#gossip.score(id),
    }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#dialer.close();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, FLUSH_MS_MAX);
    const finished = this.#gossip.settled().then(() => this.links.finish("this node is closing"));
    await Promise.race([finished, late]);
    clearTimeout(timer);
    this.links.close();
    this.#gossip.stop();
    await this.#libp2p.stop();
  }
}

function checkKey(name: string, key: Uint8Array | undefined): void {
  if (key === undefined || key.length === 32) return;
  throw new HubcastError("invalidOption", `${name} has ${key.length} bytes, it must have 32`);
}
