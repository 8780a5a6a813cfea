import { createParser } from "eventsource-parser";
import { asHubcastError, type ErrorCode, HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { backoffMs } from "../../core/rates.js";
import type { EventsOptions, NodeEvent } from "../broadcast.js";
import { eventIn, refusalIn } from "./answers.js";
import { errorOf, type NodeHttp, notHubcast } from "./http.js";

/** A node that is silent for so long, heartbeats included, is gone. */
const SILENCE_MS = 3 * LIMITS.eventHeartbeatMs;

/** A connection that held for so long was a good one: the next attempt comes at once. */
const STEADY_MS = 10_000;

/**
 * How far back a reader looks beyond what it asks for: items that come later may be stamped so long before it began, as clocks
 * and authors differ. What is there then is known by its digest.
 */
const LOOK_BACK_MS = LIMITS.clockSkewMsMax;
const FROM_NOW = "2m";

/** A node's clock is told in whole seconds, cut off. */
const CLOCK_STEP_MS = 1_000;

/** A node that restarts, or whose subscribers all come back at once, answers so for a while. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "unreachable",
  "connectionLost",
  "deadline",
  "stopping",
  "tooManySubscribers",
]);

/** The place of a reader that knows by itself what it was told, also in an earlier process. */
export interface KeptPlace {
  /**
   * Where to go on now: behind an event, and where a node does not know it, with all items since then.
   * @returns `since`: epoch ms, or as the API takes it
   */
  next(): { readonly after?: string | undefined; readonly since: number | string };
  /** Called before the first event of each connection. @param clockMs of the node, up to a second late */
  connected(clockMs: number): Promise<void>;
}

/** One node, at one or several addresses. */
interface Addresses {
  readonly current: NodeHttp;
  readonly count: number;
  readonly closing: AbortSignal;
  /** Makes the next one the current one. */
  advance(): void;
}

/**
 * Follows the events of a node until `signal` aborts or the client is closed. When the connection is lost, it connects
 * again with back-off, to the next address if there are several, and goes on where it was; a node that has restarted, and
 * does not know the place any more, lists its items again, and what was told already is left out.
 * @param kept tells all that the node tells
 * @throws what the first attempt fails with, at each address; later what does not pass (unauthorized, notHubcast);
 *   eventsGone without a kept place; with `reconnect: false` also connectionLost
 */
export async function* eventsOf(
  addresses: Addresses,
  options: EventsOptions,
  kept?: KeptPlace,
): AsyncGenerator<NodeEvent> {
  const { reconnect = true, onConnection } = options;
  const { closing } = addresses;
  const signal = options.signal ? AbortSignal.any([options.signal, closing]) : closing;
  const place = new Place(options, kept);
  let wasConnected = false;
  let attempt = 0;
  while (!signal.aborted) {
    const http = addresses.current;
    let connectedAtMs = Number.POSITIVE_INFINITY;
    try {
      const { chunks, clockMs } = await http.stream({
        method: "GET",
        ...place.call(),
        silenceMs: SILENCE_MS,
        signal,
      });
      connectedAtMs = performance.now();
      await place.connected(clockMs);
      if (wasConnected) onConnection?.("back");
      wasConnected = true;
      for await (const event of eventsIn(chunks, http.url)) {
        if (place.isNews(event)) yield event;
      }
      throw new HubcastError("connectionLost", `${http.url.origin} ended the stream of events`, {
        suggestions: ["Follow again behind the last event id: the node keeps a history."],
      });
    } catch (thrown) {
      if (signal.aborted) return;
      const error = errorOf(thrown, http.url);
      if (
        !(error instanceof HubcastError && (PASSING.has(error.code) || (kept && error.code === "eventsGone")))
      )
        throw error;
      const othersLeft = !wasConnected && attempt + 1 < addresses.count;
      if (!othersLeft && !(reconnect && wasConnected)) throw error;
      if (connectedAtMs !== Number.POSITIVE_INFINITY) onConnection?.("lost", error);
      if (performance.now() - connectedAtMs > STEADY_MS) attempt = 0;
      addresses.advance();
    }
    await pause(backoffMs(attempt++, Math.random), signal);
  }
}

/** Resolves after that time, or at once when `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** The API takes ISO 8601, to the millisecond. @param ms epoch ms of an item that is still or not any more looked for */
export function instantText(ms: number): string {
  return new Date(Math.max(0, Math.ceil(ms))).toISOString();
}

/**
 * Where one reader of events is, over all its connections. Behind a restart a node tells what it holds again: all at
 * once, from its disk, or bit by bit, as peers bring it. So what was told must be known by its digest.
 */
class Place {
  #after: string | undefined;
  #connections = 0;
  #caughtUp = false;
  /** Whether the node has lost its place, and begun again. */
  #startedOver = false;
  /** Epoch ms by the node's clock: of what is stamped since then this reader knows what was there when it began. */
  #sinceMs: number | undefined;
  readonly #told = new Set<string>();
  /** Of what is there when it begins, items stamped before are not asked for, epoch ms. */
  readonly #askedSinceMs: number;

  constructor(
    private readonly options: EventsOptions,
    private readonly kept: KeptPlace | undefined,
  ) {
    const { after, sinceMs, reconnect = true } = options;
    this.#after = after;
    this.#askedSinceMs =
      sinceMs ?? (after === undefined ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY);
    if (sinceMs !== undefined) this.#sinceMs = reconnect ? sinceMs - LOOK_BACK_MS : sinceMs;
  }

  /** The query of the next request: resumes at the last event if the node knows it, else where this reader began. */
  call(): { readonly path: string; readonly headers: Readonly<Record<string, string>> } {
    const { topic, after, reconnect = true } = this.options;
    // Also for a reader that begins now `caught-up` names a place at once.
    const fromNow = reconnect && after === undefined ? FROM_NOW : undefined;
    const next = this.kept?.next() ?? { after: this.#after, since: this.#sinceMs ?? fromNow };
    const since = typeof next.since === "number" ? instantText(next.since) : next.since;
    const query = new URLSearchParams({
      ...(topic !== undefined && { topic }),
      ...(since !== undefined && { since }),
    });
    return {
      path: `/v1/events?${query}`.replace(/\?$/, ""),
      headers: {
        accept: "text/event-stream",
        ...(next.after !== undefined && { "last-event-id": next.after }),
      },
    };
  }

  async connected(clockMs: number): Promise<void> {
    await this.kept?.connected(clockMs);
    this.#connections++;
    this.#sinceMs ??= clockMs + CLOCK_STEP_MS - LOOK_BACK_MS;
  }

  isNews(event: NodeEvent): boolean {
    if (this.kept || this.options.reconnect === false) return true;
    const isHistory = event.type === "item" && event.eventId === undefined;
    if (this.#connections > 1 && (isHistory || event.type === "caught-up")) this.#startedOver = true;
    this.#after = event.eventId ?? this.#after;
    switch (event.type) {
      case "peer":
        return true;
      case "caught-up": {
        const isFirst = !this.#caughtUp;
        this.#caughtUp = true;
        return isFirst && this.options.sinceMs !== undefined;
      }
      case "expired":
        this.#told.delete(event.item.digest);
        return true;
      case "item": {
        const { digest, timestampMs } = event.item;
        // Peers bring a node that begins anew what was there before this reader was: of that it knows the latest by digest.
        if (this.#startedOver && (timestampMs < this.#sinceMs! || this.#told.has(digest))) return false;
        this.#tell(digest);
        return !(isHistory && !this.#caughtUp && timestampMs < this.#askedSinceMs);
      }
      case "replaced":
        // Also back to an item that was told: its rival may have been told since.
        this.#told.delete(event.previous.digest);
        this.#tell(event.item.digest);
        return true;
    }
  }

  #tell(digest: string): void {
    this.#told.add(digest);
    if (this.#told.size > LIMITS.eventsToldMax) this.#told.delete(this.#told.values().next().value!);
  }
}

/** Events of one connection. @throws the node's reason for ending it; notHubcast for what no node sends */
async function* eventsIn(chunks: AsyncIterable<string>, url: URL): AsyncGenerator<NodeEvent> {
  const reader = new EventStreamParser(url);
  for await (const chunk of chunks) {
    yield* reader.push(chunk);
    if (reader.refusal) throw reader.refusal;
  }
}

/**
 * Characters of one event: two items of a megabyte (`replaced`), of which JSON may escape each byte with six, and what
 * is around them.
 */
const EVENT_CHARACTERS_MAX = 13_000_000;

/** Reads a node's server-sent events, cut anywhere. Kinds of events that are not known here are left out. */
export class EventStreamParser {
  #events: NodeEvent[] = [];
  #fault: unknown;
  #refusal: HubcastError | undefined;
  readonly #parser;

  constructor(url: URL) {
    this.#parser = createParser({
      maxBufferSize: EVENT_CHARACTERS_MAX,
      onEvent: ({ event, data }) => {
        if (this.#fault !== undefined) return;
        try {
          if (event === "problem") this.#refusal ??= refusalIn(data, url) ?? notHubcast(url);
          else this.#take(eventIn(data, url));
        } catch (error) {
          this.#fault = error;
        }
      },
      onError: ({ type }) => {
        // Fields that are not known are left out, as the standard has it.
        if (type !== "max-buffer-size-exceeded") return;
        this.#fault ??= new HubcastError(
          "notHubcast",
          `the node at ${url.origin} sent an event of more than ${EVENT_CHARACTERS_MAX} characters`,
        );
      },
    });
  }

  /** Why the node ends the stream, once it said so. */
  get refusal(): HubcastError | undefined {
    return this.#refusal;
  }

  /** @returns the events that are whole now, oldest first @throws notHubcast */
  push(text: string): readonly NodeEvent[] {
    if (this.#fault === undefined) this.#parser.feed(text);
    if (this.#fault !== undefined) throw asHubcastError(this.#fault);
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #take(event: NodeEvent | undefined): void {
    if (event) this.#events.push(event);
  }
}
