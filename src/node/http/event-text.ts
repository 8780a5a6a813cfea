import type { NodeEvent } from "../broadcast.js";

/** Events as they go over the wire. Subscribers that are told the same share one text: it is made for the first. */
export class EventText {
  #key = "";
  #text = Buffer.alloc(0);

  /** @param events one behind the other, 1 at least */
  of(events: readonly NodeEvent[]): Buffer {
    const first = events[0]!.eventId;
    // Only what comes live has an id of its own; history differs by subscriber.
    const key = /-\d+$/.test(first) ? `${first} ${events.length}` : "";
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
