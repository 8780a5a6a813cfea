import type { JetStreamClient } from "@nats-io/jetstream";
import { ERRORS, HubcastError } from "../../../core/errors.js";
import { LIMITS } from "../../../core/limits.js";
import { isFull, isPassing } from "./faults.js";

interface AppenderOptions {
  readonly js: JetStreamClient;
  readonly subject: string;
  /** Random, so that no two appenders mark alike. */
  readonly instance: string;
  isUp(): boolean;
  /** Nobody takes what is published: the stream may be gone, or its servers are electing. */
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
export class Appender {
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
