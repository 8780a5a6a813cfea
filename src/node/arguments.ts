import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import {
  checkOptions,
  FUNCTION,
  type Kinds,
  kind,
  kindOf,
  lengthMs,
  type OptionKind,
  PEM,
  SIGNAL,
  SWITCH,
  wholeNumber,
} from "../core/options.js";
import { topicFault } from "../core/topic.js";
import type {
  ConnectOptions,
  EventsOptions,
  ItemDraft,
  ListQuery,
  PostOptions,
  ShowOptions,
  StatusQuery,
} from "./broadcast.js";

/**
 * Checks the arguments of a node's methods, the same for one in this process and one that is reached over HTTP: both
 * ask here before they do anything.
 */

/** The end of the year 9999: what ISO 8601 writes with four digits. */
const INSTANT_MS_MAX = 253_402_300_799_999;

/**
 * @throws invalidItem when a field is absent or of another type; lengths, characters and signature are the node's to
 *   judge
 */
export function checkDraft(draft: ItemDraft): void {
  const fault =
    typeof draft === "object" && draft !== null && !Array.isArray(draft)
      ? draftFault(draft)
      : `the item is ${kindOf(draft)}, not an object`;
  if (fault === undefined) return;
  throw new HubcastError("invalidItem", fault, { suggestions: [DRAFT_ADVICE] });
}

export const DRAFT_ADVICE = "An item is {raw, id?, signature?, timestampMs?}: three strings and a number.";

/** The first fault in the types of a draft's fields, if any. */
export function draftFault(value: object): string | undefined {
  const { id, raw, signature, timestampMs } = value as Record<string, unknown>;
  if (typeof raw !== "string")
    return raw === undefined ? "raw is missing" : `raw is ${kindOf(raw)}, not a string`;
  if (id !== undefined && typeof id !== "string") return `id is ${kindOf(id)}, not a string`;
  if (signature !== undefined && typeof signature !== "string")
    return `signature is ${kindOf(signature)}, not a string`;
  if (timestampMs !== undefined && typeof timestampMs !== "number") {
    return `timestampMs is ${kindOf(timestampMs)}, not a number`;
  }
  return undefined;
}

/** @throws invalidOption */
export function checkId(id: string): void {
  if (typeof id !== "string")
    throw new HubcastError("invalidOption", `the id is ${kindOf(id)}, not a string`);
}

/** @throws invalidOption */
export function checkPostOptions(options: PostOptions): void {
  const count = wholeNumber(1, LIMITS.rosterMembersMax);
  check<PostOptions>("post", options, {
    wait: kind(`${count.expects} or "all"`, (value) => value === "all" || count.fits(value)),
    timeoutMs: wholeNumber(1, LIMITS.receiptTimeoutMsMax),
    signal: SIGNAL,
  });
}

/** @throws invalidOption */
export function checkShowOptions(options: ShowOptions): void {
  check<ShowOptions>("show", options, {
    holders: SWITCH,
    timeoutMs: wholeNumber(1, LIMITS.receiptTimeoutMsMax),
    signal: SIGNAL,
  });
}

/** @throws invalidOption */
export function checkListQuery(query: ListQuery): void {
  check<ListQuery>("list", query, {
    topic: TOPIC,
    sinceMs: INSTANT,
    untilMs: INSTANT,
    limit: wholeNumber(1),
    order: kind('"oldest" or "newest"', (value) => value === "oldest" || value === "newest"),
    signal: SIGNAL,
  });
}

/** @throws invalidOption */
export function checkEventsOptions(options: EventsOptions): void {
  check<EventsOptions>("events", options, {
    topic: TOPIC,
    // It goes into a header.
    after: kind("an event id", (value) => isVisible(value, 256)),
    sinceMs: INSTANT,
    reconnect: SWITCH,
    onConnection: FUNCTION,
    signal: SIGNAL,
  });
}

/** @throws invalidOption */
export function checkStatusQuery(query: StatusQuery): void {
  check<StatusQuery>("status", query, { sinceMs: INSTANT });
}

/** @throws invalidOption */
export function checkConnectOptions(options: ConnectOptions): void {
  check<ConnectOptions>("connectToNode", options, {
    // It goes into a header.
    token: {
      ...kind(
        "visible ASCII characters, at least one, or a function that gives them",
        (value) => isVisible(value, 4_096) || FUNCTION.fits(value),
      ),
      isSecret: true,
    },
    timeoutMs: lengthMs(1),
    ca: PEM,
    signal: SIGNAL,
  });
}

function check<Options>(method: string, options: Options, kinds: Kinds<Options>): void {
  checkOptions(method, options, kinds as Readonly<Record<string, OptionKind>>);
}

const TOPIC = kind(
  "a topic: segments with / between them, none of them empty",
  (value) => typeof value === "string" && topicFault(value) === undefined,
);

const INSTANT = kind(
  "epoch milliseconds",
  (value) => Number.isFinite(value) && Math.abs(value as number) <= INSTANT_MS_MAX,
);

function isVisible(value: unknown, charactersMax: number): boolean {
  return typeof value === "string" && value.length <= charactersMax && /^[\x21-\x7e]+$/.test(value);
}
