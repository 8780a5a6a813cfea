import { ERRORS, type ErrorCode, HubcastError, isInternal } from "../../core/errors.js";
import { BODIES, type JsonSchema, list, type Schema } from "../bodies.js";
import type { BulkLine, ItemPage, NodeEvent, NodeStatus, Peer, PostResult, ShownItem } from "../broadcast.js";

/** Answers of a node, by the names that errors call them by. */
interface Answers {
  "a node's status": NodeStatus;
  "a list of peers": readonly Peer[];
  "an item and its rivals": ShownItem;
  "a page of items": ItemPage;
  "the result of a post": PostResult;
  "the outcome of one of many posts": BulkLine;
}

const SCHEMAS: { readonly [What in keyof Answers]: Schema<Answers[What]> } = {
  "a node's status": BODIES.NodeStatus,
  "a list of peers": list("Members.", BODIES.Peer),
  "an item and its rivals": BODIES.ShownItem,
  "a page of items": BODIES.ItemPage,
  "the result of a post": BODIES.PostResult,
  "the outcome of one of many posts": BODIES.BulkLine,
};

/** @returns the answer as what it must be @throws notHubcast, which says what is wrong with it */
export function answerAs<What extends keyof Answers>(what: What, value: unknown, url: URL): Answers[What] {
  const found = checkOf(SCHEMAS[what])(value, "");
  if (found === undefined) return value as Answers[What];
  throw malformed(url, what, found);
}

/** The fields that an event of each type has. */
const EVENT_FIELDS: { readonly [Type in NodeEvent["type"]]: readonly string[] } = {
  item: ["item"],
  replaced: ["eventId", "item", "previous"],
  expired: ["eventId", "item"],
  peer: ["eventId", "peer"],
  "caught-up": ["eventId"],
};

/** @returns the event; nothing for one of a kind that is not known here @throws notHubcast */
export function eventIn(json: string, url: URL): NodeEvent | undefined {
  const value = parsed(json, "an event", url);
  const fields = Object(value) as Record<string, unknown>;
  if (typeof fields.type !== "string") throw malformed(url, "an event", "type is missing");
  if (!Object.hasOwn(EVENT_FIELDS, fields.type)) return undefined;
  const missing = EVENT_FIELDS[fields.type as NodeEvent["type"]].find((name) => fields[name] === undefined);
  const found = missing ? `${missing} is missing` : checkOf(BODIES.NodeEvent)(value, "");
  if (found === undefined) return value as NodeEvent;
  throw malformed(url, "an event", found);
}

/** @returns what is wrong with the value at that path, or nothing */
type Check = (value: unknown, path: string) => string | undefined;

/** Of schemas that were asked for. */
const CHECKS = new Map<JsonSchema, Check>();

/** The check of a value against a schema: types and closed lists of words. Fields that the schema does not have pass. */
function checkOf(schema: JsonSchema): Check {
  let check = CHECKS.get(schema);
  if (!check) {
    check = newCheck(schema);
    CHECKS.set(schema, check);
  }
  return check;
}

function newCheck({
  $ref,
  type,
  enum: words,
  items,
  properties = {},
  required,
  ...rules
}: JsonSchema): Check {
  if ($ref !== undefined) return checkOf(Reflect.get(BODIES, $ref.slice(0, -1)));
  switch (type) {
    case "boolean":
      return (value, path) => (typeof value === type ? undefined : fault(value, path, "true or false"));
    case "string":
      if (words && !rules["x-extensible"])
        return (value, path) =>
          words.includes(value as string) ? undefined : fault(value, path, words.join(" or "));
      return (value, path) => (typeof value === type ? undefined : fault(value, path, "a text"));
    case "array":
      return listCheck(checkOf(items!));
    case "object":
      return objectCheck(
        Object.entries(properties).map(([name, field]) => {
          const check = checkOf(field);
          if (required?.includes(name)) return [name, check];
          return [name, (value, path) => (value === undefined ? undefined : check(value, path))];
        }),
      );
    default:
      return (value, path) => (Number.isFinite(value) ? undefined : fault(value, path, "a number"));
  }
}

function listCheck(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return fault(value, path, "a list");
    for (let index = 0; index < value.length; index++) {
      const found = check(value[index], `${path}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function objectCheck(fields: readonly (readonly [name: string, Check])[]): Check {
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return fault(value, path, "an object");
    for (const [name, check] of fields) {
      const found = check((value as Record<string, unknown>)[name], path === "" ? name : `${path}.${name}`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function fault(value: unknown, path: string, wanted: string): string {
  const where = path === "" ? "it" : path;
  if (value === undefined) return `${where} is missing`;
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  return found === "string" ? `${where} is not ${wanted}` : `${where} is ${found}, not ${wanted}`;
}

/** Whether it says who it is, as every version of a node does. */
export function isNode(value: unknown): boolean {
  const fields = Object(value) as Record<string, unknown>;
  return ["name", "id", "cluster", "version", "fingerprint"].every(
    (name) => typeof fields[name] === "string",
  );
}

/** @throws notHubcast */
export function parsed(json: string, what: string, url: URL): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw malformed(url, what, "it is no JSON");
  }
}

/**
 * The refusal that problem JSON carries, in the node's own words; nothing when it is none. Only what a node may refuse
 * with is taken: codes of commands would choose how ours end.
 */
export function refusalIn(json: string, url: URL): HubcastError | undefined {
  let problem: { readonly code?: unknown; readonly detail?: unknown; readonly suggestions?: unknown };
  try {
    problem = Object(JSON.parse(json));
  } catch {
    return undefined;
  }
  const { code, detail, suggestions } = problem;
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code)) return undefined;
  const known = code as ErrorCode;
  if (!("httpStatus" in ERRORS[known])) return undefined;
  if (isInternal({ code: known })) {
    return new HubcastError("nodeFailed", `the node at ${url.origin} failed at this call`, {
      suggestions: ["Its log says why; ask another node meanwhile."],
    });
  }
  return new HubcastError(known, typeof detail === "string" ? detail : ERRORS[known].meaning, {
    suggestions: Array.isArray(suggestions) ? suggestions.filter((each) => typeof each === "string") : [],
  });
}

function malformed(url: URL, what: string, found: string): HubcastError {
  return new HubcastError(
    "notHubcast",
    `the node at ${url.origin} answered something that is not ${what}: ${found}`,
    {
      suggestions: [
        "Look whether it is a hubcast node, and of which version: curl -s URL/v1/status.",
        "A proxy in between may have changed the answer.",
      ],
    },
  );
}
