import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { GossipMessage, MessageLog } from "../port.js";
import { Appender } from "./appender.js";
import { untilElected } from "./jetstream.js";
import { lastToken, type Names } from "./names.js";
import { type LogMessage, Reader } from "./reader.js";
import { ensureStream, type StreamSettings, type StreamState } from "./stream.js";

interface LogOptions {
  readonly connection: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly names: Names;
  readonly id: string;
  readonly instance: string;
  readonly settings: StreamSettings;
  readonly position?: string;
  gossip(message: GossipMessage): void;
  up(isNew: boolean): void;
  /** Everything that was there at the start has been read. */
  caughtUp(): void;
}

/** How long `close` waits for acknowledgements. */
const FLUSH_MS_MAX = 500;
/** Between attempts to get the stream back. */
const RETRY_MS = 250;

/** The cluster's stream: found or made, read and appended to, and found again when it was lost. */
export class Log implements MessageLog {
  readonly #options: LogOptions;
  readonly #reader: Reader;
  readonly #appender: Appender;
  /** What the start found; used by the first opening. */
  #found: StreamState | undefined;
  #isUp = false;
  /** The listener knows that it is up. */
  #isTold = false;
  #opening = false;
  #openAgain = false;
  #closed = false;

  constructor(options: LogOptions) {
    const { connection, jsm, names, id, instance } = options;
    this.#options = options;
    this.#reader = new Reader({
      ...{ connection, jsm, stream: names.stream },
      deliver: (message) => this.#deliver(message),
      broken: () => this.open(),
      caughtUp: () => this.#caughtUp(),
    });
    this.#appender = new Appender({
      ...{ js: jsm.jetstream(), subject: names.itemsOf(id), instance },
      isUp: () => this.#isUp,
      unanswered: () => this.open(),
    });
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get caughtUp(): boolean {
    return this.#reader.caughtUp;
  }

  get position(): string | undefined {
    return this.#reader.position;
  }

  append(message: Uint8Array): Promise<void> {
    return this.#appender.append(message);
  }

  /** The stream as a start finds it, or makes it. @throws natsStreamDiffers, natsUnusable */
  async find(): Promise<void> {
    const { connection } = this.#options;
    this.#found = await untilElected(connection, () => this.#ensure());
    this.#isUp = true;
  }

  /** Reads on, by a new consumer; again and again until that works. Harmless while it is being done already. */
  open(): void {
    if (this.#opening) this.#openAgain = true;
    else void this.#open();
  }

  /** The connection is gone. */
  lost(): void {
    this.#down();
    this.#reader.stop();
  }

  async close(): Promise<void> {
    if (this.#isUp) await this.#appender.close(FLUSH_MS_MAX);
    this.#closed = true;
    this.#isUp = false;
    await this.#reader.close();
  }

  async #open(): Promise<void> {
    this.#opening = true;
    for (let isFirst = true; !this.#closed; isFirst = false) {
      if (!isFirst) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      this.#openAgain = false;
      // What it reads meanwhile would be ahead of what the stream is found to have.
      this.#reader.stop();
      try {
        const state = this.#found ?? (await this.#ensure());
        this.#found = undefined;
        await this.#reader.read(state, this.#options.position);
        if (this.#closed) break;
        this.#isUp = true;
        if (!this.#isTold || state.isNew) this.#options.up(state.isNew);
        this.#isTold = true;
        if (this.#reader.caughtUp) this.#caughtUp();
        if (!this.#openAgain) break;
      } catch {
        // The stream cannot be reached, or not as it is now: posts wait, or are refused, until it can.
        this.#down();
      }
    }
    this.#opening = false;
  }

  #down(): void {
    this.#isUp = false;
    this.#isTold = false;
  }

  #ensure(): Promise<StreamState> {
    const { jsm, names, settings } = this.#options;
    return ensureStream(jsm, names, settings);
  }

  #caughtUp(): void {
    if (!this.#closed && this.#isUp) this.#options.caughtUp();
  }

  #deliver({ subject, bytes, mark, taken, settle }: LogMessage): void {
    if (this.#appender.isOwn(mark)) settle();
    else this.#options.gossip({ from: lastToken(subject), bytes, taken, settle });
  }
}
