import type { FastifySchemaValidationError } from "fastify";
import { asHubcastError, ERRORS, type ErrorCode, HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { TOPIC_BYTES_MAX, topicAdvice, topicFault } from "../../core/topic.js";
import { parseInstant } from "../../core/units.js";
import { queryFault } from "../../runtime/http/server.js";
import {
  BODIES,
  choice,
  count,
  flag,
  type JsonSchema,
  list,
  object,
  optional,
  ref,
  text,
} from "../bodies.js";
import type { ItemDraft } from "../replica/item.js";

/** JSON schemas of the bodies, by the names that `ref` and `components.schemas` of /openapi.json call them by. */
export const SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  ...BODIES,
  ItemDraft: object<ItemDraft>(
    "An item to post. The node fills in what is absent; fields that are not listed are ignored.",
    {
      id: optional(
        text(
          `1..${LIMITS.idBytesMax} bytes of UTF-8 without control characters. Absent: the node makes a UUIDv7.`,
          {
            ...{ minLength: 1, maxLength: LIMITS.idBytesMax },
            pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
          },
        ),
      ),
      raw: text(`What is broadcast: 1..${LIMITS.rawBytesMax} bytes of UTF-8.`, {
        ...{ minLength: 1, maxLength: LIMITS.rawBytesMax },
      }),
      signature: optional(
        text("Proof in one of the schemes, any letter case. Absent: `sha256:` of raw.", {
          pattern:
            "^([0-9a-fA-F]{32}|[sS][hH][aA]256:[0-9a-fA-F]{64}|[eE][dD]25519:[0-9a-fA-F]{64}:[0-9a-fA-F]{128})$",
        }),
      ),
      timestampMs: optional(
        count("Epoch milliseconds; only an item signed by its author (ed25519) may bring its own."),
      ),
    },
  ),
  Access: object("What the caller may do.", {
    role: choice("`post`: everything; `read`: every GET; `none`: a token is needed.", [
      "post",
      "read",
      "none",
    ]),
  }),
  Probe: object("Answer to a probe.", { status: text("`ok`, `ready`, or what the node waits for.") }),
  SeedItem: object("An item in the words of the earlier system.", {
    id: text("Id."),
    raw: text("What is broadcast."),
    signature: text("MD5 of raw as 32 hex digits, any letter case."),
  }),
  SeedResult: object("Outcome of /postNewData; the status is 200 either way.", {
    result: flag("Whether the item was taken."),
    msg: choice("`ok`, or why not.", [
      "ok",
      "Invalid data",
      "Different raw data with same id",
      "Data exists",
      "Error parsing data",
    ]),
  }),
  SeedList: object("All visible items, oldest first.", { data_list: list("Items.", ref("SeedItem")) }),
  Problem: object("A refusal, as RFC 9457 defines it.", {
    type: text("`urn:hubcast:error:` and the code."),
    title: text("What the code means."),
    status: count("HTTP status."),
    detail: text("What happened, with which values."),
    code: choice("Stable, for programs.", Object.keys(ERRORS)),
    suggestions: list("What to do next.", text("A sentence.")),
  }),
};

/** A body of one media type. */
export function body(description: string, schema: object, mediaType = "application/json"): object {
  return { description, content: { [mediaType]: { schema } } };
}

/** Rows of `response` for every code that a route may refuse with; codes of any route are added. */
export function refusals(...codes: readonly ErrorCode[]): Record<number, object> {
  const rows = new Map<number, string[]>();
  for (const code of [...codes, ...EVERYWHERE]) {
    const { httpStatus = 500 } = ERRORS[code] as { httpStatus?: number };
    rows.set(httpStatus, [...(rows.get(httpStatus) ?? []), `\`${code}\`: ${ERRORS[code].meaning}`]);
  }
  return Object.fromEntries(
    [...rows].map(([status, lines]) => [
      status,
      body(lines.join(" "), ref("Problem"), "application/problem+json"),
    ]),
  );
}

const EVERYWHERE: readonly ErrorCode[] = ["foreignOrigin", "foreignHost", "stopping", "bug", "systemFailed"];

/** NDJSON: OpenAPI 3.1 has no word for what each line is. */
export function lines(name: string): object {
  return text(`One ${name} a line.`, { "x-lines": ref(name) });
}

/** A query of these parameters and no others: a misspelt one must not be silently without effect. */
export function query(properties: object, required: readonly string[] = []): object {
  return { type: "object", additionalProperties: false, properties, required };
}

/** A parameter that `instantOf` reads. */
export function instant(what: string): object {
  return text(`${what}: ISO 8601, epoch milliseconds, or \`10m\` (ago).`, { pattern: INSTANT_PATTERN });
}

/** A parameter that `topicIn` reads. */
export function topic(what: string): object {
  const segment = "[^/\\u0000-\\u001f\\u007f-\\u009f]+";
  return text(
    `${what} of this topic and of all below it: segments with / between them, none of them empty.`,
    {
      ...{ minLength: 1, maxLength: TOPIC_BYTES_MAX },
      pattern: `^${segment}(/${segment})*$`,
    },
  );
}

/** The error for the first fault that the schema of a query with a topic finds. */
export function topicQueryFault(faults: FastifySchemaValidationError[]): HubcastError {
  const { instancePath, data } = faults[0] as FastifySchemaValidationError & { readonly data: unknown };
  try {
    if (instancePath === "/topic" && typeof data === "string") topicIn(data);
  } catch (refusal) {
    return refusal as HubcastError;
  }
  return queryFault(faults);
}

/** @throws badRequest */
export function topicIn(value: string | undefined): string | undefined {
  const fault = value === undefined ? undefined : topicFault(value);
  if (fault === undefined) return value;
  throw new HubcastError("badRequest", `topic: ${JSON.stringify(value)} is no topic: ${fault}`, {
    suggestions: topicAdvice(value!),
  });
}

const INSTANT_PATTERN =
  "^(0|\\d{12,15}|\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])" +
  "(T([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)?)?|(\\d+(\\.\\d+)?(ms|s|m|h|d))+)$";

/** @returns epoch ms. @throws badRequest, which names the parameter */
export function instantOf(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  try {
    return parseInstant(value, Date.now());
  } catch (cause) {
    const { message, suggestions } = asHubcastError(cause);
    throw new HubcastError("badRequest", `${name}: ${message}`, { suggestions });
  }
}
