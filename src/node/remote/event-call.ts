import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import type { EventsOptions, NodeEvent } from "../broadcast.js";
import type { Caller } from "./caller.js";
import { errorOfAnswer, errorOfTransport, notHubcast } from "./faults.js";

/** A node that is silent for so long, heartbeats included, is gone. */
const SILENCE_MS = 3 * LIMITS.eventHeartbeatMs;

/** Follows the events of a node until `signal` aborts or the caller is closed. @throws connectionLost, eventsGone */
export async function* eventsOf(caller: Caller, options: EventsOptions): AsyncGenerator<NodeEvent> {
  const { after, sinceMs, signal } = options;
  if (signal?.aborted) return;
  const { EventDecodeError, EventReader } = await import("./event-reader.js");
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
      const reader = new EventReader();
      response.setEncoding("utf8");
      try {
        for await (const chunk of response as AsyncIterable<string>) {
          silence.refresh();
          yield* reader.push(chunk);
          if (reader.problem !== undefined) throw errorOfAnswer(response, reader.problem, caller.url);
        }
      } catch (error) {
        throw error instanceof EventDecodeError ? notHubcast(caller.url, response) : error;
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
