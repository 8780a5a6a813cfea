import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import type { EventsOptions, NodeEvent } from "../broadcast.js";
import type { Caller } from "./caller.js";
import { errorOfAnswer, errorOfTransport } from "./faults.js";

/** A node that is silent for so long, heartbeats included, is gone. */
const SILENCE_MS = 3 * LIMITS.eventHeartbeatMs;

/** Follows the events of a node until `signal` aborts or the caller is closed. @throws connectionLost, eventsGone */
export async function* eventsOf(caller: Caller, options: EventsOptions): AsyncGenerator<NodeEvent> {
  const { after, sinceMs, signal } = options;
  if (signal?.aborted) return;
  const { createParser } = await import("eventsource-parser");
  const query = sinceMs === undefined ? "" : `?since=${sinceTextOf(sinceMs)}`;
  try {
    const { request, answer } = caller.stream({
      method: "GET",
      path: `/v1/events${query}`,
      headers: { accept: "text/event-stream", ...(after === undefined ? {} : { "last-event-id": after }) },
      signal,
    });
    const silence = setTimeout(() => request.destroy(silent(caller.url)), SILENCE_MS);
    try {
      request.end();
      const response = await answer;
      let events: NodeEvent[] = [];
      let refusal: HubcastError | undefined;
      const parser = createParser({
        onEvent({ event, data }) {
          if (event === "problem") refusal = errorOfAnswer(response, data, caller.url);
          else events.push(JSON.parse(data) as NodeEvent);
        },
      });
      response.setEncoding("utf8");
      for await (const chunk of response as AsyncIterable<string>) {
        silence.refresh();
        parser.feed(chunk);
        const arrived = events;
        events = [];
        yield* arrived;
        if (refusal) throw refusal;
      }
      throw new HubcastError("connectionLost", `${caller.url.origin} ended the stream of events`, {
        suggestions: ["Follow again behind the last event id: the node keeps a history."],
      });
    } finally {
      clearTimeout(silence);
      request.destroy();
    }
  } catch (error) {
    if (signal?.aborted || caller.closed) return;
    throw error instanceof HubcastError ? error : errorOfTransport(error as Error, caller.url);
  }
}

/** The API takes epoch milliseconds from 12 digits on, and ISO 8601. */
function sinceTextOf(sinceMs: number): string {
  return encodeURIComponent(new Date(sinceMs).toISOString());
}

function silent(url: URL): HubcastError {
  return new HubcastError("connectionLost", `${url.origin} sent nothing for ${SILENCE_MS} ms`);
}
