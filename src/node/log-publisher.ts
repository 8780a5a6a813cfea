import { LIMITS } from "../core/limits.js";
import type { MessageLog } from "./cluster/port.js";
import type { NodeLogger } from "./option-kinds.js";
import { wholeItem } from "./replica/held/held-item.js";
import { encodeBatch, encodedLength, type Item } from "./replica/item.js";
import type { CommitRefusal } from "./replica/messages.js";
import type { Storage, StorageChange } from "./storage/port.js";

/** Messages under way at the same time: enough to hide the round trip to the servers that keep copies. */
const APPENDS_MAX = 16;
/** A position that no commit has carried along is stored after so long. */
const POSITION_DELAY_MS = 1_000;
/** Delay before a refused publish is tried again. */
const RETRY_MS = 2_000;
/** Items missing in the log are published in batches of this size. */
const STEP = 1_000;

interface Waiting {
  readonly items: readonly Item[];
  readonly bytes: number;
  resolve(): void;
  reject(error: Error): void;
}

interface PublisherOptions {
  readonly log: MessageLog;
  readonly storage: Storage;
  readonly logger: NodeLogger;
  readonly figures: { messagesSent: number; itemsSent: number };
}

/**
 * Takes what is committed to the cluster's log as well, where the engine has one. A posted item is stored first, then
 * appended, and counts as committed when the log has acknowledged it. While the log is away, an item that is on disk
 * counts, too: it is marked, and appended when the log is back. What is only in memory is refused then.
 */
export class LogPublisher {
  readonly #options: PublisherOptions;
  readonly #waiting: Waiting[] = [];
  #appending = 0;
  /** Held here, and not in the log, as far as this node knows: by digest. */
  readonly #pending = new Map<string, Item>();
  #isFlushing = false;
  #isFull = false;
  /** The position stays where it is until the next start. */
  #isHalted = false;
  #stored: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #positionTimer: NodeJS.Timeout;
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#stored = options.storage.position;
    this.#positionTimer = setInterval(() => this.#storePosition(), POSITION_DELAY_MS).unref();
  }

  /** Why the log cannot be appended to; empty while it can. */
  get awayReason(): string {
    return this.#options.log.reason;
  }

  /** The log has no room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Items that are held here, and not in the log. Called with none, too, when the log is there again. */
  publishLater(items: Iterable<Item>): void {
    for (const item of items) this.#pending.set(item.digest, item);
    void this.#flush();
  }

  /** Stores what peers brought, and forgets what goes. */
  async commit(change: StorageChange): Promise<void> {
    for (const { digest } of change.remove) this.#pending.delete(digest);
    await this.#store(change);
  }

  /** Stores items that were posted here, and appends them. @throws storageFailed, natsAway, natsFull */
  async commitPosted(add: readonly Item[]): Promise<void> {
    const { log, storage } = this.#options;
    const isAway = !log.isUp && storage.isDurable;
    await this.#store({ add, remove: [], ...(isAway && { unlogged: add }) });
    if (isAway) {
      this.publishLater(add);
      return;
    }
    try {
      await this.#append(add);
      this.#isFull = false;
    } catch (error) {
      await this.#unappended(add, error as Error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#positionTimer);
    this.#storePosition();
  }

  async #unappended(items: readonly Item[], error: Error): Promise<void> {
    const { storage } = this.#options;
    const { code } = error as { code?: CommitRefusal };
    if (code === "natsAway" && storage.isDurable) {
      await this.#store({ add: [], remove: [], unlogged: items });
      this.publishLater(items);
      return;
    }
    this.#isFull = code === "natsFull";
    // Refused, so it is not kept here either.
    await this.#store({ add: [], remove: items }).catch(() => {});
    throw error;
  }

  async #store(change: StorageChange): Promise<void> {
    const position = this.#isHalted ? undefined : this.#options.log.position;
    try {
      await this.#options.storage.commit(position === undefined ? change : { ...change, position });
      this.#stored = position;
    } catch (error) {
      // Items from the log are not stored: a restart must read it once more.
      this.#isHalted = true;
      throw error;
    }
  }

  #storePosition(): void {
    const { log, storage } = this.#options;
    if (!storage.isDurable || this.#isHalted || log.position === undefined || log.position === this.#stored)
      return;
    this.#store({ add: [], remove: [] }).catch(() => {});
  }

  /** Resolves when the log has acknowledged all of them. */
  async #append(items: readonly Item[]): Promise<void> {
    const messages: { readonly items: Item[]; bytes: number }[] = [];
    for (const item of items) {
      const bytes = encodedLength(item);
      const last = messages.at(-1);
      if (last && last.bytes + bytes <= LIMITS.batchBytesMax) {
        last.items.push(item);
        last.bytes += bytes;
      } else messages.push({ items: [item], bytes });
    }
    await Promise.all(messages.map((message) => this.#enqueue(message)));
  }

  #enqueue({ items, bytes }: Pick<Waiting, "items" | "bytes">): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, bytes, resolve, reject });
      this.#pump();
    });
  }

  /** Idle, an item leaves at once; what comes while many are under way shares a message. */
  #pump(): void {
    while (this.#appending < APPENDS_MAX && this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      const items = batch.flatMap((one) => one.items);
      this.#appending++;
      this.#options.log
        .append(encodeBatch(items))
        .then(
          () => {
            this.#options.figures.messagesSent++;
            this.#options.figures.itemsSent += items.length;
            for (const { resolve } of batch) resolve();
          },
          (error: Error) => {
            for (const { reject } of batch) reject(error);
          },
        )
        .finally(() => {
          this.#appending--;
          this.#pump();
        });
    }
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((one, index) => {
      bytes += one.bytes;
      return bytes > LIMITS.batchBytesMax && index > 0;
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  /** Appends what the log lacks, one step after the other, for as long as it takes it. */
  async #flush(): Promise<void> {
    const { log, logger } = this.#options;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    clearTimeout(this.#timer);
    try {
      while (this.#pending.size > 0 && log.isUp && !this.#closed) {
        const items = firstOf(this.#pending.values(), STEP).map(wholeItem);
        await this.#append(items);
        this.#isFull = false;
        for (const { digest } of items) this.#pending.delete(digest);
        await this.#store({ add: [], remove: [], logged: items });
        if (this.#pending.size === 0) logger.info({}, "everything that was kept meanwhile is published");
      }
    } catch (error) {
      if ((error as { code?: string }).code === "natsFull") this.#isFull = true;
      logger.warn(
        { error: (error as Error).message, items: this.#pending.size },
        "items wait to be published",
      );
    }
    this.#isFlushing = false;
    if (this.#pending.size > 0 && !this.#closed) this.#timer = setTimeout(() => void this.#flush(), RETRY_MS);
  }
}

function firstOf<T>(all: Iterable<T>, count: number): T[] {
  const first: T[] = [];
  for (const one of all) if (first.push(one) >= count) break;
  return first;
}
