import { HubcastError } from "../../core/errors.js";
import type { ItemDraft } from "../protocol/item.js";

/**
 * Takes parsed JSON for a draft. Looks at types only; lengths, characters and signature are the node's to judge.
 * Fields that a draft does not have are ignored, so that what `GET /v1/items` answers can be posted elsewhere.
 * @throws badRequest when it is no object, invalidItem when a field is absent or of another type
 */
export function draftOf(value: unknown): ItemDraft {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HubcastError("badRequest", "the body is JSON, but not an object", {
      suggestions: ['Send an object such as {"id": "lunch", "raw": "at noon"}.'],
    });
  }
  const fault = draftFault(value);
  if (fault === undefined) return value as ItemDraft;
  throw new HubcastError("invalidItem", fault, {
    suggestions: ["An item is {raw, id?, signature?, timestampMs?}: three strings and a number."],
  });
}

/** What is wrong with the types of a draft's fields, or nothing. */
export function draftFault(value: object): string | undefined {
  const { id, raw, signature, timestampMs } = value as Record<string, unknown>;
  if (typeof raw !== "string") return raw === undefined ? "raw is missing" : `raw ${notA(raw, "string")}`;
  if (id !== undefined && typeof id !== "string") return `id ${notA(id, "string")}`;
  if (signature !== undefined && typeof signature !== "string")
    return `signature ${notA(signature, "string")}`;
  if (timestampMs !== undefined && typeof timestampMs !== "number") {
    return `timestampMs ${notA(timestampMs, "number")}`;
  }
  return undefined;
}

function notA(value: unknown, type: string): string {
  const found = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
  return `is ${found.replace("a object", "an object")}, not a ${type}`;
}
