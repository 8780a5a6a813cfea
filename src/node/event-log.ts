import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { hasTopic } from "../core/topic.js";
import { PacedCalls } from "../runtime/turns.js";
import type { NodeEvent } from "./broadcast.js";
import type { Item } from "./replica/item.js";

/** An event before it has its place in the log. */
export type UnnumberedEvent = NodeEvent extends infer Event
  ? Event extends NodeEvent
    ? Omit<Event, "eventId">
    : never
  : never;

export interface Subscription {
  /** Leaves out what happens to items of other topics. */
  readonly topic?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Items to tell first, then `caught-up`: those that are there at each step, or nothing where others should have a turn. What
   * arrives after the call comes live, and is left out of them.
   */
  readonly history?: Iterable<Item | undefined>;
}

/** Events of other topics that a reader passes over in one turn of the event loop. */
const EVENTS_PASSED_PER_TURN = 1_000;

/** Subscribers that are all told at once, each time something happens. */
const SUBSCRIBERS_UNPACED = 20;
/** Subscribers told in one turn of the event loop: between two turns others are served. */
const SUBSCRIBERS_PER_TURN = 10;
/** With more than are told at once, the next telling comes so much later for each of them... */
const PAUSE_MS_PER_SUBSCRIBER = 0.2;
/** ... but not later than this. */
const PAUSE_MS_MAX = 100;

/**
 * The last arrivals of a node, numbered. A subscriber is only a place in it: a slow one costs nothing, and one that
 * falls out of it is told so. Event id = epoch of the node's run + `-` + arrival number.
 *
 * Each telling wakes and writes to every subscriber, whatever it tells: 20 us each. So the more there are, the more
 * events share one, and a thousand of them leave the node most of its time (bench/abuse.ts).
 */
export class EventLog {
  /** Numbered when the first subscriber reads it, for all of them. */
  readonly #events: (UnnumberedEvent | NodeEvent | undefined)[] = [];
  /** Each wakes one subscriber. */
  readonly #waiters = new Set<() => void>();
  readonly #tellings = new PacedCalls(SUBSCRIBERS_PER_TURN);
  #next = 0;
  #subscribers = 0;
  #closed = false;
  #toldAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param epoch differs in every run, so that ids of an earlier one are not taken for ours */
  constructor(
    private readonly epoch: string,
    private readonly historyMax: number = LIMITS.eventHistoryMax,
  ) {}

  /** Id of the newest event: resuming behind it gives what comes after now. */
  get position(): string {
    return this.#id(this.#next - 1);
  }

  push(events: readonly UnnumberedEvent[]): void {
    for (const event of events) this.#events[this.#next++ % this.historyMax] = event;
    if (this.#waiters.size === 0 || this.#timer) return;
    const pauseMs =
      this.#subscribers <= SUBSCRIBERS_UNPACED
        ? 0
        : Math.min(this.#subscribers * PAUSE_MS_PER_SUBSCRIBER, PAUSE_MS_MAX);
    const leftMs = this.#toldAtMs + pauseMs - performance.now();
    if (leftMs <= 0) this.#tell();
    else this.#timer = setTimeout(() => this.#tell(), leftMs);
  }

  /**
   * Everything behind a place, then what comes, until `signal` aborts or the log is closed. The place is taken when
   * this is called, not at the first read.
   * @param after an event id; absent: from now on
   * @throws eventsGone (at once or while reading) when the place is unknown or has fallen out of the log
   */
  subscribe(
    after: string | undefined,
    subscription: Subscription = {},
  ): AsyncGenerator<NodeEvent, void, undefined> {
    if (this.#subscribers >= LIMITS.subscribersMax) {
      throw new HubcastError(
        "tooManySubscribers",
        `${LIMITS.subscribersMax} subscribers are connected already`,
        {
          suggestions: ["Close one that is no longer needed, or read /v1/items instead."],
        },
      );
    }
    const place = after === undefined ? this.#next : this.#placeBehind(after);
    return this.#reader(place, subscription);
  }

  close(): void {
    this.#closed = true;
    this.#tell();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#toldAtMs = performance.now();
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    this.#tellings.add(waiters);
  }

  #reader(
    start: number,
    { topic, signal, history }: Subscription,
  ): AsyncGenerator<NodeEvent, void, undefined> {
    let place = start;
    const first = history?.[Symbol.iterator]();
    const cameLater = this.#arrivals();
    let isCaughtUp = first === undefined;
    let wake = (): void => {};
    // One listener for as long as it reads: to add one for each wait costs more than the wait.
    const aborted = (): void => wake();
    return new EventReader({
      begun: () => {
        this.#subscribers++;
        signal?.addEventListener("abort", aborted);
      },
      ended: () => {
        this.#subscribers--;
        signal?.removeEventListener("abort", aborted);
      },
      take: () => {
        if (signal?.aborted) return "end";
        if (place < this.#next - this.historyMax) throw gone("the reader is too slow");
        if (!isCaughtUp) {
          const { value: item, done } = first!.next();
          // A place inside the history cannot be resumed at, so it has no id.
          if (!done) return item && !cameLater(item) ? { type: "item", item } : "pass";
          isCaughtUp = true;
          return { type: "caught-up", eventId: this.#id(start - 1) };
        }
        for (let passed = 0; place < this.#next; passed++) {
          if (passed === EVENTS_PASSED_PER_TURN) return "pass";
          if (this.#isOf(topic, place++)) return this.#numbered(place - 1);
        }
        return this.#closed ? "end" : "wait";
      },
      arrival: () =>
        new Promise((resolve) => {
          wake = () => {
            this.#waiters.delete(wake);
            resolve();
          };
          this.#waiters.add(wake);
        }),
    });
  }

  /** @returns whether an item came after now, to be asked as long as the log goes back to now */
  #arrivals(): (item: Item) => boolean {
    let place = this.#next;
    const arrived = new Set<Item>();
    return (item) => {
      while (place < this.#next) {
        const event = this.#events[place++ % this.historyMax]!;
        if (event.type === "item" || event.type === "replaced") arrived.add(event.item);
      }
      return arrived.has(item);
    };
  }

  #isOf(topic: string | undefined, number: number): boolean {
    if (topic === undefined) return true;
    const event = this.#events[number % this.historyMax]!;
    return !("item" in event) || hasTopic(event.item.id, topic);
  }

  #numbered(number: number): NodeEvent {
    const at = number % this.historyMax;
    const event = this.#events[at]!;
    if ("eventId" in event) return event;
    const numbered = { ...event, eventId: this.#id(number) } as NodeEvent;
    this.#events[at] = numbered;
    return numbered;
  }

  #placeBehind(eventId: string): number {
    const [, epoch, number] = /^([^-]+)-(-1|\d{1,15})$/.exec(eventId) ?? [];
    if (number === undefined) throw gone("the place is no id of an event");
    if (epoch !== this.epoch) throw gone("the place is of another run of the node");
    const place = Number(number) + 1;
    if (place > this.#next) throw gone("the place is after the newest event");
    if (place < this.#next - this.historyMax) throw gone("the place is too old");
    return place;
  }

  #id(number: number): string {
    return `${this.epoch}-${number}`;
  }
}

function gone(why: string): HubcastError {
  return new HubcastError("eventsGone", `events cannot be resumed: ${why}`, {
    suggestions: ["List the items again, then subscribe without a place."],
  });
}

/** Where a reader's events come from. */
interface EventSource {
  /** The next event, or what to do without one: `pass` when others should have a turn before the next. May throw. */
  take(): NodeEvent | "pass" | "wait" | "end";
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
class EventReader implements AsyncGenerator<NodeEvent, void, undefined> {
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
        if (taken === "wait") await this.source.arrival();
        else if (taken === "pass") await new Promise(setImmediate);
        else return { value: taken, done: false };
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
