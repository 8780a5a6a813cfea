import type { FastifyInstance, FastifySchema } from "fastify";
import { asHubcastError } from "../../core/errors.js";
import { problemOf } from "../../runtime/http/problem.js";
import { text } from "../bodies.js";
import type { NodeEvent } from "../broadcast.js";
import { encodedLength } from "../replica/item.js";
import { type AnswerStream, streamOf } from "./answer-stream.js";
import type { ApiContext } from "./options.js";
import { instant, instantOf, query, refusals, topic, topicIn, topicQueryFault } from "./schemas.js";

/** A subscriber is asked to take what it got before so much more is made for it. */
const WAITING_BYTES_MAX = 65_536;
/** Events in one write: large ones count by their bytes, small ones by their number. */
const EVENTS_AT_ONCE = 256;

/** GET /v1/events: server-sent events. */
export async function eventRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const { node, limits, logger, closing } = context;
  const text = new EventText();
  // One listener for all: a signal made of two for each subscriber costs a tenth of what it takes to let one in.
  const open = new Set<AbortController>();
  closing.addEventListener("abort", () => {
    for (const subscriber of open) subscriber.abort();
  });
  app.get<{ Querystring: { topic?: string; since?: string; after?: string } }>(
    "/v1/events",
    { config: { role: "read" }, schema: SCHEMA, schemaErrorFormatter: topicQueryFault },
    async (request, reply) => {
      await new Promise<void>((resolve) => context.subscriberTurns.add([resolve]));
      if (reply.raw.destroyed) {
        reply.hijack();
        return;
      }
      // EventSource repeats its URL when it reconnects: where it was beats where it began, unless it is gone.
      const after = [request.headers["last-event-id"]].flat()[0] || request.query.after || undefined;
      const sinceMs = instantOf("since", request.query.since);
      const topic = topicIn(request.query.topic);
      const left = new AbortController();
      const { signal } = left;
      if (closing.aborted) left.abort();
      const subscription = node.subscribe({
        signal,
        ...(topic === undefined ? {} : { topic }),
        ...(after === undefined ? {} : { after }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
      });
      open.add(left);
      reply.raw.once("close", () => {
        open.delete(left);
        left.abort();
      });
      // nginx would hold events back until it has a buffer full of them.
      reply.header("x-accel-buffering", "no");
      await streamOf(context, reply, "text/event-stream", async (answer) => {
        answer.open();
        const heartbeat = setInterval(() => answer.push(":\n\n"), limits.eventHeartbeatMs).unref();
        try {
          await send(subscription, answer, (events) => text.of(events, topic));
        } catch (thrown) {
          // The head is gone, so the refusal travels as the last event: a reader too slow for its backlog.
          const problem = JSON.stringify(problemOf(asHubcastError(thrown)));
          if (!signal.aborted) answer.push(`event: problem\ndata: ${problem}\n\n`);
          logger.debug({ err: thrown }, "an event stream ended");
        } finally {
          clearInterval(heartbeat);
        }
        await answer.end();
      });
    },
  );
}

/** Events that are there at once leave as one write. */
async function send(
  subscription: AsyncIterable<NodeEvent>,
  answer: AnswerStream,
  textOf: (events: readonly NodeEvent[]) => Buffer | string,
): Promise<void> {
  let pending: NodeEvent[] = [];
  let pendingBytes = 0;
  const flush = () => {
    if (pending.length > 0) answer.push(textOf(pending));
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
    // A client that reads as fast as we write would otherwise keep everybody else waiting.
    if (isMuch) await new Promise(setImmediate);
    if (answer.gone) return;
  }
  flush();
}

const SCHEMA: FastifySchema = {
  operationId: "followEvents",
  summary: "Follow what happens",
  description:
    "Server-sent events: the name is the event's type, the id resumes behind it, the data is a NodeEvent. With " +
    "`since`, visible items from then on come first, without an id, then `caught-up`. Comments are heartbeats. An " +
    "event named `problem` is a refusal and the last one: the reader was too slow. An id to resume that is unknown " +
    "or too old is answered 410; with `since` the stream starts over from there instead.",
  tags: ["events"],
  headers: { type: "object", properties: { "last-event-id": text("Resume behind this event.") } },
  querystring: query({
    topic: topic("Of `item`, `replaced` and `expired` only those"),
    since: instant("First the items from then on, where there is no id to resume, or it is gone"),
    after: text("As Last-Event-ID, for clients that cannot send headers."),
  }),
  response: {
    200: {
      description: "The stream.",
      content: { "text/event-stream": { schema: text("Each `data` is a NodeEvent.") } },
    },
    ...refusals("badRequest", "unauthorized", "eventsGone", "tooManySubscribers"),
  },
};

/** Events as they go over the wire. Subscribers that are told the same share one text: it is made for the first. */
export class EventText {
  #key = "";
  #text = Buffer.alloc(0);

  /**
   * @param events one behind the other, 1 at least, of which those of other topics than that are left out
   * @returns bytes where others may be told the same
   */
  of(events: readonly NodeEvent[], topic = ""): Buffer | string {
    const { type, eventId } = events[0]!;
    // Only what comes live has an id of its own: history differs by subscriber and has none, and `caught-up` bears the
    // id of the live event before it.
    const isLive = type !== "caught-up" && eventId !== undefined;
    if (!isLive) return events.map(textOf).join("");
    const key = `${eventId} ${events.length} ${topic}`;
    if (key !== this.#key) {
      this.#key = key;
      this.#text = Buffer.from(events.map(textOf).join(""));
    }
    return this.#text;
  }
}

function textOf(event: NodeEvent): string {
  const id = event.eventId === undefined ? "" : `id: ${event.eventId}\n`;
  return `event: ${event.type}\n${id}data: ${JSON.stringify(event)}\n\n`;
}
