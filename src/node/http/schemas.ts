import { asHubcastError, ERRORS, type ErrorCode, HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { topicAdvice, topicFault } from "../../core/topic.js";
import { parseInstant } from "../../core/units.js";
import { REASONS } from "../broadcast.js";
import { SCHEMES } from "../replica/signature.js";

const RECEIPT = {
  of: count("Members known and alive when it was asked for, this node left out."),
  complete: flag("All that were waited for hold it, and there was another to ask."),
  alone: flag("Nobody else was there; absent otherwise."),
  membersEstimated: count(
    "How many others there are in all, about; only where those asked are a sample of them.",
  ),
  holders: list(
    "Members that hold it, in the order they said so.",
    object("A holder.", {
      id: text("Node id."),
      name: text("Node name."),
      afterMs: number("Milliseconds since this node asked: for a post, since it accepted the item."),
    }),
  ),
  missing: members("Members that have not said so."),
  refused: members("Members whose policy does not take it."),
};
const RECEIPT_REQUIRED = ["of", "complete", "holders", "missing", "refused"];

const AUTHORSHIP = {
  scheme: choice("How its signature proves it.", SCHEMES),
  author: text("Public key of who signed it, 64 hex digits; absent where the scheme names nobody."),
};

/** JSON schemas of the bodies, by the names that `ref` and `components.schemas` of /openapi.json call them by. */
export const SCHEMAS = {
  Item: object(
    "One broadcast item. It never changes; it expires when the retention has passed since its timestamp.",
    {
      id: text(`1..${LIMITS.idBytesMax} bytes of UTF-8 without control characters.`),
      raw: text(`What is broadcast: 1..${LIMITS.rawBytesMax} bytes of UTF-8.`),
      signature: text(
        "MD5 of raw as 32 hex digits, `sha256:HEX`, or `ed25519:PUBKEY:SIG`. Hex is lower case here.",
      ),
      timestampMs: count("When the item was stamped, in epoch milliseconds."),
      digest: text("SHA-256 of the canonical encoding of the other four fields: 64 hex digits."),
    },
  ),
  ItemDraft: object(
    "An item to post. The node fills in what is absent; fields that are not listed are ignored.",
    {
      id: text(
        `1..${LIMITS.idBytesMax} bytes of UTF-8 without control characters. Absent: the node makes a UUIDv7.`,
        {
          ...{ minLength: 1, maxLength: LIMITS.idBytesMax },
          pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        },
      ),
      raw: text(`What is broadcast: 1..${LIMITS.rawBytesMax} bytes of UTF-8.`, {
        ...{ minLength: 1, maxLength: LIMITS.rawBytesMax },
      }),
      signature: text("Proof in one of the schemes, any letter case. Absent: `sha256:` of raw.", {
        pattern:
          "^([0-9a-fA-F]{32}|[sS][hH][aA]256:[0-9a-fA-F]{64}|[eE][dD]25519:[0-9a-fA-F]{64}:[0-9a-fA-F]{128})$",
      }),
      timestampMs: count(
        "Epoch milliseconds; only an item signed by its author (ed25519) may bring its own.",
      ),
    },
    ["raw"],
  ),
  PostResult: object(
    "The item as the node holds it now.",
    {
      id: text("Its id: the given one, or the one the node made."),
      digest: text("64 hex digits."),
      timestampMs: count("The timestamp it got, in epoch milliseconds."),
      status: choice("`held`: the node had this very item already.", ["accepted", "held"]),
      visible: text(
        "Digest of the item that is visible under the id now; another one: this item is hidden behind it.",
      ),
      receipt: ref("Receipt"),
    },
    ["id", "digest", "timestampMs", "status", "visible"],
  ),
  ShownItem: object(
    "The item that is visible under an id, and what there is beside it.",
    {
      id: text("Its id."),
      raw: text("What is broadcast."),
      signature: text("As posted; hex is lower case here."),
      timestampMs: count("When the item was stamped, in epoch milliseconds."),
      digest: text("64 hex digits."),
      topic: text("What stands before the last `/` of its id; absent where that is no path."),
      ...AUTHORSHIP,
      visible: text("Its own digest, as in the result of a post."),
      rivals: list(
        "Items of the same id that are hidden behind it, in their order; the first 64.",
        object(
          "A hidden item.",
          {
            digest: text("64 hex digits."),
            timestampMs: count("When it was stamped, in epoch milliseconds."),
            signature: text("As posted."),
            ...AUTHORSHIP,
          },
          ["digest", "timestampMs", "signature", "scheme"],
        ),
      ),
      receipt: ref("HoldersReceipt"),
    },
    ["id", "raw", "signature", "timestampMs", "digest", "scheme", "visible", "rivals"],
  ),
  Receipt: object("Which members hold the item; only when `wait` was asked for.", RECEIPT, RECEIPT_REQUIRED),
  HoldersReceipt: object(
    "Which members hold the item now; only when `holders` was asked for.",
    {
      ...RECEIPT,
      missing: members("Of those that were asked, those that answered nothing, and may hold it or not."),
      lacking: members("Members that answered, and do not hold it."),
      lost: members("Members that were lost, and so were not asked."),
    },
    [...RECEIPT_REQUIRED, "lacking", "lost"],
  ),
  BulkLine: object(
    "Outcome of one line of a bulk request; answered in the order of the lines. Empty lines are skipped.",
    {
      id: text("Id of the item; empty when the line has none that can be read."),
      status: choice("What became of it.", ["accepted", "held", "conflict", "invalid", "refused"]),
      code: text("Error code when it was not taken."),
    },
    ["id", "status"],
  ),
  ItemPage: object(
    "Visible items, oldest first.",
    {
      items: list("At most `limit` items.", ref("Item")),
      nextCursor: text("Give it as `cursor` for the next page; absent on the last one."),
    },
    ["items"],
  ),
  NodeEvent: object(
    "Data of one server-sent event. Its name is the type, its id the eventId.",
    {
      type: choice("What happened.", ["item", "replaced", "expired", "peer", "caught-up"]),
      eventId: text(
        "Node epoch and arrival number: `Last-Event-ID` resumes behind it. Absent before `caught-up`.",
      ),
      item: ref("Item"),
      previous: { ...ref("Item"), description: "Of `replaced`: the item that was visible before." },
      peer: ref("Peer"),
    },
    ["type"],
  ),
  Peer: object(
    "Another node, as this one knows it.",
    {
      id: text("Node id."),
      name: text("Node name."),
      address: text("Where it is, or was, connected."),
      state: choice("`left` said goodbye; `lost` did not; `unreached` is no member: `reason` says why.", [
        "connected",
        "left",
        "lost",
        "unreached",
      ]),
      linked: flag("Whether this node has a link with it; others are heard of through links."),
      sinceMs: count("When it came into that state, epoch milliseconds."),
      reason: text("Why it is not connected; absent while it is."),
      roundTripMs: number("Round trip of the last heartbeat; absent before the first."),
      summary: object("What it last said of the items it holds.", {
        items: count("Items from fingerprintSinceMs on, the hidden ones too."),
        fingerprint: text("32 hex digits."),
        fingerprintSinceMs: count("Where its fingerprint starts, epoch milliseconds."),
        ageMs: number("How long ago it said so."),
      }),
      agreement: choice("How its set compares with this node's.", [
        "agrees",
        "differs",
        "differsByPolicy",
        "unknown",
      ]),
      reasons: list(
        "What sets it apart from this node; absent when nothing does.",
        choice("Error code.", REASONS),
      ),
      difference: object("Only while the two sets differ.", {
        sinceMs: count("Since when, as far as this node noticed, epoch milliseconds."),
        itemsHere: count("What this node holds in the window of the peer's summary."),
      }),
    },
    ["id", "name", "address", "state", "linked", "sinceMs", "agreement"],
  ),
  NodeStatus: withOptional(
    object("The node and the set it holds.", {
      name: text("Unique in its cluster."),
      id: text("Its identity among peers."),
      cluster: text("Cluster name."),
      version: text("Version of hubcast."),
      uptimeMs: number("Milliseconds since the start."),
      state: choice("`degraded` says why in reasons.", ["starting", "ready", "degraded", "stopping"]),
      reasons: list("Error codes; empty unless degraded.", choice("Error code.", REASONS)),
      details: list(
        "The reasons for people.",
        object(
          "One reason; of what differs between nodes, one for each of them, 16 at most.",
          {
            code: choice("Error code.", REASONS),
            message: text("What is the case, with names and values."),
            advice: text("What to do."),
            peer: object("The other node.", { id: text("Node id."), name: text("Node name.") }),
          },
          ["code", "message", "advice"],
        ),
      ),
      items: count("Visible items."),
      hidden: count("Items hidden behind another of the same id."),
      ahead: count("Items stamped more than 2 min ahead of the node's clock: peers do not take them yet."),
      leftOut: count("Stored items that this start found damaged and left out."),
      posted: count("Items that were posted here and accepted, since the start."),
      bytes: count("Bytes of all held items in their canonical encoding."),
      fingerprint: text(
        "32 hex digits over all held items from fingerprintSinceMs on; equal pairs mean equal sets.",
      ),
      fingerprintSinceMs: count("Epoch milliseconds."),
      retentionMs: count("How long items are kept."),
      peers: count("Other members that are connected, by links of this node or through others."),
      links: count("Links of this node."),
      members: count("Members in all, this node included; an estimate where there are more than it knows."),
      membersEstimated: flag("There are more members than the node knows; peers are a sample of them."),
      engine: text("`libp2p` or `nats`."),
      peerAddresses: list("Where other nodes reach this one (`--peer`).", text("Address.")),
      sync: counters(
        "Anti-entropy since the start.",
        [
          "rounds",
          "roundsFailed",
          "roundsBySketch",
          "sketchesFailed",
          "itemsReceived",
          "itemsSent",
          "bytesReceived",
          "bytesSent",
        ],
        {
          lastRound: object("The last round led by this node that found a difference; absent before.", {
            means: choice("How it found what differs.", ["ranges", "sketch"]),
            bytes: count("Bytes of its messages, both ways, without the items that were fetched then."),
            trips: count("Round trips."),
            differences: count("Items that either node lacked."),
          }),
        },
      ),
      gossip: counters("Gossip since the start; a batch carries many items.", [
        "batchesReceived",
        "copiesReceived",
        "batchesSent",
        "itemsReceived",
        "itemsSent",
        "duplicates",
        "rejected",
        "repairs",
        "skipped",
        "heldUp",
      ]),
      process: object("The process that the node runs in.", {
        rssBytes: count("Memory that is resident."),
        eventLoopDelayMs: number("How late timers ran in the last seconds: the 99th percentile."),
      }),
    }),
    {
      certificateExpiresAtMs: count(
        "When the certificate of the API expires, epoch milliseconds; absent without TLS.",
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
} as const;

/** Short words for the JSON schemas of the API. */
export function ref(name: string): { readonly $ref: string } {
  return { $ref: `${name}#` };
}

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

function object(description: string, properties: object, required = Object.keys(properties)) {
  return { type: "object", description, properties, required };
}

function withOptional(schema: ReturnType<typeof object>, properties: object): object {
  return { ...schema, properties: { ...schema.properties, ...properties } };
}

/** @param rules further keywords, such as a pattern */
export function text(description: string, rules: object = {}): object {
  return { type: "string", description, ...rules };
}

/** NDJSON: OpenAPI 3.1 has no word for what each line is. */
export function lines(name: string): object {
  return text(`One ${name} a line.`, { "x-lines": ref(name) });
}

function count(description: string): object {
  return { type: "integer", minimum: 0, description };
}

function number(description: string): object {
  return { type: "number", minimum: 0, description };
}

export function flag(description: string): object {
  return { type: "boolean", description };
}

export function choice(description: string, values: readonly string[]): object {
  return { type: "string", enum: values, description };
}

export function list(description: string, items: object): object {
  return { type: "array", description, items };
}

function members(description: string): object {
  return list(description, object("A member.", { id: text("Node id."), name: text("Node name.") }));
}

/** @param others that may be absent */
function counters(description: string, names: readonly string[], others: object = {}): object {
  const figures = Object.fromEntries(names.map((name) => [name, { type: "integer", minimum: 0 }]));
  return object(description, { ...figures, ...others }, [...names]);
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
  return text(`${what} of this topic and of all below it: segments with / between them, none of them empty.`);
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
