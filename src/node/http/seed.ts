import type { FastifyInstance, FastifyRequest } from "fastify";
import { asHubcastError, type ErrorCode, HubcastError } from "../../core/errors.js";
import { ref } from "../bodies.js";
import { type Item, itemFault } from "../replica/item.js";
import { streamItems, streamOf } from "./answer-stream.js";
import { readJson } from "./body.js";
import { draftFault } from "./items.js";
import type { ApiContext } from "./options.js";
import { body, refusals } from "./schemas.js";

/** POST /postNewData, as the earlier system has it: any content type, status 200, and its four words. */
export async function postNewData(app: FastifyInstance, context: ApiContext): Promise<void> {
  app.addContentTypeParser("*", (request: FastifyRequest, _body, done) => {
    context.postRate.takeOne(request);
    readJson(request.raw, context, done);
  });
  // A content type that is none at all would be refused before the parser is asked.
  app.addHook("onRequest", async (request) => {
    request.headers = { "content-type": "application/json" };
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const words = WORDS[asHubcastError(thrown).code];
    if (words === undefined) throw thrown;
    reply.removeHeader("connection").code(200).send({ result: false, msg: words });
  });
  app.post<{ Body: { id: string; raw: string; signature: string } }>(
    "/postNewData",
    {
      config: { role: "post" },
      schemaErrorFormatter: draftFault,
      schema: {
        operationId: "postNewData",
        summary: "Post an item (call of the earlier system)",
        description: "Any content type is read as JSON. Refusals of an item keep status 200.",
        tags: ["seed"],
        body: ref("SeedItem"),
        response: {
          200: body("What became of it.", ref("SeedResult")),
          ...refusals(
            "unauthorized",
            "forbidden",
            "requestTimeout",
            "tooLarge",
            "rateLimited",
            "keyRateLimited",
            "clockSkew",
            "nodeFull",
            "storageFailed",
            "natsAway",
            "natsFull",
          ),
        },
      },
    },
    async ({ body: { id, raw, signature } }) => {
      const fault = itemFault({ id, raw, signature, timestampMs: 0 });
      if (fault !== undefined) throw new HubcastError("invalidItem", fault);
      const { status } = await context.node.accept({ id, raw, signature });
      return status === "held" ? { result: false, msg: "Data exists" } : { result: true, msg: "ok" };
    },
  );
}

/** `/listAllRecentData` answers both methods. */
export async function listAllRecentData(app: FastifyInstance, context: ApiContext): Promise<void> {
  // The body of a POST means nothing, but must not stay in the connection.
  app.addHook("onRequest", async (request) => {
    request.headers = { "content-type": "application/json" };
    request.raw.resume();
  });
  app.addContentTypeParser("*", (_request, _body, done) => done(null));
  for (const method of ["POST", "GET"] as const) {
    app.route({
      method,
      url: "/listAllRecentData",
      config: { role: "read" },
      schema: {
        operationId: method === "GET" ? "listAllRecentData" : "listAllRecentDataByPost",
        summary: "List all visible items (call of the earlier system)",
        tags: ["seed"],
        response: { 200: body("The items.", ref("SeedList")), ...refusals("unauthorized") },
      },
      handler: (_request, reply) =>
        streamOf(context, reply, "application/json", (answer) => {
          const frame = { before: '{"data_list":[', between: ",", after: "]}" };
          return streamItems(answer, context.node.visible({}), frame, seedText);
        }),
    });
  }
}

/** Refusals that the earlier system has a word for; the others are problems with a status. */
const WORDS: { readonly [Code in ErrorCode]?: string } = {
  badRequest: "Error parsing data",
  invalidItem: "Invalid data",
  timestampOff: "Invalid data",
  itemExpired: "Invalid data",
  refusedByPolicy: "Invalid data",
  refusedTopic: "Invalid data",
  conflict: "Different raw data with same id",
};

function seedText({ id, raw, signature }: Item): string {
  return JSON.stringify({ id, raw, signature });
}
