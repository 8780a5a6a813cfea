import type { KV, KvEntry } from "@nats-io/kv";
import type { NatsConnection, Subscription } from "@nats-io/transport-node";
import { subscribe } from "../../../runtime/nats.js";
import type { PublishKind } from "../../replica/messages.js";
import type { BrokerListener } from "../port.js";
import { apiCode, isId, lastToken, type Names } from "./stream.js";

export type MembersListener = Pick<BrokerListener, "broker" | "leader" | "registry" | "published" | "told">;

interface MembersOptions {
  readonly connection: NatsConnection;
  readonly names: Names;
  readonly id: string;
  /** Servers that keep a copy of the bucket, when it is made. */
  readonly replicas: number;
  /** Called at once. */
  readonly listener: MembersListener;
}

const KINDS: readonly PublishKind[] = ["members", "news", "question"];
const LEADER = "leader";
/** In front of a member's id in its key. */
const MEMBER = "member.";
/** Entries of members that are gone; long enough for those who come meanwhile to list them. */
const TTL_MS = 600_000;
/** Between attempts to open the bucket. */
const RETRY_MS = 500;
const READ_MS_MAX = 2_000;
const FLUSH_MS_MAX = 500;
const TICK_MS = 250;
/** A leader speaks every second. One that was silent for so long, and up to so much more, is replaced. */
const SILENCE_MS = 2_000;
const SILENCE_JITTER_MS = 500;
/** The leader confirms its key this often, and steps down when it could not for twice as long. */
const CONFIRM_MS = 2_000;
const WRONG_LAST_SEQUENCE = 10_071;

/**
 * The members of a cluster over one connection: their records in a key-value bucket, one of them elected by compare-and-swap
 * on a key, and messages to one or all of them. The bucket is kept in memory: each record is written anew every second.
 */
export class Members {
  readonly #options: MembersOptions;
  readonly #subscriptions: readonly Subscription[];
  readonly #timer: NodeJS.Timeout;
  #kv: KV | undefined;
  #isOpening = false;
  #isReading = false;
  #isConnected = true;
  #isClosed = false;
  #record: Uint8Array | undefined;
  readonly #writes = new Set<Promise<void>>();
  /** Of the leader's key, while this node leads. */
  #revision: number | undefined;
  #confirmedAtMs = 0;
  #isElecting = false;
  /** Without a word of the leader until then this node tries to be it. */
  #silentAtMs = Number.POSITIVE_INFINITY;

  constructor(options: MembersOptions) {
    this.#options = options;
    const { connection, names, id, listener } = options;
    const hear = (subject: string, take: (from: string, bytes: Uint8Array) => void) =>
      subscribe(connection, subject, (message) => {
        const from = lastToken(message.subject);
        // The bytes belong to the buffer of the connection, which goes on.
        if (from !== id) take(from, Uint8Array.from(message.data));
      });
    this.#subscriptions = [
      ...KINDS.map((kind) =>
        hear(names.published(kind, "*"), (_from, bytes) => {
          if (kind === "news") this.#heardLeader();
          listener.published(kind, bytes);
        }),
      ),
      hear(names.to(id, "*"), (from, bytes) => listener.told(from, bytes)),
    ];
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.open();
  }

  /** The connection is there, for the first time or again. */
  open(): void {
    this.#isConnected = true;
    if (!this.#isOpening) void this.#open();
  }

  /** The connection is gone. */
  lost(): void {
    this.#isConnected = false;
    this.#down();
  }

  renew(record: Uint8Array): void {
    this.#record = record;
    this.#write();
  }

  publish(kind: PublishKind, payload: Uint8Array): void {
    this.#publish(this.#options.names.published(kind, this.#options.id), payload);
  }

  tell(peer: string, frame: Uint8Array): void {
    if (isId(peer)) this.#publish(this.#options.names.to(peer, this.#options.id), frame);
  }

  async read(): Promise<void> {
    const kv = this.#kv;
    if (!kv || this.#isReading) return;
    this.#isReading = true;
    try {
      const entries = await within(READ_MS_MAX, entriesOf(kv));
      if (kv !== this.#kv) return;
      const newestMs = Math.max(...entries.map(({ createdMs }) => createdMs));
      this.#options.listener.registry(
        entries.map(({ createdMs, ...entry }) => ({ ...entry, ageMs: newestMs - createdMs })),
      );
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isReading = false;
    }
  }

  /** The write is under way, or took too long. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#isConnected) {
      const written = Promise.all(this.#writes).then(() => this.#options.connection.flush());
      await within(FLUSH_MS_MAX, written).catch(() => {});
    }
    this.#isClosed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  async #open(): Promise<void> {
    this.#isOpening = true;
    const { connection, names, replicas, listener } = this.#options;
    const { Kvm } = await import("@nats-io/kv");
    while (!this.#isClosed && this.#isConnected) {
      try {
        const kv = await new Kvm(connection).create(names.bucket, {
          ...{ description: "Members of a hubcast cluster", history: 1, ttl: TTL_MS },
          // The client reads the headers of direct answers where an invalid one ends its reading of the connection.
          ...{ storage: "memory" as const, replicas, allow_direct: false },
        });
        if (!this.#isConnected) break;
        this.#kv = kv;
        this.#heardLeader();
        listener.broker(true);
        this.#write();
        break;
      } catch {
        // Servers may be electing; what is wrong for good, the log says.
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#isOpening = false;
  }

  #down(): void {
    if (!this.#kv) return;
    this.#kv = undefined;
    this.#stepDown();
    this.#options.listener.broker(false);
  }

  #write(): void {
    const kv = this.#kv;
    if (!kv || !this.#record) return;
    const write = kv
      .put(MEMBER + this.#options.id, this.#record)
      .then(() => {}, this.#failed)
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  /** Handles a failed request to the bucket. A bucket that is gone is made anew. */
  readonly #failed = (error: unknown): void => {
    const isGone = apiCode(error) !== undefined || /no responders|503/i.test((error as Error).message);
    if (this.#isClosed || !isGone || isConflict(error)) return;
    this.#down();
    if (this.#isConnected) this.open();
  };

  #publish(subject: string, payload: Uint8Array): void {
    const { connection } = this.#options;
    // The client would keep it until it is of no use to anybody.
    if (!this.#isConnected || connection.isClosed()) return;
    try {
      connection.publish(subject, payload);
    } catch {
      // Another server takes smaller messages only. It is lost, as when a server drops it.
    }
  }

  #heardLeader(): void {
    this.#silentAtMs = performance.now() + SILENCE_MS + Math.random() * SILENCE_JITTER_MS;
  }

  #tick(): void {
    if (!this.#kv || this.#isElecting) return;
    const nowMs = performance.now();
    if (this.#revision === undefined ? nowMs >= this.#silentAtMs : nowMs - this.#confirmedAtMs >= CONFIRM_MS)
      void this.#elect(this.#kv);
  }

  /** Takes the key, or confirms it. Only one of those who saw the same revision can. */
  async #elect(kv: KV): Promise<void> {
    this.#isElecting = true;
    try {
      const led = this.#revision;
      const entry = led === undefined ? await kv.get(LEADER) : undefined;
      const last = led ?? (entry && isPut(entry) ? entry.revision : undefined);
      const { id } = this.#options;
      const revision = last === undefined ? await kv.create(LEADER, id) : await kv.update(LEADER, id, last);
      if (kv !== this.#kv) return;
      this.#revision = revision;
      this.#confirmedAtMs = performance.now();
      if (led === undefined) this.#options.listener.leader(true);
    } catch (error) {
      if (isConflict(error) || performance.now() - this.#confirmedAtMs > 2 * CONFIRM_MS) this.#stepDown();
      this.#failed(error);
    } finally {
      this.#isElecting = false;
    }
  }

  #stepDown(): void {
    this.#heardLeader();
    if (this.#revision === undefined) return;
    this.#revision = undefined;
    this.#options.listener.leader(false);
  }
}

interface MemberEntry {
  readonly id: string;
  readonly record: Uint8Array;
  readonly createdMs: number;
}

/**
 * The entries that are there now. An entry that is written anew before its turn comes behind those that were there, so
 * the end is where there are as many keys as the server counted at first. (`history` goes on for as long as anybody
 * writes.)
 */
async function entriesOf(kv: KV): Promise<MemberEntry[]> {
  const entries = new Map<string, MemberEntry>();
  const keys = new Set<string>();
  let received = 0;
  let count = Number.POSITIVE_INFINITY;
  for await (const entry of await kv.watch({ key: `${MEMBER}*` })) {
    const { key, value, created, isUpdate } = entry;
    received++;
    // The first that is marked is the last of those counted.
    if (isUpdate) count = Math.min(count, received);
    keys.add(key);
    const id = key.slice(MEMBER.length);
    if (isPut(entry)) entries.set(key, { id, record: Uint8Array.from(value), createdMs: created.getTime() });
    if (keys.size >= count) break;
  }
  return [...entries.values()];
}

/** Whether the key has a value. The client throws for headers that it cannot read; a removed key has none of those. */
function isPut(entry: KvEntry): boolean {
  try {
    return entry.operation === "PUT";
  } catch {
    return true;
  }
}

function isConflict(error: unknown): boolean {
  return apiCode(error) === WRONG_LAST_SEQUENCE;
}

async function within<Result>(ms: number, result: Promise<Result>): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("no answer in time")), ms);
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}
