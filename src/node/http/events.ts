import { asHubcastError } from "../../core/errors.js";
import type { NodeEvent } from "../broadcast.js";
import { PacedCalls } from "../paced-calls.js";
import { encodedLength } from "../protocol/item.js";
import type { AnswerStream } from "./answer-stream.js";
import { EventText } from "./event-text.js";
import { ref, refusals, text } from "./json-schema.js";
import { problemOf } from "./problem.js";
import { Query } from "./query.js";
import { streamOf } from "./read-items.js";
import type { ApiContext, Route } from "./route.js";

/** A subscriber is asked to take what it got before so much more is made for it. */
const WAITING_BYTES_MAX = 65_536;
/** Events in one write: large ones count by their bytes, small ones by their number. */
const EVENTS_AT_ONCE = 256;

/** GET /v1/events: server-sent events. */
export function events({ service, limits, logger, closing }: ApiContext): Route {
  const text = new EventText();
  // A thousand subscribers that come at once wait for each other, and let others pass.
  const entrance = new PacedCalls(1);
  // One listener for all: a signal made of two for each subscriber costs a tenth of what it takes to let one in.
  const open = new Set<AbortController>();
  closing.addEventListener("abort", () => {
    for (const subscriber of open) subscriber.abort();
  });
  return {
    method: "GET",
    url: "/v1/events",
    role: "read",
    schema: SCHEMA,
    async handle(request, reply) {
      await new Promise<void>((resolve) => entrance.add([resolve]));
      if (reply.raw.destroyed) {
        reply.hijack();
        return;
      }
      const query = new Query(request.raw.url!, ["since", "after"]);
      // EventSource repeats its URL when it reconnects: where it was beats where it began.
      const last = request.headers["last-event-id"];
      const after = (typeof last === "string" && last !== "" ? last : undefined) ?? query.text("after");
      const sinceMs = after === undefined ? query.instant("since") : undefined;
      const left = new AbortController();
      const { signal } = left;
      if (closing.aborted) left.abort();
      const subscription = service.events({
        signal,
        ...(after === undefined ? {} : { after }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
      });
      const answer = streamOf(reply, "text/event-stream", limits.streamStallMs);
      open.add(left);
      reply.raw.once("close", () => {
        open.delete(left);
        left.abort();
      });
      answer.open();
      const heartbeat = setInterval(() => answer.push(":\n\n"), limits.eventHeartbeatMs).unref();
      try {
        await send(subscription, answer, text);
      } catch (thrown) {
        // The head is gone, so the refusal travels as the last event: a reader too slow for its backlog.
        const error = asHubcastError(thrown);
        if (!signal.aborted) answer.push(`event: problem\ndata: ${JSON.stringify(problemOf(error))}\n\n`);
        logger.debug({ err: thrown }, "an event stream ended");
      } finally {
        clearInterval(heartbeat);
      }
      await answer.end();
    },
  };
}

/** Events that are there at once leave as one write. */
async function send(
  subscription: AsyncIterable<NodeEvent>,
  answer: AnswerStream,
  text: EventText,
): Promise<void> {
  let pending: NodeEvent[] = [];
  let pendingBytes = 0;
  const flush = () => {
    if (pending.length > 0) answer.push(text.of(pending));
    pending = [];
    pendingBytes = 0;
  };
  for await (const event of subscription) {
    if (pending.length === 0) setImmediate(flush);
    pending.push(event);
    pendingBytes += "item" in event ? encodedLength(event.item) : 0;
    const isMuch = pendingBytes >= WAITING_BYTES_MAX || pending.length >= EVENTS_AT_ONCE;
    if (!isMuch && answer.waitingBytes < WAITING_BYTES_MAX) continue;
    flush();
    await answer.whenBelow(WAITING_BYTES_MAX);
    if (answer.gone) return;
  }
  flush();
}

const SCHEMA: Route["schema"] = {
  summary: "Follow what happens",
  description:
    "Server-sent events: the name is the event's type, the id resumes behind it, the data is a NodeEvent. With " +
    "`since`, visible items from then on come first, then `caught-up`. Comments are heartbeats. An event named " +
    "`problem` is a refusal and the last one: the reader was too slow. Unknown or too old ids are answered 410: " +
    "list again, then follow.",
  tags: ["events"],
  headers: { type: "object", properties: { "last-event-id": text("Resume behind this event.") } },
  querystring: {
    type: "object",
    properties: {
      since: text(
        "ISO 8601, epoch milliseconds, or `10m` (ago). Without effect when an id to resume is given.",
      ),
      after: text("As Last-Event-ID, for clients that cannot send headers."),
    },
  },
  response: {
    200: { description: "The stream.", content: { "text/event-stream": { schema: ref("NodeEvent") } } },
    ...refusals("badRequest", "unauthorized", "eventsGone", "tooManySubscribers"),
  },
};
