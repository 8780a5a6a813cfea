import type { ServerResponse } from "node:http";
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  FastifySchemaValidationError,
} from "fastify";
import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { kindOf } from "../../core/options.js";
import { queryFault } from "../../runtime/http/server.js";
import { DRAFT_ADVICE } from "../arguments.js";
import { choice, ref, text } from "../bodies.js";
import type { ListQuery, PostOptions, ShownItem } from "../broadcast.js";
import type { ItemDraft } from "../replica/item.js";
import { sendLong, streamItems, streamOf } from "./answer-stream.js";
import { readJson, readText } from "./body.js";
import { BULK_TYPES, BulkRequest, postEach, postOne } from "./bulk.js";
import type { ApiContext } from "./options.js";
import {
  body,
  instant,
  instantOf,
  lines,
  query,
  refusals,
  topic,
  topicIn,
  topicQueryFault,
} from "./schemas.js";

/** POST /v1/items, one or many; GET /v1/items, a page or all; GET /v1/items/{id}. */
export async function itemRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const { node, limits, postRate } = context;

  app.addContentTypeParser("application/json", (request: FastifyRequest, _body, done) => {
    refuseEncoding(request);
    postRate.takeOne(request);
    readJson(request.raw, context, done);
  });
  app.addContentTypeParser([...BULK_TYPES], (request: FastifyRequest, _body, done) => {
    refuseEncoding(request);
    if (wantsEach(request.query as PostQuery)) readText(request.raw, context, done);
    // Read by BulkRequest, as it comes: the answer begins before the body ends.
    else done(null, "");
  });

  app.post<{ Body: ItemDraft | string | undefined; Querystring: PostQuery }>(
    "/v1/items",
    { config: { role: "post" }, schema: POST_SCHEMA, schemaErrorFormatter: draftFault },
    async (request, reply) => {
      const { body } = request;
      if (BULK_TYPES.has(request.mediaType ?? "") && !wantsEach(request.query)) {
        reply.hijack();
        await new BulkRequest(context, request, reply).run();
        return;
      }
      if (body === undefined) throw noBody();
      const wait = waitOf(request.query, reply.raw);
      if (typeof body === "string") {
        await postEach(context, request, reply, body, wait);
        return;
      }
      const result = await postOne(context, request, body, wait);
      if (result.status === "held") return result;
      reply.code(201).header("location", pathOfItem(result.id));
      return result;
    },
  );

  app.get<{ Querystring: ItemsQuery }>(
    "/v1/items",
    { config: { role: "read" }, schema: LIST_SCHEMA, schemaErrorFormatter: topicQueryFault },
    async (request, reply) => {
      const { topic, since, until, limit, order, cursor } = request.query;
      const window: ListQuery = optional({
        topic: topicIn(topic),
        order,
        sinceMs: instantOf("since", since),
        untilMs: instantOf("until", until),
      });
      if (/\bapplication\/(x-ndjson|ndjson|jsonl)\b/.test(request.headers.accept ?? "")) {
        if (cursor !== undefined) throw cursorOfStream();
        const items = node.visible({ ...window, ...optional({ limit }) });
        return streamOf(context, reply, "application/x-ndjson", (answer) =>
          streamItems(answer, items, LINES, (item) => `${JSON.stringify(item)}\n`),
        );
      }
      if (limit !== undefined && limit > limits.pageItemsMax) throw pageTooLarge(limits.pageItemsMax);
      if ((limit ?? 0) > LIMITS.pageItems || (topic?.split("/").length ?? 0) > LIMITS.topicSegmentsIndexed)
        await context.longTurn();
      const page = node.page({ ...window, ...optional({ cursor }), limit: limit ?? limits.pageItems });
      const after =
        page.nextCursor === undefined ? "]}" : `],"nextCursor":${JSON.stringify(page.nextCursor)}}`;
      return streamOf(context, reply, "application/json", (answer) =>
        streamItems(answer, page.items, { before: '{"items":[', between: ",", after }, JSON.stringify),
      );
    },
  );

  app.get<{ Params: { id: string }; Querystring: HoldersQuery }>(
    "/v1/items/:id",
    { config: { role: "read" }, schema: GET_SCHEMA },
    (request, reply) => sendItem(context, request.params.id, request.query, reply),
  );

  // For the ids that a path cannot carry.
  app.get<{ Querystring: { id: string } & HoldersQuery }>(
    "/v1/items/",
    { config: { role: "read" }, schema: GET_BY_QUERY_SCHEMA },
    (request, reply) => sendItem(context, request.query.id, request.query, reply),
  );
}

interface PostQuery {
  readonly wait?: string;
  readonly timeoutMs?: number;
  readonly results?: "full";
}

/** Whether each line of many is to be answered as a post of its own. */
function wantsEach({ wait, results }: PostQuery): boolean {
  return wait !== undefined || results === "full";
}

interface HoldersQuery {
  readonly holders?: string;
  readonly timeoutMs?: number;
}

interface ItemsQuery {
  readonly topic?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit?: number;
  readonly order?: "oldest" | "newest";
  readonly cursor?: string;
}

/** The wait that `?wait=` and `?timeoutMs=` ask for. A client that disconnects ends it. */
function waitOf({ wait, timeoutMs }: PostQuery, response: ServerResponse): PostOptions | undefined {
  if (wait === undefined) return undefined;
  const signal = leavingOf(response);
  return { wait: wait === "all" ? wait : Number(wait), signal, ...optional({ timeoutMs }) };
}

/** Aborts when the client disconnects before its answer is written. An abort makes an error with its stack: 40 us. */
function leavingOf(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) left.abort();
  });
  return left.signal;
}

function refuseEncoding({ headers }: FastifyRequest): void {
  const encoding = headers["content-encoding"];
  if (encoding === undefined || encoding === "identity") return;
  throw new HubcastError("unsupportedMediaType", "compressed bodies are not taken here", {
    suggestions: ["Send the body as it is, without Content-Encoding."],
  });
}

function noBody(): HubcastError {
  return new HubcastError("unsupportedMediaType", "there is neither a body nor a content type", {
    suggestions: ["Send `Content-Type: application/json` for one item, `application/x-ndjson` for many."],
  });
}

/** The first fault that the schema of a draft finds. The node checks lengths, characters and the signature. */
export function draftFault(faults: FastifySchemaValidationError[], part: string): HubcastError {
  if (part !== "body") return queryFault(faults);
  const { instancePath, params, message, data } = faults[0] as FastifySchemaValidationError & {
    data: unknown;
  };
  if (instancePath === "" && params.missingProperty === undefined) {
    return new HubcastError("badRequest", "the body is JSON, but not an object", {
      suggestions: ['Send an object such as {"id": "lunch", "raw": "at noon"}.'],
    });
  }
  const type = params.type as "string" | "integer" | undefined;
  const fault =
    params.missingProperty !== undefined
      ? `${params.missingProperty} is missing`
      : type !== undefined
        ? `${instancePath.slice(1)} is ${kindOf(data)}, not a ${type === "string" ? type : "whole number"}`
        : `${instancePath.slice(1)} ${message}`;
  return new HubcastError("invalidItem", fault, { suggestions: [DRAFT_ADVICE] });
}

/** Where an item is found. Whatever reads a URL takes `.` and `..` for steps of the path, escaped or not. */
function pathOfItem(id: string): string {
  return id === "." || id === ".." ? `/v1/items/?id=${id}` : `/v1/items/${encodeURIComponent(id)}`;
}

/** Longer texts are long for an answer: JSON may escape each character with six. */
const SHORT_RAW_LENGTH = 65_536;

/** A client that leaves ends the wait for holders. */
async function sendItem(
  context: ApiContext,
  id: string,
  { holders, timeoutMs }: HoldersQuery,
  reply: FastifyReply,
): Promise<ShownItem | undefined> {
  const receipt = holders === "true" ? { holders: true, signal: leavingOf(reply.raw) } : {};
  const item = await context.node.find(id, { ...receipt, ...optional({ timeoutMs }) });
  if (item && item.raw.length <= SHORT_RAW_LENGTH) return item;
  if (!item) throw noItem(id);
  // Not awaited: the item is not kept while this answer waits for its turn.
  return sendLongItem(context, id, item.receipt, reply);
}

async function sendLongItem(
  context: ApiContext,
  id: string,
  receipt: ShownItem["receipt"],
  reply: FastifyReply,
): Promise<undefined> {
  await sendLong(context, reply, async () => {
    const item = await context.node.find(id);
    if (!item) throw noItem(id);
    return { ...item, ...optional({ receipt }) };
  });
}

function noItem(id: string): HubcastError {
  return new HubcastError("notFound", `no visible item has the id ${JSON.stringify(id.slice(0, 256))}`, {
    suggestions: ["List what there is with GET /v1/items; items expire after the retention."],
  });
}

const LINES = { before: "", between: "", after: "" };

/** The parameters that are given. */
function optional<Values extends object>(
  values: Values,
): { [Name in keyof Values]?: NonNullable<Values[Name]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof optional<Values>
  >;
}

function pageTooLarge(limit: number): HubcastError {
  return new HubcastError("badRequest", `a page has ${limit} items at most (pageItemsMax)`, {
    suggestions: ["Ask for pages with cursor, or for all with `Accept: application/x-ndjson`."],
  });
}

function cursorOfStream(): HubcastError {
  return new HubcastError("badRequest", "a stream has no pages, so it takes no cursor", {
    suggestions: ["Leave out cursor, or the Accept header."],
  });
}

const POST_SCHEMA: FastifySchema = {
  operationId: "postItem",
  summary: "Post one item, or many",
  description:
    "One item as `application/json` is accepted (201) or was held already (200). Many items as " +
    "`application/x-ndjson`, one a line, are answered by one result a line, in their order, while they are still " +
    "being sent; a bad line is answered `invalid` and does not end the request. With `wait`, or `results=full`, each line " +
    "is answered as a post of its own: with its result, or with the problem that refuses it.",
  tags: ["items"],
  querystring: query({
    wait: text("Number of peers that must hold the item, or `all` that are connected; adds a receipt.", {
      pattern: "^(all|[1-9]\\d{0,2}|1000)$",
    }),
    timeoutMs: {
      type: "integer",
      minimum: 1,
      maximum: LIMITS.receiptTimeoutMsMax,
      description: "Deadline of `wait`; 5,000 without it.",
    },
    results: choice("Many items: each line is answered as a post of its own.", ["full"]),
  }),
  body: {
    content: {
      "application/json": { schema: ref("ItemDraft") },
      "application/x-ndjson": { schema: lines("ItemDraft") },
    },
  },
  response: {
    200: {
      description: "The node held this very item already; or the results of a bulk request.",
      content: {
        "application/json": { schema: ref("PostResult") },
        "application/x-ndjson": { schema: lines("BulkLine") },
      },
    },
    201: {
      ...body("The item is accepted.", ref("PostResult")),
      headers: { Location: text("Path of the item.") },
    },
    ...refusals(
      "badRequest",
      "unauthorized",
      "forbidden",
      "requestTimeout",
      "conflict",
      "tooLarge",
      "unsupportedMediaType",
      "invalidItem",
      "timestampOff",
      "itemExpired",
      "refusedByPolicy",
      "refusedTopic",
      "rateLimited",
      "keyRateLimited",
      "clockSkew",
      "nodeFull",
      "storageFailed",
      "natsAway",
      "natsFull",
    ),
  },
};

const LIST_SCHEMA: FastifySchema = {
  operationId: "listItems",
  summary: "List visible items, oldest first, or newest first",
  description: "One page of JSON, or, with `Accept: application/x-ndjson`, all of them, one a line.",
  tags: ["items"],
  querystring: query({
    topic: topic("Only items"),
    since: instant("Only items stamped at or after it"),
    until: instant("Only items stamped before it"),
    limit: {
      type: "integer",
      minimum: 1,
      description:
        "At most so many; a page has 1,000 by default and 10,000 at most. Of a topic of more than 8 segments it may have " +
        "fewer, or none, and yet a `nextCursor`.",
    },
    order: choice("`newest` lists backwards.", ["oldest", "newest"]),
    cursor: text("`nextCursor` of the page before, of the same order.", {
      pattern: "^[0-9a-z]{1,11}\\.[0-9a-f]{0,65}$",
    }),
  }),
  response: {
    200: {
      description: "The items.",
      content: {
        "application/json": { schema: ref("ItemPage") },
        "application/x-ndjson": { schema: lines("Item") },
      },
    },
    ...refusals("badRequest", "unauthorized"),
  },
};

const HOLDERS_QUERY = {
  holders: text("`true`: ask all members whether they hold it; adds a receipt.", { enum: ["true", "false"] }),
  timeoutMs: {
    type: "integer",
    minimum: 1,
    maximum: LIMITS.receiptTimeoutMsMax,
    description: "How long they have; 1,000 without it.",
  },
};

const GET_SCHEMA: FastifySchema = {
  operationId: "getItem",
  summary: "Get the visible item of an id",
  querystring: query(HOLDERS_QUERY),
  tags: ["items"],
  params: {
    type: "object",
    properties: { id: text("The id, percent-encoded; not `.` or `..`.", { minLength: 1 }) },
  },
  response: {
    200: body("The item.", ref("ShownItem")),
    ...refusals("badRequest", "unauthorized", "notFound"),
  },
};

const GET_BY_QUERY_SCHEMA: FastifySchema = {
  operationId: "getItemByQuery",
  summary: "Get the visible item of an id that a path cannot carry: `.` and `..`",
  tags: ["items"],
  querystring: query(
    { id: text("The id, percent-encoded. To list items: GET /v1/items"), ...HOLDERS_QUERY },
    ["id"],
  ),
  response: GET_SCHEMA.response,
};
