import { createParser } from "eventsource-parser";
import type { NodeEvent } from "../broadcast.js";

/**
 * Characters of one event: two items of a megabyte (`replaced`), of which JSON may escape each byte with six, and what
 * is around them.
 */
const EVENT_CHARACTERS_MAX = 13_000_000;

const TYPES: ReadonlySet<unknown> = new Set(["item", "replaced", "expired", "peer", "caught-up"]);

/** Text that no node sends: broken, endless, or of another program. */
export class EventDecodeError extends Error {
  override readonly name = "EventDecodeError";
}

/** Reads a node's server-sent events, cut anywhere. Kinds of events that are not known here are left out. */
export class EventReader {
  #events: NodeEvent[] = [];
  #unread = 0;
  #fault: EventDecodeError | undefined;
  #problem: string | undefined;
  readonly #parser = createParser({
    onEvent: ({ event, data }) => {
      this.#unread = 0;
      if (event === "problem") this.#problem ??= data;
      else this.#take(data);
    },
    onComment: () => {
      this.#unread = 0;
    },
  });

  /** Why the node ends the stream, as problem JSON, once it said so. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** @returns the events that are whole now, oldest first @throws EventDecodeError */
  push(text: string): readonly NodeEvent[] {
    this.#unread += text.length;
    this.#parser.feed(text);
    if (this.#unread > EVENT_CHARACTERS_MAX)
      this.#fault ??= new EventDecodeError(`an event has more than ${EVENT_CHARACTERS_MAX} characters`);
    if (this.#fault) throw this.#fault;
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #take(data: string): void {
    try {
      const event = JSON.parse(data) as NodeEvent | null;
      if (TYPES.has(event?.type)) this.#events.push(event as NodeEvent);
    } catch {
      this.#fault ??= new EventDecodeError("an event is no JSON");
    }
  }
}
