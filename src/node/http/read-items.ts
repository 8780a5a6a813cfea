import type { FastifyReply, FastifyRequest } from "fastify";
import { HubcastError } from "../../core/errors.js";
import type { ListQuery } from "../broadcast.js";
import type { PageQuery } from "../service.js";
import { AnswerStream } from "./answer-stream.js";
import { streamItems } from "./item-stream.js";
import { body, ref, refusals, text } from "./json-schema.js";
import { Query } from "./query.js";
import type { ApiContext, Route } from "./route.js";

/** GET /v1/items: one page as JSON, or all as NDJSON. */
export function listItems({ service, limits }: ApiContext): Route {
  return {
    method: "GET",
    url: "/v1/items",
    role: "read",
    schema: LIST_SCHEMA,
    async handle(request: FastifyRequest, reply: FastifyReply) {
      const query = new Query(request.raw.url!, ["since", "until", "limit", "cursor"]);
      const window: ListQuery = {
        ...optional("sinceMs", query.instant("since")),
        ...optional("untilMs", query.instant("until")),
      };
      if (/\bapplication\/(x-ndjson|ndjson|jsonl)\b/.test(request.headers.accept ?? "")) {
        if (query.text("cursor") !== undefined) throw cursorOfStream();
        const limit = query.wholeNumber("limit", 1, Number.MAX_SAFE_INTEGER);
        const items = service.list({ ...window, ...optional("limit", limit) });
        const answer = streamOf(reply, "application/x-ndjson", limits.streamStallMs);
        await streamItems(answer, items, LINES, (item) => `${JSON.stringify(item)}\n`);
        return;
      }
      const page: PageQuery = {
        ...window,
        ...optional("cursor", query.text("cursor")),
        limit: query.wholeNumber("limit", 1, limits.pageItemsMax) ?? limits.pageItems,
      };
      const { items, nextCursor } = service.page(page);
      const after = nextCursor === undefined ? "]}" : `],"nextCursor":${JSON.stringify(nextCursor)}}`;
      const answer = streamOf(reply, "application/json", limits.streamStallMs);
      await streamItems(answer, items, { before: '{"items":[', between: ",", after }, JSON.stringify);
    },
  };
}

/** GET /v1/items/{id} */
export function getItem({ service }: ApiContext): Route {
  return {
    method: "GET",
    url: "/v1/items/:id",
    role: "read",
    schema: GET_SCHEMA,
    handle(request: FastifyRequest) {
      const { id } = request.params as { id: string };
      const item = service.get(id);
      if (item) return item;
      throw new HubcastError("notFound", `no visible item has the id ${JSON.stringify(id.slice(0, 256))}`, {
        suggestions: ["List what there is with GET /v1/items; items expire after the retention."],
      });
    },
  };
}

/** Takes the answer out of fastify's hands to write it bit by bit. */
export function streamOf(reply: FastifyReply, mediaType: string, stallMs: number): AnswerStream {
  reply.hijack();
  const head = { "content-type": `${mediaType}; charset=utf-8`, "cache-control": "no-store" };
  return new AnswerStream(reply.raw, head, stallMs);
}

const LINES = { before: "", between: "", after: "" };

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [N in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [N in Name]: Value });
}

function cursorOfStream(): HubcastError {
  return new HubcastError("badRequest", "a stream has no pages, so it takes no cursor", {
    suggestions: ["Leave out cursor, or the Accept header."],
  });
}

const LIST_SCHEMA: Route["schema"] = {
  summary: "List visible items, oldest first",
  description: "One page of JSON, or, with `Accept: application/x-ndjson`, all of them, one a line.",
  tags: ["items"],
  querystring: {
    type: "object",
    properties: {
      since: text("Only items stamped at or after it: ISO 8601, epoch milliseconds, or `10m` (ago)."),
      until: text("Only items stamped before it."),
      limit: { type: "integer", minimum: 1, description: "At most so many; a page has 1,000 by default." },
      cursor: text("`nextCursor` of the page before."),
    },
  },
  response: {
    200: {
      description: "The items.",
      content: {
        "application/json": { schema: ref("ItemPage") },
        "application/x-ndjson": { schema: ref("Item") },
      },
    },
    ...refusals("badRequest", "unauthorized"),
  },
};

const GET_SCHEMA: Route["schema"] = {
  summary: "Get the visible item of an id",
  tags: ["items"],
  params: { type: "object", properties: { id: text("The id, percent-encoded.") } },
  response: {
    200: body("The item.", ref("Item")),
    ...refusals("badRequest", "unauthorized", "notFound"),
  },
};
