import type { ErrorCode } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import {
  type BulkLine,
  type GossipFigures,
  type HoldersReceipt,
  type Item,
  type ItemPage,
  type NodeEvent,
  type NodeStatus,
  type Peer,
  type PostResult,
  type ProcessFigures,
  REASONS,
  type ReasonDetail,
  type Receipt,
  type Rival,
  type RoundCost,
  type ShownItem,
  type SignatureScheme,
  type SyncFigures,
} from "./broadcast.js";

/**
 * The answers of a node as JSON schemas: the API serializes and describes its answers by them, the client checks them.
 * The compiler compares each with its interface. Every command loads this file, so it imports nothing large.
 */

/** The keywords that are used here. */
export interface JsonSchema {
  readonly type?: "string" | "number" | "integer" | "boolean" | "array" | "object";
  readonly description?: string;
  readonly $ref?: string;
  readonly enum?: readonly string[];
  /** Later versions may answer with values that `enum` does not have. */
  readonly "x-extensible"?: boolean;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

declare const VALUE: unique symbol;

/** The schema of exactly that type. */
export interface Schema<Value> extends JsonSchema {
  /** Never there: it makes schemas of different types incompatible. */
  readonly [VALUE]?: (value: Value) => Value;
}

/** The schema of a field that may be absent. */
interface Optional<Value> {
  readonly optional: Schema<Value>;
}

/** A schema for each field. */
type Fields<Body> = {
  readonly [Name in keyof Body]-?: object extends Pick<Body, Name>
    ? Optional<NonNullable<Body[Name]>>
    : Schema<Body[Name]>;
};

export function object<Body>(description: string, fields: Fields<Body>): Schema<Body> {
  const entries = Object.entries<JsonSchema | { readonly optional: JsonSchema }>(fields);
  const schemas = entries.map(([name, field]) => [name, "optional" in field ? field.optional : field]);
  const required = entries.filter(([, field]) => !("optional" in field)).map(([name]) => name);
  return { type: "object", description, properties: Object.fromEntries(schemas), required };
}

export function optional<Value>(schema: Schema<Value>): Optional<Value> {
  return { optional: schema };
}

/** @param rules further keywords, such as a pattern */
export function text(description: string, rules: object = {}): Schema<string> {
  return { type: "string", description, ...rules };
}

export function count(description: string): Schema<number> {
  return { type: "integer", minimum: 0, description } as Schema<number>;
}

function number(description: string): Schema<number> {
  return { type: "number", minimum: 0, description } as Schema<number>;
}

export function flag(description: string): Schema<boolean> {
  return { type: "boolean", description };
}

export function choice<Word extends string>(description: string, words: readonly Word[]): Schema<Word> {
  return { type: "string", enum: words, description };
}

export function list<Value>(description: string, items: Schema<Value>): Schema<readonly Value[]> {
  return { type: "array", description, items };
}

/** Later versions may answer with other words, too. */
function extensible<Word extends string>(schema: Schema<Word>): Schema<Word> {
  return { ...schema, "x-extensible": true };
}

/** @param name of a schema that the API has under it */
export function ref<Value>(name: string): Schema<Value> {
  return { $ref: `${name}#` };
}

const COUNTER = { type: "integer", minimum: 0 } as Schema<number>;

const WHEN_STAMPED = "When the item was stamped, in epoch milliseconds.";

const members = (description: string) =>
  list(
    description,
    object<Receipt["missing"][number]>("A member.", { id: text("Node id."), name: text("Node name.") }),
  );

const RECEIPT = {
  of: count("Members known and alive when it was asked for, this node left out."),
  complete: flag("All members that were waited for hold the item, and there was one at least to ask."),
  alone: optional(flag("Nobody else was there; absent otherwise.")),
  membersEstimated: optional(
    count("How many others there are in all, about; only where those asked are a sample of them."),
  ),
  holders: list(
    "Members that hold the item, in the order of their answers.",
    object<Receipt["holders"][number]>("A holder.", {
      id: text("Node id."),
      name: text("Node name."),
      afterMs: number("Milliseconds since this node asked: for a post, since it accepted the item."),
    }),
  ),
  missing: members("Members that have not reported the item as held."),
  refused: members("Members whose policy does not take the item."),
};

const AUTHORSHIP = {
  scheme: extensible(choice<SignatureScheme>("How its signature proves it.", ["md5", "sha256", "ed25519"])),
  author: optional(text("Public key of who signed it, 64 hex digits; absent where the scheme names nobody.")),
};

const REASON = extensible(choice("Error code.", REASONS));

/** By the names that `ref` and `components.schemas` of /openapi.json call them by. */
export const BODIES = {
  Item: object<Item>(
    "One broadcast item. It never changes; it expires when the retention has passed since its timestamp.",
    {
      id: text(`1..${LIMITS.idBytesMax} bytes of UTF-8 without control characters.`),
      raw: text(`What is broadcast: 1..${LIMITS.rawBytesMax} bytes of UTF-8.`),
      signature: text(
        "MD5 of raw as 32 hex digits, `sha256:HEX`, or `ed25519:PUBKEY:SIG`. Hex is lower case here.",
      ),
      timestampMs: count(WHEN_STAMPED),
      digest: text("SHA-256 of the canonical encoding of the other four fields: 64 hex digits."),
    },
  ),
  PostResult: object<PostResult>("The item as the node holds it now.", {
    id: text("Its id: the given one, or the one the node made."),
    digest: text("64 hex digits."),
    timestampMs: count("The timestamp it got, in epoch milliseconds."),
    status: choice("`held`: the node had this very item already.", ["accepted", "held"]),
    visible: text(
      "Digest of the item that is visible under the id now; another one: this item is hidden behind it.",
    ),
    receipt: optional(ref("Receipt")),
  }),
  ShownItem: object<ShownItem>("The item that is visible under an id, and what there is beside it.", {
    id: text("Its id."),
    raw: text("What is broadcast."),
    signature: text("As posted; hex is lower case here."),
    timestampMs: count(WHEN_STAMPED),
    digest: text("64 hex digits."),
    topic: optional(text("What stands before the last `/` of its id; absent where that is no path.")),
    ...AUTHORSHIP,
    visible: text("Its own digest, as in the result of a post."),
    rivals: list(
      "Items of the same id that are hidden behind it, in their order; the first 64.",
      object<Rival>("A hidden item.", {
        digest: text("64 hex digits."),
        timestampMs: count("When it was stamped, in epoch milliseconds."),
        signature: text("As posted."),
        ...AUTHORSHIP,
      }),
    ),
    receipt: optional(ref("HoldersReceipt")),
  }),
  Receipt: object<Receipt>("Which members hold the item; only when `wait` was asked for.", RECEIPT),
  HoldersReceipt: object<HoldersReceipt>(
    "Which members hold the item now; only when `holders` was asked for.",
    {
      ...RECEIPT,
      missing: members("Of those that were asked, those that answered nothing, and may hold it or not."),
      lacking: members("Members that answered, and do not hold it."),
      lost: members("Members that were lost, and so were not asked."),
    },
  ),
  BulkLine: object<BulkLine>(
    "Outcome of one line of a bulk request; answered in the order of the lines. Empty lines are skipped.",
    {
      id: text("Id of the item; empty when the line has none that can be read."),
      status: choice("What became of it.", ["accepted", "held", "conflict", "invalid", "refused"]),
      code: optional(text("Error code when it was not taken.") as Schema<ErrorCode>),
    },
  ),
  ItemPage: object<ItemPage>("Visible items, in the order asked for.", {
    items: list("At most `limit` items.", ref("Item")),
    nextCursor: optional(text("Give it as `cursor` for the next page; absent on the last one.")),
  }),
  NodeEvent: object<{
    readonly type: NodeEvent["type"];
    readonly eventId?: string;
    readonly item?: Item;
    readonly previous?: Item;
    readonly peer?: Peer;
  }>("Data of one server-sent event. Its name is the type, its id the eventId.", {
    type: choice("What happened.", ["item", "replaced", "expired", "peer", "caught-up"]),
    eventId: optional(
      text("Node epoch and arrival number: `Last-Event-ID` resumes behind it. Absent before `caught-up`."),
    ),
    item: optional(ref("Item")),
    previous: optional({
      ...ref<Item>("Item"),
      description: "Of `replaced`: the item that was visible before.",
    }),
    peer: optional(ref("Peer")),
  }),
  Peer: object<Peer>("Another node, as this one knows it.", {
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
    reason: optional(text("Why it is not connected; absent while it is.")),
    roundTripMs: optional(number("Round trip of the last heartbeat; absent before the first.")),
    summary: optional(
      object("What it last said of the items it holds.", {
        items: count("Items from fingerprintSinceMs on, the hidden ones too."),
        fingerprint: text("32 hex digits."),
        fingerprintSinceMs: count("Where its fingerprint starts, epoch milliseconds."),
        ageMs: number("How long ago it said so."),
      }),
    ),
    agreement: choice("How its set compares with this node's.", [
      "agrees",
      "differs",
      "differsByPolicy",
      "unknown",
    ]),
    reasons: optional(list("What sets it apart from this node; absent when nothing does.", REASON)),
    difference: optional(
      object("Only while the two sets differ.", {
        sinceMs: count("Since when, as far as this node noticed, epoch milliseconds."),
        itemsHere: count("What this node holds in the window of the peer's summary."),
      }),
    ),
  }),
  NodeStatus: object<NodeStatus>("The node and the set it holds.", {
    name: text("Unique in its cluster."),
    id: text("Its identity among peers."),
    cluster: text("Cluster name."),
    version: text("Version of hubcast."),
    uptimeMs: number("Milliseconds since the start."),
    state: choice("`degraded` says why in reasons.", ["starting", "ready", "degraded", "stopping"]),
    reasons: list("Error codes; empty unless degraded.", REASON),
    details: list(
      "The reasons for people.",
      object<ReasonDetail>("One reason; of what differs between nodes, one for each of them, 16 at most.", {
        code: REASON,
        message: text("What is the case, with names and values."),
        advice: text("What to do."),
        peer: optional(
          object<NonNullable<ReasonDetail["peer"]>>("The other node.", {
            id: text("Node id."),
            name: text("Node name."),
          }),
        ),
      }),
    ),
    items: count("Visible items."),
    hidden: count("Items hidden behind another of the same id."),
    ahead: count("Items stamped more than 2 min ahead of the node's clock: peers do not take them yet."),
    leftOut: count("Stored items that this start found damaged and left out."),
    posted: count("Items that were posted here and accepted, since the start."),
    notTaken: count(
      "Items of peers that were not taken, by policy, by their time or for want of room, since the start.",
    ),
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
    sync: object<SyncFigures>("Anti-entropy since the start.", {
      rounds: COUNTER,
      roundsFailed: COUNTER,
      roundsBySketch: COUNTER,
      sketchesFailed: COUNTER,
      itemsReceived: COUNTER,
      itemsSent: COUNTER,
      bytesReceived: COUNTER,
      bytesSent: COUNTER,
      lastRound: optional(
        object<RoundCost>("The last round led by this node that found a difference; absent before.", {
          means: choice("How it found what differs.", ["ranges", "sketch"]),
          bytes: count("Bytes of its messages, both ways, without the items that were fetched then."),
          trips: count("Round trips."),
          differences: count("Items that either node lacked."),
        }),
      ),
    }),
    gossip: object<GossipFigures>("Gossip since the start; a batch carries many items.", {
      batchesReceived: COUNTER,
      copiesReceived: COUNTER,
      batchesSent: COUNTER,
      itemsReceived: COUNTER,
      itemsSent: COUNTER,
      duplicates: COUNTER,
      rejected: COUNTER,
      repairs: COUNTER,
      skipped: COUNTER,
      heldUp: COUNTER,
    }),
    process: object<ProcessFigures>("The process that the node runs in.", {
      rssBytes: count("Memory that is resident."),
      eventLoopDelayMs: number("How late timers ran in the last seconds: the 99th percentile."),
    }),
    certificateExpiresAtMs: optional(
      count("When the certificate of the API expires, epoch milliseconds; absent without TLS."),
    ),
  }),
};
