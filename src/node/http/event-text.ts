import type { NodeEvent } from "../broadcast.js";

/** Events as they go over the wire. Subscribers that are told the same share one text: it is made for the first. */
export class EventText {
  #key = "";
  #text = Buffer.alloc(0);

  /** @param events one behind the other, 1 at least */
  of(events: readonly NodeEvent[]): Buffer {
    const { type, eventId } = events[0]!;
    // Only what comes live has an id of its own: history differs by subscriber, and `caught-up` bears the id of the
    // live event before it.
    const isLive = type !== "caught-up" && /-\d+$/.test(eventId);
    const key = isLive ? `${eventId} ${events.length}` : "";
    if (key === "" || key !== this.#key) {
      this.#key = key;
      this.#text = Buffer.from(events.map(textOf).join(""));
    }
    return this.#text;
  }
}

function textOf(event: NodeEvent): string {
  return `event: ${event.type}\nid: ${event.eventId}\ndata: ${JSON.stringify(event)}\n\n`;
}
