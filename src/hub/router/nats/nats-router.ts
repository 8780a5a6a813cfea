import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../../core/errors.js";
import { connectNats, type NatsAccess, parseNatsEngine } from "../../../net/nats/index.js";
import type { IdBlock, Router, RouterHandlers } from "../port.js";
import { IdLease } from "./id-lease.js";

/** Beats go to ALL, what is for one hub goes to TO and its key. */
const ALL = "hubcast.hub.1.all";
const TO = "hubcast.hub.1.to.";
/** A connection that does not answer is closed without waiting for what is still to be written. */
const FLUSH_MS = 1_000;
/** Packets smaller than this get memory of their own: they would keep all that was read with them. */
const COPY_BELOW_BYTES = 16_384;

export interface NatsRouterOptions extends NatsAccess {
  /** `nats://HOST:4222[,HOST...]`. */
  readonly engine: string;
  /** Shown by the server's own tools. */
  readonly name: string;
  /** Servers that keep the key of the ids. */
  readonly replicas: number;
  /** Something went wrong that the connection survives. */
  readonly onWarning: (message: string) => void;
}

/**
 * Connects hubs by NATS: packets on subjects, ids from a key-value bucket.
 * @throws natsUnreachable, natsRefused, natsNoJetStream, natsUnusable, invalidOption; leaves nothing open then
 */
export async function openNatsRouter(options: NatsRouterOptions): Promise<Router> {
  const { engine, name, credentials, ca } = options;
  const connection = await connectNats({
    ...parseNatsEngine(engine),
    name: `hubcast hub ${name}`,
    ...(credentials !== undefined && { credentials }),
    ...(ca !== undefined && { ca }),
  });
  try {
    return new NatsRouter(connection, await IdLease.open(connection, options.replicas), options.onWarning);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

class NatsRouter implements Router {
  readonly engine = "nats";
  connected = true;
  #closed = false;

  constructor(
    private readonly connection: NatsConnection,
    private readonly ids: IdLease,
    private readonly warn: (message: string) => void,
  ) {}

  get packetBytesMax(): number {
    return this.connection.info?.max_payload ?? 1_048_576;
  }

  async start(hub: string, { onPacket, onChange }: RouterHandlers): Promise<void> {
    let refused: Error | null = null;
    const callback = (error: Error | null, message: Msg): void => {
      if (error === null) onPacket(ownBytes(message.data));
      else {
        refused = error;
        this.warn(`NATS: ${error.message}`);
      }
    };
    this.connection.subscribe(ALL, { callback });
    this.connection.subscribe(`${TO}${hub}`, { callback });
    await this.connection.flush();
    if (refused !== null) throw subjectsRefused(this.connection.getServer(), refused);
    void this.#watch(onChange);
  }

  send(hub: string, packet: Buffer): void {
    this.#publish(`${TO}${hub}`, packet);
  }

  broadcast(packet: Buffer): void {
    this.#publish(ALL, packet);
  }

  async lease(above: number): Promise<IdBlock> {
    return await this.ids.lease(above);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const flushed = this.connected ? this.connection.flush().catch(() => {}) : Promise.resolve();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_MS);
    });
    await Promise.race([flushed, late]);
    clearTimeout(timer);
    await this.connection.close();
  }

  /** While it is away nothing is published: the client would keep it, and send it when nobody waits for it any more. */
  #publish(subject: string, packet: Buffer): void {
    if (!this.connected || this.connection.isClosed()) return;
    try {
      this.connection.publish(subject, packet);
    } catch (error) {
      // Another server of the cluster, with a smaller limit. It is as lost as one that the server drops.
      this.warn(`NATS: ${(error as Error).message}`);
    }
  }

  async #watch(onChange: (connected: boolean) => void): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === "disconnect" || status.type === "close") {
        if (this.connected && !this.#closed)
          this.warn("NATS is away: clients of this hub reach each other only");
        this.connected = false;
        onChange(false);
      } else if (status.type === "reconnect") {
        this.connected = true;
        onChange(true);
        this.ids.keep().catch((error: Error) => this.warn(error.message));
      } else if (status.type === "error") this.warn(`NATS: ${status.error.message}`);
    }
  }
}

/** The packet as a buffer that is written to: small ones do not stay in what was read with them. */
function ownBytes(bytes: Uint8Array): Buffer {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength >= COPY_BELOW_BYTES) return view;
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  view.copy(copy);
  return copy;
}

function subjectsRefused(server: string, cause: Error): HubcastError {
  return new HubcastError(
    "natsUnusable",
    `the NATS server at ${server} refuses the subjects of hubs: ${cause.message}`,
    {
      cause,
      suggestions: [`Let this user publish and subscribe to hubcast.hub.>.`],
    },
  );
}
