import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { ERRORS, HubcastError } from "../../../core/errors.js";
import type { GossipMessage, MessageLog } from "../port.js";
import { Appender } from "./appender.js";
import { lastToken, type Names } from "./names.js";
import { type LogMessage, Reader } from "./reader.js";
import { ensureStream, type StreamSettings, type StreamState, untilElected } from "./stream.js";

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
  /** Nobody has acknowledged what was appended for a while. It may be kept all the same, so posts go on waiting. */
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

  #deliver({ subject, bytes, mark, taken, settle }: LogMessage): void {
    if (this.#attached?.appender.isOwn(mark)) settle();
    else this.#options.gossip({ from: lastToken(subject), bytes, taken, settle });
  }
}
