import type { NodeEvent } from "./broadcast.js";

/** Where a reader's events come from. */
export interface EventSource {
  /** The next event, or what to do without one. May throw. */
  take(): NodeEvent | "wait" | "end";
  /** Resolves when `take` may have something else to say. */
  arrival(): Promise<void>;
  /** Called once, at the first read... */
  begun(): void;
  /** ... and once when that reader reads no more. */
  ended(): void;
}

type Result = IteratorResult<NodeEvent, void>;

/**
 * Reads events one by one, as an async generator does; but what is there already costs one turn of the microtask queue,
 * not half a dozen: with a thousand subscribers each event is read a thousand times (bench/abuse.ts).
 */
export class EventReader implements AsyncGenerator<NodeEvent, void, undefined> {
  #state: "new" | "reading" | "over" = "new";

  constructor(private readonly source: EventSource) {}

  async next(): Promise<Result> {
    if (this.#state === "new") {
      this.#state = "reading";
      this.source.begun();
    }
    try {
      while (this.#state === "reading") {
        const taken = this.source.take();
        if (taken === "end") break;
        if (taken !== "wait") return { value: taken, done: false };
        await this.source.arrival();
      }
    } catch (error) {
      this.#end();
      throw error;
    }
    return this.return();
  }

  async return(): Promise<Result> {
    this.#end();
    return { value: undefined, done: true };
  }

  async throw(error: unknown): Promise<Result> {
    this.#end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  #end(): void {
    if (this.#state === "reading") this.source.ended();
    this.#state = "over";
  }
}
