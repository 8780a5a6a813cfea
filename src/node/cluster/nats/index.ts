import { randomBytes } from "node:crypto";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { connectNats, type NatsAccess, type NatsServers } from "../../../runtime/nats.js";
import type { PublishKind } from "../../replica/messages.js";
import { Identity } from "../identity.js";
import { type BrokerEngine, type BrokerListener, type ClusterOptions, Mailbox } from "../port.js";
import { Log } from "./log.js";
import { Members, type MembersListener } from "./members.js";
import { Names, openJetStream } from "./stream.js";

export interface NatsClusterOptions extends ClusterOptions<BrokerListener>, NatsServers, NatsAccess {
  /** Items are kept for so long, ms; the same on all nodes of the cluster. */
  readonly retentionMs: number;
  /** Servers that keep a copy of the stream; absent: what the stream has, or one. */
  readonly replicas?: number;
  /** 32 bytes, which the node's id is made of; without them every start has a new one. */
  readonly privateKey?: Uint8Array;
  /** Where an earlier run was in the stream; absent: from its start. */
  readonly position?: string;
}

/**
 * Attaches to a cluster through NATS: JetStream keeps the items and the members' records, and frames between nodes are
 * messages of core NATS. Where no server answers, the engine is open all the same, and goes on looking for one.
 * @throws natsRefused, natsNoJetStream, natsStreamDiffers, natsUnusable; nothing is left open then
 */
export async function openNatsCluster(options: NatsClusterOptions): Promise<BrokerEngine> {
  const engine = new NatsEngine(options);
  try {
    await engine.start();
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Between attempts to find a server at first. */
const RETRY_MS = 1_000;

class NatsEngine extends Identity implements BrokerEngine {
  readonly engine = "nats";
  /** Peers are found by themselves. */
  readonly addresses: readonly string[] = [];
  readonly log: Log;
  readonly #options: NatsClusterOptions;
  readonly #names: Names;
  readonly #mailbox = new Mailbox();
  #connection: NatsConnection | undefined;
  #members: Members | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: NatsClusterOptions) {
    super(options.privateKey);
    this.#options = options;
    this.#names = new Names(options.cluster);
    const { listener, position } = options;
    this.log = new Log({
      ...{
        names: this.#names,
        id: this.id,
        instance: randomBytes(9).toString("base64url"),
        settings: options,
      },
      ...(position !== undefined && { position }),
      gossip: (message) => this.#tell(() => listener.gossip(message)),
      up: (isNew) => this.#tell(() => listener.logUp(isNew)),
      down: (reason) => this.#tell(() => listener.logDown(reason)),
    });
  }

  async start(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      if (!isAway(error)) throw error;
      // Not before the caller has its engine: nobody is told anything from inside of this call.
      setImmediate(() => void this.#retry(error as Error));
    }
  }

  renew(record: Uint8Array): void {
    this.#members?.renew(record);
  }

  readRegistry(): void {
    void this.#members?.read();
  }

  publish(kind: PublishKind, payload: Uint8Array): void {
    this.#members?.publish(kind, payload);
  }

  tell(peer: string, frame: Uint8Array): void {
    this.#members?.tell(peer, frame);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #connect(): Promise<void> {
    const { id, log } = this;
    const names = this.#names;
    const connection = await connectNats({ ...this.#options, name: `hubcast node ${id}` });
    try {
      requirePayload(connection);
      const { replicas } = await log.attach(connection, await openJetStream(connection));
      if (this.#closing) throw new HubcastError("natsAway", "the node is closing");
      this.#connection = connection;
      void this.#watch(connection);
      setImmediate(() => {
        if (this.#closing) return;
        log.open();
        this.#members = new Members({ connection, names, id, replicas, listener: this.#listener() });
      });
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Calls to the listener go through the mailbox. */
  #listener(): MembersListener {
    const { listener } = this.#options;
    return {
      broker: (isUp) => this.#tell(() => listener.broker(isUp)),
      leader: (isLeader) => this.#tell(() => listener.leader(isLeader)),
      registry: (entries) => this.#tell(() => listener.registry(entries)),
      published: (kind, payload) => this.#tell(() => listener.published(kind, payload)),
      told: (peer, frame) => this.#tell(() => listener.told(peer, frame)),
    };
  }

  #tell(call: () => void): void {
    this.#mailbox.post(call);
  }

  async #retry(error: Error): Promise<void> {
    for (let { message } = error; ; ) {
      this.log.lost(message);
      await new Promise<void>((resolve) => {
        this.#retryTimer = setTimeout(resolve, RETRY_MS);
      });
      if (this.#closing) return;
      try {
        await this.#connect();
        return;
      } catch (thrown) {
        ({ message } = thrown as Error);
      }
    }
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (this.#closing) return;
      if (type === "disconnect") {
        this.log.lost("the connection to NATS was lost");
        this.#members?.lost();
      } else if (type === "reconnect") {
        this.log.open();
        this.#members?.open();
      }
    }
  }

  async #close(): Promise<void> {
    clearTimeout(this.#retryTimer);
    await this.#members?.close();
    await this.log.close();
    await this.#connection?.close();
  }
}

function isAway(error: unknown): boolean {
  const { code } = error as { readonly code?: string };
  return code === "natsUnreachable" || code === "natsAway";
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
