import { describe, expect, it } from "vitest";
import type { NodeEvent } from "../../../src/node/broadcast.js";
import { EventText } from "../../../src/node/http/events.js";
import { itemOf, NOW } from "../replica/replica-kit.js";

describe("the text of events", () => {
  const arrival = (place: string): NodeEvent => ({
    type: "item",
    eventId: `epoch-${place}`,
    item: itemOf(`id ${place}`, "raw", NOW),
  });

  it("is made once for all who are told the same", () => {
    const text = new EventText();
    const events = [arrival("1"), arrival("2")];
    expect(text.of(events)).toBe(text.of([...events]));
    expect(text.of(events.slice(0, 1))).not.toEqual(text.of(events));
    // Other topics leave out others: the same first event, and the same number.
    const [first, second] = [text.of(events, "alerts"), text.of([arrival("1"), arrival("3")], "deploy")];
    expect(first).not.toEqual(second);
  });

  it("is not that of another event that bears the same id", () => {
    const text = new EventText();
    text.of([arrival("7")]);
    const caughtUp = text.of([{ type: "caught-up", eventId: "epoch-7" }]);
    expect(caughtUp.toString()).toMatch(/^event: caught-up\nid: epoch-7\n/);
    expect(text.of([arrival("7")]).toString()).toMatch(/^event: item\n/);
    const { eventId: _, ...old } = arrival("7") as Extract<NodeEvent, { type: "item" }>;
    // A text of its own, which counts for who it waits for.
    expect(text.of([old])).toBeTypeOf("string");
    expect(text.of([old]).toString()).not.toMatch(/^id:/m);
  });
});
