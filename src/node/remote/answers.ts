import { ERRORS, type ErrorCode, HubcastError, isInternal } from "../../core/errors.js";
import type {
  BulkLine,
  HoldersReceipt,
  Item,
  NodeEvent,
  NodeStatus,
  Peer,
  PostResult,
  ReasonDetail,
  Receipt,
  Rival,
  RoundCost,
  ShownItem,
} from "../broadcast.js";
import type { Page } from "../http/options.js";

/**
 * Checks answers of a node. Anything else is a fault of that node, and the error says so.
 *
 * Written by hand: each check is a line, and every command loads them. A field that an interface gains and these tables
 * lack is an error of the compiler.
 */

/** @returns what is wrong with the value at that path, or nothing */
type Check = (value: unknown, path: string) => string | undefined;

const text: Check = (value, path) => (typeof value === "string" ? undefined : fault(value, path, "a text"));

const number: Check = (value, path) => (Number.isFinite(value) ? undefined : fault(value, path, "a number"));

const flag: Check = (value, path) =>
  typeof value === "boolean" ? undefined : fault(value, path, "true or false");

function oneOf(...values: readonly string[]): Check {
  return (value, path) =>
    values.includes(value as string) ? undefined : fault(value, path, values.join(" or "));
}

function optional(check: Check): Check {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

function list(check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return fault(value, path, "a list");
    for (let index = 0; index < value.length; index++) {
      const found = check(value[index], `${path}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function shape<T>(fields: { readonly [Name in keyof T]-?: Check }): Check {
  const checks = Object.entries<Check>(fields);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return fault(value, path, "an object");
    for (const [name, check] of checks) {
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

const ITEM = shape<Item>({ id: text, raw: text, signature: text, timestampMs: number, digest: text });

const PEER = shape<Peer>({
  id: text,
  name: text,
  address: text,
  state: oneOf("connected", "left", "lost", "unreached"),
  linked: flag,
  sinceMs: number,
  reason: optional(text),
  roundTripMs: optional(number),
  summary: optional(
    shape<NonNullable<Peer["summary"]>>({
      items: number,
      fingerprint: text,
      fingerprintSinceMs: number,
      ageMs: number,
    }),
  ),
  agreement: oneOf("agrees", "differs", "differsByPolicy", "unknown"),
  reasons: optional(list(text)),
  difference: optional(shape<NonNullable<Peer["difference"]>>({ sinceMs: number, itemsHere: number })),
});

const STATUS = shape<NodeStatus>({
  name: text,
  id: text,
  cluster: text,
  version: text,
  uptimeMs: number,
  state: oneOf("starting", "ready", "degraded", "stopping"),
  reasons: list(text),
  details: list(
    shape<ReasonDetail>({
      code: text,
      message: text,
      advice: text,
      peer: optional(shape<NonNullable<ReasonDetail["peer"]>>({ id: text, name: text })),
    }),
  ),
  items: number,
  hidden: number,
  ahead: number,
  leftOut: number,
  bytes: number,
  posted: number,
  fingerprint: text,
  fingerprintSinceMs: number,
  retentionMs: number,
  peers: number,
  links: number,
  members: number,
  membersEstimated: flag,
  engine: text,
  certificateExpiresAtMs: optional(number),
  peerAddresses: list(text),
  sync: shape<NodeStatus["sync"]>({
    rounds: number,
    roundsFailed: number,
    roundsBySketch: number,
    sketchesFailed: number,
    lastRound: optional(
      shape<RoundCost>({
        means: oneOf("ranges", "sketch"),
        bytes: number,
        trips: number,
        differences: number,
      }),
    ),
    itemsReceived: number,
    itemsSent: number,
    bytesReceived: number,
    bytesSent: number,
  }),
  gossip: shape<NodeStatus["gossip"]>({
    batchesReceived: number,
    copiesReceived: number,
    batchesSent: number,
    itemsReceived: number,
    itemsSent: number,
    duplicates: number,
    rejected: number,
    repairs: number,
    skipped: number,
    heldUp: number,
  }),
  process: shape<NodeStatus["process"]>({ rssBytes: number, eventLoopDelayMs: number }),
});

const MEMBERS = list(shape<{ id: string; name: string }>({ id: text, name: text }));

const RECEIPT_FIELDS = {
  of: number,
  complete: flag,
  alone: optional(flag),
  membersEstimated: optional(number),
  holders: list(
    shape<{ id: string; name: string; afterMs: number }>({ id: text, name: text, afterMs: number }),
  ),
  missing: MEMBERS,
  refused: MEMBERS,
};

const RECEIPT = shape<Receipt>(RECEIPT_FIELDS);

const AUTHORSHIP = { scheme: text, author: optional(text) };

const SHOWN_ITEM = shape<ShownItem>({
  ...{ id: text, raw: text, signature: text, timestampMs: number, digest: text, visible: text },
  ...{ topic: optional(text), ...AUTHORSHIP },
  rivals: list(shape<Rival>({ digest: text, timestampMs: number, signature: text, ...AUTHORSHIP })),
  receipt: optional(shape<HoldersReceipt>({ ...RECEIPT_FIELDS, lacking: MEMBERS, lost: MEMBERS })),
});

const POST_RESULT = shape<PostResult>({
  id: text,
  digest: text,
  timestampMs: number,
  status: oneOf("accepted", "held"),
  visible: text,
  receipt: optional(RECEIPT),
});

type EventOf<Type extends NodeEvent["type"]> = Extract<NodeEvent, { type: Type }>;

const EVENTS: { readonly [Type in NodeEvent["type"]]: Check } = {
  item: shape<EventOf<"item">>({ type: text, eventId: optional(text), item: ITEM }),
  replaced: shape<EventOf<"replaced">>({ type: text, eventId: text, item: ITEM, previous: ITEM }),
  expired: shape<EventOf<"expired">>({ type: text, eventId: text, item: ITEM }),
  peer: shape<EventOf<"peer">>({ type: text, eventId: text, peer: PEER }),
  "caught-up": shape<EventOf<"caught-up">>({ type: text, eventId: text }),
};

const ANSWERS = {
  "a node's status": STATUS,
  "a list of peers": list(PEER),
  "an item and its rivals": SHOWN_ITEM,
  "a page of items": shape<Page>({ items: list(ITEM), nextCursor: optional(text) }),
  "the result of a post": POST_RESULT,
  "the outcome of one of many posts": shape<BulkLine>({
    id: text,
    status: oneOf("accepted", "held", "conflict", "invalid", "refused"),
    code: optional(text),
  }),
} as const satisfies Record<string, Check>;

interface AnswerTypes {
  "a node's status": NodeStatus;
  "a list of peers": readonly Peer[];
  "an item and its rivals": ShownItem;
  "a page of items": Page;
  "the result of a post": PostResult;
  "the outcome of one of many posts": BulkLine;
}

/** @returns the answer as what it must be @throws notHubcast, which says what is wrong with it */
export function answerAs<What extends keyof AnswerTypes>(
  what: What,
  value: unknown,
  url: URL,
): AnswerTypes[What] {
  const found = ANSWERS[what](value, "");
  if (found === undefined) return value as AnswerTypes[What];
  throw malformed(url, what, found);
}

/** @returns the event; nothing for one of a kind that is not known here @throws notHubcast */
export function eventIn(json: string, url: URL): NodeEvent | undefined {
  const value = parsed(json, "an event", url);
  const { type } = Object(value) as { type?: unknown };
  if (typeof type !== "string") throw malformed(url, "an event", "type is missing");
  if (!Object.hasOwn(EVENTS, type)) return undefined;
  const found = EVENTS[type as NodeEvent["type"]](value, "");
  if (found === undefined) return value as NodeEvent;
  throw malformed(url, "an event", found);
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
