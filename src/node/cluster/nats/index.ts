import { randomBytes } from "node:crypto";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { connectNats, type NatsAccess, type NatsServers } from "../../../net/nats/index.js";
import { Mailbox } from "../mailbox.js";
import type { Cluster, ClusterListener, ClusterOptions, MessageLog, PeerCandidate } from "../port.js";
import { nodeId } from "./identity.js";
import { openJetStream } from "./jetstream.js";
import { Links } from "./links.js";
import { Log } from "./log.js";
import { Names } from "./names.js";

export interface NatsClusterOptions extends ClusterOptions, NatsServers, NatsAccess {
  /** Items are kept for so long, ms; the same on all nodes of the cluster. */
  readonly retentionMs: number;
  /** Servers that keep a copy of the stream; absent: what the stream has, or one. */
  readonly replicas?: number;
  /** 32 bytes, which the node's id is made of; without them every start has a new one. */
  readonly privateKey?: Uint8Array;
  /** Where an earlier run was in the stream; absent: from its start. */
  readonly position?: string;
  /** Default LIMITS.peersMax. */
  readonly peersMax?: number;
}

/** How long `close` waits for peers to take what was sent. */
const FLUSH_MS_MAX = 500;

/**
 * Attaches to a cluster by way of NATS: JetStream keeps the items, and frames between nodes are messages of core
 * NATS. Nodes of one cluster find each other by themselves.
 * @throws natsUnreachable, natsRefused, natsNoJetStream, natsStreamDiffers, natsUnusable; nothing is left open then
 */
export async function openNatsCluster(options: NatsClusterOptions): Promise<Cluster> {
  const id = nodeId(options.privateKey);
  const connection = await connectNats({ ...options, name: `hubcast node ${id}` });
  try {
    requirePayload(connection);
    const jsm = await openJetStream(connection);
    const engine = new Engine(id, connection, jsm, options);
    await engine.start();
    return engine;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

class Engine implements Cluster {
  readonly engine = "nats";
  /** Peers are found by themselves. */
  readonly addresses: readonly string[] = [];
  /** The stream keeps what is published for whoever comes. */
  readonly hasAudience = true;
  readonly #connection: NatsConnection;
  readonly #log: Log;
  readonly #links: Links;
  readonly #mailbox = new Mailbox();
  #closing: Promise<void> | undefined;

  constructor(
    readonly id: string,
    connection: NatsConnection,
    jsm: JetStreamManager,
    options: NatsClusterOptions,
  ) {
    this.#connection = connection;
    const names = new Names(options.cluster);
    const tell = (call: (listener: ClusterListener) => void) =>
      this.#mailbox.post(() => call(options.listener));
    this.#log = new Log({
      ...{ connection, jsm, names, id, instance: randomBytes(9).toString("base64url"), settings: options },
      ...(options.position !== undefined && { position: options.position }),
      gossip: (message) => tell((listener) => listener.gossip(message)),
      up: (isNew) => tell((listener) => listener.logUp?.(isNew)),
      // Whoever reads the past first finds nothing left to reconcile when he meets the others.
      caughtUp: () => this.#links.open(),
    });
    this.#links = new Links({
      ...{ connection, names, id, peersMax: options.peersMax ?? LIMITS.peersMax },
      listener: {
        up: (peer, address) => tell((listener) => listener.peerUp({ id: peer, address })),
        down: (peer, reason) => tell((listener) => listener.peerDown(peer, reason)),
        frame: (peer, frame) => tell((listener) => listener.frame(peer, frame)),
      },
    });
  }

  async start(): Promise<void> {
    await this.#log.find();
    void this.#watch();
    // Not before the caller has its engine: nobody is told anything from inside of this call.
    setImmediate(() => this.#log.open());
  }

  get log(): MessageLog {
    return this.#log;
  }

  publish(message: Uint8Array): void {
    if (message.length > LIMITS.gossipBytesMax) {
      throw new RangeError(`a message of ${message.length} bytes exceeds gossipBytesMax`);
    }
    if (!this.#closing) this.#log.append(message).catch(() => {});
  }

  send(peerId: string, frame: Uint8Array): number {
    return this.#closing ? 0 : this.#links.send(peerId, frame);
  }

  dial({ id }: PeerCandidate): void {
    if (!this.#closing && id !== this.id) this.#links.seek(id);
  }

  forget(peerId: string): void {
    this.#links.forget(peerId);
  }

  disconnect(peerId: string, reason: string, { punish = false } = {}): void {
    this.#links.cut(peerId, reason, punish);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (this.#closing) return;
      if (type === "disconnect") {
        this.#log.lost();
        this.#links.shut("the connection to NATS was lost");
      } else if (type === "reconnect") {
        // Links are opened again when the log is there.
        this.#log.open();
      }
    }
  }

  async #close(): Promise<void> {
    await this.#links.finish("this node is closing", FLUSH_MS_MAX);
    await this.#log.close();
    await this.#connection.close();
  }
}

/** An item of the largest size must fit in one message. @throws natsUnusable */
function requirePayload(connection: NatsConnection): void {
  const bytes = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  if (bytes >= LIMITS.gossipBytesMax) return;
  throw new HubcastError(
    "natsUnusable",
    `the NATS server at ${connection.getServer()} takes messages of ${bytes} bytes at most`,
    {
      suggestions: [
        `Set max_payload to ${LIMITS.gossipBytesMax} or more in its configuration; 1MB is its default.`,
      ],
    },
  );
}
