import { setTimeout as sleep } from "node:timers/promises";
import type { JetStreamError } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../core/errors.js";
import { connectNats, type NatsAccess, noJetStream, parseNatsEngine, subscribe } from "../../runtime/nats.js";

/** Heartbeats go to ALL, packets for one hub to TO and its key. */
const ALL = "hubcast.hub.1.all";
const TO = "hubcast.hub.1.to.";
/** A connection that does not answer is closed without waiting for the flush. */
const FLUSH_MS = 1_000;
/** Smaller packets get memory of their own: a slice would keep the whole read in memory. */
const COPY_BELOW_BYTES = 16_384;

interface NatsRouterOptions extends NatsAccess {
  /** `nats://HOST:4222[,HOST...]`. */
  readonly engine: string;
  /** Shown by the server's own tools. */
  readonly name: string;
  /** Servers that keep the key of the ids. */
  readonly replicas: number;
  /** A fault that the connection survives. */
  readonly onWarning: (message: string) => void;
}

/**
 * Connects hubs by NATS: packets on subjects, ids from a key-value bucket.
 * @throws natsUnreachable, natsRefused, natsNoJetStream, natsUnusable, invalidOption; leaves nothing open then
 */
export async function openNatsRouter(options: NatsRouterOptions): Promise<NatsRouter> {
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

interface RouterHandlers {
  /** A packet of another hub. The receiver owns the bytes. */
  readonly onPacket: (packet: Buffer) => void;
  /** NATS is connected again, or away. Packets may be lost in between. */
  readonly onChange: (connected: boolean) => void;
}

/** Carries packets between hubs. It may lose or repeat them, and keeps the order of those from one hub to another. */
export class NatsRouter {
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

  /** Takes packets from now on: those for `hub`, and those for all. */
  async start(hub: string, { onPacket, onChange }: RouterHandlers): Promise<void> {
    let refused: Error | null = null;
    for (const subject of [ALL, `${TO}${hub}`]) {
      subscribe(
        this.connection,
        subject,
        ({ data }) => onPacket(ownBytes(data)),
        (error) => {
          refused = error;
          this.warn(`NATS: ${error.message}`);
        },
      );
    }
    await this.connection.flush();
    if (refused !== null) throw subjectsRefused(this.connection.getServer(), refused);
    void this.#watch(onChange);
  }

  /** Sends to one hub. Drops the packet while NATS is away. */
  send(hub: string, packet: Buffer): void {
    this.#publish(`${TO}${hub}`, packet);
  }

  broadcast(packet: Buffer): void {
    this.#publish(ALL, packet);
  }

  async lease(from: number): Promise<IdBlock> {
    return await this.ids.lease(from);
  }

  async keep(from: number): Promise<void> {
    await this.ids.keep(from);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const flushed = this.connected ? this.connection.flush().catch(() => {}) : Promise.resolve();
    await Promise.race([flushed, sleep(FLUSH_MS, undefined, { ref: false })]);
    await this.connection.close();
  }

  /**
   * Publishes nothing while NATS is away: the library would buffer it and send it too late to be of use.
   */
  #publish(subject: string, packet: Buffer): void {
    if (!this.connected || this.connection.isClosed()) return;
    try {
      this.connection.publish(subject, packet);
    } catch (error) {
      // Another server of the cluster has a smaller limit. The packet is lost, as when a server drops it.
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
      } else if (status.type === "error") this.warn(`NATS: ${status.error.message}`);
    }
  }
}

/** The packet as a writable buffer; a small one is copied. */
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

/** Ids from `first` to before `end`, which no other hub ever gets. */
export interface IdBlock {
  readonly first: number;
  readonly end: number;
}

export const BUCKET = "hubcast_hub";
const KEY = "next_id";
/**
 * Ids of one lease: as many clients can arrive while NATS is away. Below 2^53 there are 137 thousand million leases.
 */
export const BLOCK_IDS = 65_536;
/** Above this, numbers are not exact. */
const ID_END = Number.MAX_SAFE_INTEGER;
/** Hubs that lease at the same time succeed one after the other: a hundred that start together all get theirs. */
const ATTEMPTS = 200;
/** How long servers that elect a leader get, and how often they are asked. */
const ELECTION_MS = 20_000;
const ASK_AGAIN_MS = 200;

/** Leases blocks of ids to hubs: one key holds the first free id and changes by compare-and-set only. */
export class IdLease {
  private constructor(
    private readonly bucket: () => Promise<KV>,
    private readonly server: string,
  ) {}

  /** Creates the bucket if it is missing. @throws natsNoJetStream, natsUnusable */
  static async open(connection: NatsConnection, replicas: number): Promise<IdLease> {
    const server = connection.getServer();
    const { Kvm } = await import("@nats-io/kv");
    // The client reads the headers of direct answers where an invalid one ends its reading of the connection.
    const settings = { history: 1, replicas, allow_direct: false };
    const bucket = () => patiently(() => new Kvm(connection).create(BUCKET, settings));
    try {
      await bucket();
      return new IdLease(bucket, server);
    } catch (error) {
      throw bucketError(error as Error, server);
    }
  }

  /**
   * Leases a block that no hub had before.
   * @param from the first id of which no hub is known to have it: the block begins there or later
   * @throws natsNoJetStream, natsUnusable
   */
  async lease(from: number): Promise<IdBlock> {
    const first = await this.#advance((next) => {
      const free = roundUp(Math.max(next, from));
      return { from: free, to: free + BLOCK_IDS };
    });
    return { first, end: first + BLOCK_IDS };
  }

  /** Restores the key after NATS was away and may have lost it. @throws natsNoJetStream, natsUnusable */
  async keep(from: number): Promise<void> {
    await this.#advance((next) => ({ from: next, to: Math.max(next, from) }));
  }

  async #advance(step: (next: number) => { from: number; to: number }): Promise<number> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        // NATS may have lost it since: it is made again.
        const kv = await this.bucket();
        const entry = await patiently(() => kv.get(KEY));
        const there = entry !== null && entry.operation === "PUT";
        const next = there ? this.#read(entry.string()) : 1;
        const { from, to } = step(next);
        if (to > ID_END) throw unusable(this.server, "all ids below 2^53 are given away");
        if (to === next) return from;
        // An unanswered update may have been applied: the next attempt then fails, and a block is left out.
        if (there) await patiently(() => kv.update(KEY, String(to), entry.revision));
        else await patiently(() => kv.create(KEY, String(to)));
        return from;
      } catch (error) {
        if (!isConflict(error)) throw bucketError(error as Error, this.server);
      }
    }
    throw unusable(this.server, `${ATTEMPTS} other hubs were faster, one after the other`);
  }

  #read(text: string): number {
    const next = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
    if (next <= ID_END) return next;
    throw unusable(this.server, `the key ${KEY} holds something else: ${JSON.stringify(text.slice(0, 40))}`);
  }
}

/** Servers of a cluster that have just started, or lost one of them, grant nothing for up to some ten seconds. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + ELECTION_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error as Error) || performance.now() > endMs) throw error;
      await sleep(ASK_AGAIN_MS);
    }
  }
}

function isPassing({ name, message }: Error): boolean {
  return name === "TimeoutError" || /timeout|temporarily unavailable/i.test(message);
}

/** Blocks begin at 1, 65,537, ...: an id shows which block it is of. */
function roundUp(id: number): number {
  return Math.ceil((id - 1) / BLOCK_IDS) * BLOCK_IDS + 1;
}

/** Another hub has changed the key since it was read. */
function isConflict(error: unknown): boolean {
  const { code } = error as JetStreamError & { readonly code?: number };
  return code === 10071 || /wrong last sequence/i.test((error as Error).message);
}

function bucketError(error: Error, server: string): HubcastError {
  if (error instanceof HubcastError) return error;
  if (error.name === "JetStreamNotEnabled" || /jetstream.*not enabled|no responders/i.test(error.message)) {
    return noJetStream(server, error);
  }
  return unusable(server, error.message, error);
}

function unusable(server: string, why: string, cause?: Error): HubcastError {
  return new HubcastError("natsUnusable", `no ids from the bucket ${BUCKET} of NATS at ${server}: ${why}`, {
    cause,
    suggestions: [
      "Let this user make and use the key-value bucket, or free space for JetStream.",
      `If another program has it: nats kv rm ${BUCKET}, while no hub runs.`,
    ],
  });
}
