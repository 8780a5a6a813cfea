import { HubcastError } from "../../core/errors.js";

/**
 * A queue between a connection and the program that reads it. With a reader it pushes back when `sizeMax` is
 * reached; without one it keeps the latest and counts what it let go.
 */
export class Mailbox<T> {
  /** What was let go because nobody read. */
  dropped = 0;
  #items: T[] = [];
  #size = 0;
  #reading = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly sizeMax: number,
    private readonly sizeOf: (item: T) => number,
    /** There is room again. */
    private readonly onRoom: () => void,
  ) {}

  /** Whether whoever fills it should stop for now. */
  get full(): boolean {
    return this.#reading && this.#size >= this.sizeMax;
  }

  put(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#size += this.sizeOf(item);
    while (!this.#reading && this.#size > this.sizeMax && this.#items.length > 1) {
      this.#size -= this.sizeOf(this.#items.shift()!);
      this.dropped += 1;
    }
    this.#wake?.();
  }

  /** Readers get what is queued, then end. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Oldest first, until the end or until `signal` aborts. One reader at a time. @throws invalidOption */
  read(signal?: AbortSignal): AsyncIterableIterator<T> {
    return this.#loop(signal);
  }

  async *#loop(signal: AbortSignal | undefined): AsyncGenerator<T> {
    if (this.#reading) throw new HubcastError("invalidOption", "there is a reader already");
    this.#reading = true;
    const onAbort = (): void => this.#wake?.();
    signal?.addEventListener("abort", onAbort);
    try {
      while (signal?.aborted !== true) {
        if (this.#items.length > 0) {
          // By the batch: shifting one at a time off a long array is slow.
          const batch = this.#items;
          this.#items = [];
          yield* this.#drain(batch, signal);
        } else if (this.#ended) return;
        else await this.#change();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#reading = false;
      this.onRoom();
    }
  }

  *#drain(batch: T[], signal: AbortSignal | undefined): Generator<T> {
    let index = 0;
    try {
      while (index < batch.length && signal?.aborted !== true) {
        const item = batch[index]!;
        index += 1;
        const wasFull = this.full;
        this.#size -= this.sizeOf(item);
        if (wasFull && !this.full) this.onRoom();
        yield item;
      }
    } finally {
      // A reader that stopped halfway leaves the rest to the next one.
      if (index < batch.length) this.#items = [...batch.slice(index), ...this.#items];
    }
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
