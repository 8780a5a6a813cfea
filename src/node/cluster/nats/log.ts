import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { ERRORS, HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import type { GossipMessage, MessageLog } from "../port.js";
import { type LogMessage, Reader } from "./reader.js";
import {
  ensureStream,
  isFull,
  isPassing,
  type Names,
  type StreamSettings,
  type StreamState,
  untilElected,
} from "./stream.js";

interface LogOptions {
  readonly names: Names;
  readonly id: string;
  readonly instance: string;
  readonly settings: StreamSettings;
  readonly position?: string;
  gossip(message: GossipMessage): void;
  up(isNew: boolean): void;
  down(reason: string): void;
}

/** State while a server answers. */
interface Attached {
  readonly connection: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly reader: Reader;
  readonly appender: Appender;
}

/** How long `close` waits for acknowledgements. */
const FLUSH_MS_MAX = 500;
/** A stream that was there must be gone for so long before it is made again. */
const GONE_MS = 500;
const SILENT = "JetStream does not answer";
/** Between attempts to get the stream back. */
const RETRY_MS = 250;

/** The cluster's stream: found or made, read and appended to, and found again when it was lost. */
export class Log implements MessageLog {
  readonly #options: LogOptions;
  #attached: Attached | undefined;
  /** The stream that the start found; used by the first opening. */
  #found: StreamState | undefined;
  #isUp = false;
  #reason = "no NATS server has answered yet";
  /** Appends were not acknowledged for a while. They may be kept all the same, so posts go on waiting. */
  #isSilent = false;
  /** The listener knows that it is up. */
  #isTold = false;
  #opening = false;
  #openAgain = false;
  #closed = false;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get reason(): string {
    if (this.#isUp) return this.#isSilent ? SILENT : "";
    return this.#reason;
  }

  get caughtUp(): boolean {
    return this.#attached?.reader.caughtUp ?? false;
  }

  get isBehind(): boolean {
    return this.#attached?.reader.isBehind ?? true;
  }

  get position(): string | undefined {
    return this.#attached?.reader.position;
  }

  async append(message: Uint8Array): Promise<void> {
    if (!this.#attached) throw new HubcastError("natsAway", ERRORS.natsAway.meaning);
    await this.#attached.appender.append(message);
    this.#isSilent = false;
  }

  /** Finds the stream, or makes it; `open` reads it. @throws natsAway, natsStreamDiffers, natsUnusable */
  async attach(connection: NatsConnection, jsm: JetStreamManager): Promise<StreamState> {
    const { names, id, instance, settings } = this.#options;
    this.#found = await untilElected(connection, () => ensureStream(jsm, names, settings));
    const reader = new Reader({
      ...{ connection, jsm, stream: names.stream },
      deliver: (message) => this.#deliver(message),
      broken: () => this.open(),
    });
    const appender = new Appender({
      ...{ js: jsm.jetstream(), subject: names.itemsOf(id), instance },
      isUp: () => this.#isUp,
      unanswered: () => {
        this.#isSilent = true;
        this.open();
      },
    });
    this.#attached = { connection, jsm, reader, appender };
    this.#isUp = true;
    return this.#found;
  }

  /** Reads on, by a new consumer; again and again until that works. Harmless while it is being done already. */
  open(): void {
    if (this.#opening) this.#openAgain = true;
    else if (this.#attached) void this.#open(this.#attached);
  }

  /** The connection is gone, or none could be had. */
  lost(reason: string): void {
    this.#down(reason);
    this.#attached?.reader.stop();
  }

  async close(): Promise<void> {
    if (this.#isUp) await this.#attached?.appender.close(FLUSH_MS_MAX);
    this.#closed = true;
    this.#isUp = false;
    await this.#attached?.reader.close();
  }

  async #open({ jsm, reader }: Attached): Promise<void> {
    this.#opening = true;
    for (let isFirst = true; !this.#closed; isFirst = false) {
      if (!isFirst) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      this.#openAgain = false;
      // Messages read meanwhile would be ahead of the state of the stream.
      reader.stop();
      try {
        const { names, settings, position } = this.#options;
        const state = this.#found ?? (await ensureStream(jsm, names, settings, GONE_MS));
        this.#found = undefined;
        await reader.read(state, position);
        if (this.#closed) break;
        this.#isUp = true;
        this.#isSilent = false;
        if (!this.#isTold || state.isNew) this.#options.up(state.isNew);
        this.#isTold = true;
        if (!this.#openAgain) break;
      } catch (error) {
        // The stream cannot be reached, or not as it is now: posts wait, or are refused, until it can.
        this.#down((error as Error).message);
      }
    }
    this.#opening = false;
  }

  #down(reason: string): void {
    const isNews = this.#isUp || reason !== this.#reason;
    this.#isUp = false;
    this.#reason = reason;
    if (isNews && !this.#closed) this.#options.down(reason);
    this.#isTold = false;
  }

  #deliver({ bytes, mark, taken, acknowledge }: LogMessage): void {
    if (this.#attached?.appender.isOwn(mark)) acknowledge();
    else this.#options.gossip({ bytes, taken, acknowledge });
  }
}

interface AppenderOptions {
  readonly js: JetStreamClient;
  readonly subject: string;
  /** Random, so that no two appenders mark alike. */
  readonly instance: string;
  isUp(): boolean;
  /** No stream takes the message: it may be gone, or its servers are electing. */
  unanswered(): void;
}

/** How long one attempt waits for its acknowledgement. */
const ATTEMPT_MS = 2_000;
const PAUSE_MS = 100;
/** Marks remembered of messages that were given up. */
const ABANDONED_MAX = 10_000;

/**
 * Appends messages to the stream. Each carries a mark, by which the server stores a message once that is sent twice,
 * and by which this node knows its own when it reads them.
 */
class Appender {
  readonly #options: AppenderOptions;
  /** Publishes under way, by mark; called when the message is known to be stored. */
  readonly #open = new Map<string, () => void>();
  /** Given up without an answer: if they are stored after all, they count as somebody else's. */
  readonly #abandoned = new Set<string>();
  #last = 0;
  #closed = false;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** @throws natsAway, natsFull */
  async append(message: Uint8Array): Promise<void> {
    const mark = `${this.#options.instance}-${++this.#last}`;
    if (!this.#options.isUp() || this.#closed) throw away();
    const stored = Promise.withResolvers<void>();
    this.#open.set(mark, stored.resolve);
    const endMs = performance.now() + LIMITS.natsAckMsMax;
    try {
      await Promise.race([this.#attempts(mark, message, endMs), stored.promise]);
    } catch (error) {
      // Also what is refused may have been stored by an attempt before, whose answer got lost.
      this.#abandon(mark);
      throw error;
    } finally {
      this.#open.delete(mark);
    }
  }

  /** A message with this mark was read. @returns whether this node published it, and knows what became of it */
  isOwn(mark: string): boolean {
    if (!mark.startsWith(`${this.#options.instance}-`)) return false;
    this.#open.get(mark)?.();
    return !this.#abandoned.delete(mark);
  }

  /** Gives those under way a moment, and up what is left. */
  async close(waitMsMax: number): Promise<void> {
    const endMs = performance.now() + waitMsMax;
    while (this.#open.size > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#closed = true;
  }

  async #attempts(mark: string, message: Uint8Array, endMs: number): Promise<void> {
    for (;;) {
      const error = await this.#attempt(mark, message, endMs);
      // Stored, or read back meanwhile.
      if (!error || !this.#open.has(mark)) return;
      if (isFull(error)) throw full(error);
      // A connection that is lost meanwhile may be back in time.
      const isPast =
        this.#closed || performance.now() >= endMs || (this.#options.isUp() && !isPassing(error));
      if (isPast) throw away(error);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #attempt(mark: string, message: Uint8Array, endMs: number): Promise<Error | undefined> {
    if (!this.#options.isUp()) return away();
    const timeout = Math.max(PAUSE_MS, Math.min(ATTEMPT_MS, endMs - performance.now()));
    try {
      await this.#options.js.publish(this.#options.subject, message, { msgID: mark, timeout });
      return undefined;
    } catch (error) {
      if (!isFull(error)) this.#options.unanswered();
      return error as Error;
    }
  }

  #abandon(mark: string): void {
    this.#abandoned.add(mark);
    if (this.#abandoned.size <= ABANDONED_MAX) return;
    const [oldest] = this.#abandoned;
    this.#abandoned.delete(oldest!);
  }
}

function away(cause?: unknown): HubcastError {
  return new HubcastError("natsAway", ERRORS.natsAway.meaning, { cause });
}

function full(cause: Error): HubcastError {
  return new HubcastError("natsFull", `${ERRORS.natsFull.meaning} (${cause.message})`, { cause });
}
