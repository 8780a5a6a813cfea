import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubMessage,
  gossipsub,
} from "@libp2p/gossipsub";
import type { Connection, PeerId, Stream, StreamHandler, Topology } from "@libp2p/interface";
import { LIMITS } from "../../../core/limits.js";
import type { ClusterGossipFigures, GossipMessage, GossipVerdict } from "../port.js";
import type { GossipRate } from "./gossip-budget.js";
import { GossipMeter } from "./gossip-meter.js";
import { GossipQueue } from "./gossip-queue.js";
import { type Router, VERDICTS } from "./gossip-router.js";
import { gossipSettings } from "./gossip-settings.js";
import { Punishments } from "./punishments.js";
import { SCORE_THRESHOLDS } from "./score.js";
import { updateWindowLazily } from "./window.js";

/** The only version spoken: one version needs no negotiation, and this one has IDONTWANT. */
const PROTOCOL = "/meshsub/1.2.0";

interface GossipListener {
  message(message: GossipMessage): void;
  /** A message published now reaches that peer. */
  joined(peerId: string): void;
  /** A gossip stream of that peer ended: without it the peer would look connected, and hear nothing. */
  broken(peerId: string, reason: string): void;
  /** Whether the peer may gossip on that connection. */
  admits(connection: Connection): boolean;
}

/**
 * GossipSub on exactly the connections we choose. Left alone it takes the first connection to a peer, and when
 * that turns out to be the spare one of two and is closed, it never opens another. So the registrar that it sees
 * is ours: a peer joins it when its link is settled, and leaves it when the link ends.
 */
export class Gossip {
  readonly #topic: string;
  readonly #punishments = new Punishments();
  /** Of gossip that was rejected. The router counts them too, but looks at its count once a second. */
  readonly #rejections = new Punishments();
  readonly #meter: GossipMeter;
  readonly #outbound = new Map<string, GossipQueue>();
  readonly #publishing = new Set<Promise<void>>();
  readonly #subscribed = new Set<string>();
  #listener!: GossipListener;
  #topology: Topology | undefined;
  #router!: Router;
  #unsent = 0;

  /** @param rate default GOSSIP_RATE */
  constructor(cluster: string, rate?: GossipRate) {
    this.#topic = `hubcast/1/${cluster}`;
    this.#meter = new GossipMeter(rate, (peerId) => {
      this.punish(peerId);
      if (this.shuns(peerId)) this.#listener.broken(peerId, "it gossips without end");
    });
  }

  /** The libp2p service. */
  service(components: GossipSubComponents): GossipSub {
    const { privateKey, peerId, peerStore, connectionManager, logger } = components;
    const registrar = Object.assign(Object.create(components.registrar), {
      handle: (protocol: string, handler: StreamHandler, options: object) =>
        protocol === PROTOCOL
          ? components.registrar.handle(protocol, this.#accepting(handler), options)
          : Promise.resolve(),
      unhandle: (protocol: string) =>
        protocol === PROTOCOL ? components.registrar.unhandle(protocol) : Promise.resolve(),
      register: async (protocol: string, topology: Topology) => {
        if (protocol === PROTOCOL) this.#topology = topology;
        return protocol;
      },
      unregister: () => {},
    });
    this.#router = gossipsub(gossipSettings(this.#topic, (id) => this.#punishments.points(id, Date.now())))({
      privateKey,
      peerId,
      peerStore,
      connectionManager,
      logger,
      registrar,
    }) as Router;
    return this.#router;
  }

  /** Once libp2p has started. */
  start(listener: GossipListener): void {
    this.#listener = listener;
    this.#router.addEventListener("gossipsub:message", ({ detail }) => this.#received(detail));
    this.#router.addEventListener("subscription-change", ({ detail }) => {
      const subscription = detail.subscriptions.find(({ topic }) => topic === this.#topic);
      if (!subscription) return;
      const id = detail.peerId.toString();
      if (subscription.subscribe) this.#subscribed.add(id);
      else this.#subscribed.delete(id);
      this.#maybeJoined(id);
    });
    this.#router.subscribe(this.#topic);
  }

  /**
   * Starts to gossip with a peer. One side is enough: the other answers with a stream of its own, and because
   * that comes second, both are sure to put each other into the mesh at once, not at the next heartbeat.
   */
  join(connection: Connection): void {
    this.#topology?.onConnect?.(connection.remotePeer, this.#facade(connection));
  }

  leave(peer: PeerId): void {
    const id = peer.toString();
    this.#outbound.delete(id);
    this.#subscribed.delete(id);
    this.#topology?.onDisconnect?.(peer);
  }

  /** Before libp2p stops: the router forgets to stop this timer, which keeps a process alive for a second. */
  stop(): void {
    clearTimeout(this.#router.status.heartbeatTimeout);
  }

  /** Whether any peer hears what is published. */
  get hasAudience(): boolean {
    return this.#subscribed.size > 0;
  }

  publish(message: Uint8Array): void {
    if (!this.#router.isStarted()) return;
    // It throws when closing, and for what is not ours to handle here: a peer's stream that just ended.
    const published = this.#router
      .publish(this.#topic, message)
      .catch(() => {})
      .then(() => {
        this.#flush();
        this.#publishing.delete(published);
      });
    this.#publishing.add(published);
  }

  /** Resolves when what was published is handed down: the router takes a while. */
  async settled(): Promise<void> {
    await Promise.all(this.#publishing);
  }

  punish(peerId: string): void {
    this.#punishments.add(peerId, Date.now());
  }

  /** Whether it did so much wrong that nothing of it is wanted, not even a connection. */
  shuns(peerId: string): boolean {
    const limit = SCORE_THRESHOLDS.graylistThreshold;
    return (
      this.#router.isStarted() &&
      (this.score(peerId) < limit || -this.#rejections.points(peerId, Date.now()) < limit)
    );
  }

  score(peerId: string): number {
    return this.#router.getScore(peerId);
  }

  /** Bytes that wait for that peer. */
  queuedBytes(peerId: string): number {
    return this.#outbound.get(peerId)?.queuedBytes ?? 0;
  }

  get figures(): ClusterGossipFigures {
    return { unsent: this.#unsent, heldUp: this.#meter.breaks };
  }

  #accepting(handler: StreamHandler): StreamHandler {
    return (stream, connection) => {
      if (!this.#listener?.admits(connection)) {
        stream.abort(new Error("gossip before the greeting"));
        return;
      }
      this.#watch(connection, stream);
      this.#meter.watch(connection, stream);
      return handler(stream, this.#facade(connection));
    };
  }

  /** The connection as the router needs it, with an eye on the stream that it opens. */
  #facade(connection: Connection): Connection {
    const { remotePeer, remoteAddr, direction, id } = connection;
    const newStream = async (): Promise<Stream> => {
      const stream = await connection.newStream(PROTOCOL);
      const queue = new GossipQueue(stream, () => this.#unsent++);
      this.#outbound.set(remotePeer.toString(), queue);
      this.#watch(connection, stream);
      // By then the router has taken it and sent our subscription.
      setImmediate(() => {
        queue.flush();
        this.#maybeJoined(remotePeer.toString());
      });
      return stream;
    };
    const needed: Partial<Connection> = {
      remotePeer,
      remoteAddr,
      direction,
      id,
      status: connection.status,
      newStream,
    };
    return needed as Connection;
  }

  #watch(connection: Connection, stream: Stream): void {
    updateWindowLazily(stream);
    // When the whole connection is gone, that is the reason to give, and it comes by another way.
    const broken = () =>
      setImmediate(() => {
        if (connection.status === "open" && this.#listener.admits(connection)) {
          this.#listener.broken(connection.remotePeer.toString(), "the gossip stream ended");
        }
      });
    stream.addEventListener("close", broken, { once: true });
    stream.addEventListener("remoteCloseWrite", broken, { once: true });
  }

  /** What this node publishes waits for no end of a turn. */
  #flush(): void {
    for (const queue of this.#outbound.values()) queue.flush();
  }

  #maybeJoined(id: string): void {
    if (this.#subscribed.has(id) && this.#outbound.has(id)) this.#listener.joined(id);
  }

  #received({ msg, msgId, propagationSource }: GossipsubMessage): void {
    const from = propagationSource.toString();
    let settled = false;
    const settle = (verdict: GossipVerdict) => {
      if (settled || !this.#router.isStarted()) return;
      settled = true;
      this.#router.reportMessageValidationResult(msgId, from, VERDICTS[verdict]);
      // Left connected it would cost decryption and decoding of all that it goes on to send.
      if (verdict !== "reject") return;
      this.#rejections.add(from, Date.now());
      if (this.shuns(from)) this.#listener.broken(from, "its gossip was rejected again and again");
    };
    if (msg.data.length > LIMITS.gossipBytesMax) settle("reject");
    else this.#listener.message({ from, bytes: msg.data, settle });
  }
}
