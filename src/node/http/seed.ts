import { asHubcastError, type ErrorCode, HubcastError } from "../../core/errors.js";
import { type Item, type ItemDraft, itemFault } from "../protocol/item.js";

import { streamItems } from "./item-stream.js";
import { body, ref, refusals } from "./json-schema.js";
import { streamOf } from "./read-items.js";
import { readJson } from "./request-body.js";
import type { ApiContext, Route } from "./route.js";

/** POST /postNewData, as the earlier system has it: any content type, status 200, and its four words. */
export function postNewData(context: ApiContext): Route {
  const { service } = context;
  return {
    method: "POST",
    url: "/postNewData",
    role: "post",
    schema: {
      summary: "Post an item (call of the earlier system)",
      description: "Any content type is read as JSON. Refusals of an item keep status 200.",
      tags: ["seed"],
      body: body("The item.", ref("SeedItem")),
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
    async handle(request) {
      context.postRate.takeOne(request.raw);
      try {
        const draft = seedDraftOf(await readJson(request.raw, context));
        const { status } = await service.post(draft);
        return status === "held" ? refused("Data exists") : { result: true, msg: "ok" };
      } catch (thrown) {
        const words = WORDS[asHubcastError(thrown).code];
        if (words === undefined) throw thrown;
        return refused(words);
      }
    },
  };
}

/** `/listAllRecentData` answers both methods. */
export function listAllRecentData(method: "GET" | "POST", { service, limits }: ApiContext): Route {
  return {
    method,
    url: "/listAllRecentData",
    role: "read",
    schema: {
      summary: "List all visible items (call of the earlier system)",
      tags: ["seed"],
      response: { 200: body("The items.", ref("SeedList")), ...refusals("unauthorized") },
    },
    async handle(request, reply) {
      // Whatever a POST carries means nothing, but must not stay in the connection.
      request.raw.resume();
      const answer = streamOf(reply, "application/json", limits.streamStallMs);
      const frame = { before: '{"data_list":[', between: ",", after: "]}" };
      await streamItems(answer, service.list({}), frame, seedText);
    },
  };
}

/** Refusals that the earlier system has a word for; the others are problems with a status. */
const WORDS: { readonly [Code in ErrorCode]?: string } = {
  badRequest: "Error parsing data",
  invalidItem: "Invalid data",
  timestampOff: "Invalid data",
  itemExpired: "Invalid data",
  refusedByPolicy: "Invalid data",
  conflict: "Different raw data with same id",
};

/** Here id and signature must be given: nothing is filled in. */
function seedDraftOf(value: unknown): ItemDraft {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HubcastError("badRequest", "the body is not an object");
  }
  const { id, raw, signature } = value as Record<string, unknown>;
  if (typeof id !== "string" || typeof raw !== "string" || typeof signature !== "string") {
    throw new HubcastError("invalidItem", "id, raw and signature must be strings");
  }
  const fault = itemFault({ id, raw, signature, timestampMs: 0 });
  if (fault !== undefined) throw new HubcastError("invalidItem", fault);
  return { id, raw, signature };
}

function refused(msg: string): { readonly result: false; readonly msg: string } {
  return { result: false, msg };
}

function seedText({ id, raw, signature }: Item): string {
  return JSON.stringify({ id, raw, signature });
}
