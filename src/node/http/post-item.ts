import type { ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import { HubcastError } from "../../core/errors.js";
import type { PostOptions, PostResult } from "../broadcast.js";
import { BulkRequest } from "./bulk.js";
import { draftOf } from "./draft.js";
import { body, ref, refusals, text } from "./json-schema.js";
import { Query } from "./query.js";
import { readJson } from "./request-body.js";
import type { ApiContext, Route } from "./route.js";

/** POST /v1/items: one item as JSON, or many as NDJSON. */
export function postItem(context: ApiContext): Route {
  const { service } = context;
  return {
    method: "POST",
    url: "/v1/items",
    role: "post",
    schema: SCHEMA,
    async handle(request, reply) {
      const type = mediaTypeOf(request.headers["content-type"]);
      refuseEncoding(request.headers["content-encoding"]);
      if (BULK_TYPES.has(type)) {
        reply.hijack();
        await new BulkRequest(context, request.raw, reply.raw).run();
        return;
      }
      if (type !== "application/json" && !type.endsWith("+json")) throw unsupported(type);
      const wait = waitOf(request, reply, context);
      context.postRate.takeOne(request.raw);
      const draft = draftOf(await readJson(request.raw, context));
      context.keyRate.check(request.raw, draft);
      const result = await service.post(draft, wait);
      context.keyRate.charge(request.raw, draft, result.status);
      reply.hijack();
      sendResult(reply.raw, result);
    },
  };
}

const BULK_TYPES: ReadonlySet<string> = new Set([
  "application/x-ndjson",
  "application/ndjson",
  "application/jsonl",
]);

/** `type/subtype` in lower case, without parameters; empty when there is none. */
function mediaTypeOf(header: string | undefined): string {
  if (header === "application/json") return header;
  return (header ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

function unsupported(type: string): HubcastError {
  const given = type === "" ? "no content type" : `the content type ${JSON.stringify(type.slice(0, 100))}`;
  return new HubcastError("unsupportedMediaType", `${given} is not taken here`, {
    suggestions: ["Send `Content-Type: application/json` for one item, `application/x-ndjson` for many."],
  });
}

function refuseEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === "identity") return;
  throw new HubcastError("unsupportedMediaType", "compressed bodies are not taken here", {
    suggestions: ["Send the body as it is, without Content-Encoding."],
  });
}

/** What `?wait=` and `?timeoutMs=` ask for. A client that leaves ends its wait. */
function waitOf(
  { raw }: FastifyRequest,
  reply: FastifyReply,
  { limits }: ApiContext,
): PostOptions | undefined {
  if (!raw.url?.includes("?")) return undefined;
  const query = new Query(raw.url, ["wait", "timeoutMs"]);
  const wait = query.text("wait") === "all" ? "all" : query.wholeNumber("wait", 1, limits.peersMax);
  const timeoutMs = query.wholeNumber("timeoutMs", 1, limits.receiptTimeoutMsMax);
  if (wait === undefined) return undefined;
  const left = new AbortController();
  reply.raw.once("close", () => left.abort());
  return { wait, signal: left.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** The one answer that is sent thousands of times a second: written without the steps that fastify takes for any. */
function sendResult(response: ServerResponse, result: PostResult): void {
  const body = resultText(result);
  const head = ["content-type", "application/json; charset=utf-8", "content-length", Buffer.byteLength(body)];
  if (result.status === "held") response.writeHead(200, head);
  else response.writeHead(201, [...head, "location", `/v1/items/${encodeURIComponent(result.id)}`]);
  response.end(body);
}

function resultText({ id, digest, timestampMs, status, receipt }: PostResult): string {
  const fields = `{"id":${JSON.stringify(id)},"digest":"${digest}","timestampMs":${timestampMs},"status":"${status}"`;
  return receipt === undefined ? `${fields}}` : `${fields},"receipt":${JSON.stringify(receipt)}}`;
}

const SCHEMA: Route["schema"] = {
  summary: "Post one item, or many",
  description:
    "One item as `application/json` is accepted (201) or was held already (200). Many items as " +
    "`application/x-ndjson`, one a line, are answered by one result a line, in their order, while they are still " +
    "being sent; a bad line is answered `invalid` and does not end the request.",
  tags: ["items"],
  querystring: {
    type: "object",
    properties: {
      wait: text("Number of peers that must hold the item, or `all` that are connected; adds a receipt."),
      timeoutMs: { type: "integer", minimum: 1, default: 5000, description: "Deadline of `wait`." },
    },
  },
  body: {
    content: {
      "application/json": { schema: ref("ItemDraft") },
      "application/x-ndjson": { schema: ref("ItemDraft") },
    },
  },
  response: {
    200: {
      description: "The node held this very item already; or the results of a bulk request.",
      content: {
        "application/json": { schema: ref("PostResult") },
        "application/x-ndjson": { schema: ref("BulkLine") },
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
