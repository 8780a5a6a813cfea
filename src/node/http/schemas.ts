import { ERRORS } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { choice, count, counters, flag, list, number, object, ref, text } from "./json-schema.js";

/** JSON schemas of the bodies, for /openapi.json. Names are those of its `components.schemas`. */
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
      id: text(`1..${LIMITS.idBytesMax} bytes of UTF-8. Absent: the node makes a UUIDv7.`),
      raw: text(`What is broadcast: 1..${LIMITS.rawBytesMax} bytes of UTF-8.`),
      signature: text("Proof in one of the schemes, any letter case. Absent: `sha256:` of raw."),
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
      receipt: ref("Receipt"),
    },
    ["id", "digest", "timestampMs", "status"],
  ),
  Receipt: object("Which peers hold the item; only when `wait` was asked for.", {
    complete: flag("False when the deadline passed before all that were asked for had answered."),
    holders: list(
      "Peers that hold it, in the order they said so.",
      object("A holder.", {
        id: text("Node id."),
        name: text("Node name."),
        afterMs: number("Milliseconds since this node accepted the item."),
      }),
    ),
    missing: list(
      "Connected peers that have not said so.",
      object("A peer.", { id: text("Node id."), name: text("Node name.") }),
    ),
  }),
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
      eventId: text("Node epoch and arrival number: `Last-Event-ID` resumes behind it."),
      item: ref("Item"),
      previous: { ...ref("Item"), description: "Of `replaced`: the item that was visible before." },
      peer: ref("Peer"),
    },
    ["type", "eventId"],
  ),
  Peer: object(
    "Another node, as this one knows it.",
    {
      id: text("Node id."),
      name: text("Node name."),
      address: text("Where it is, or was, connected."),
      state: choice("`left` said goodbye; `lost` did not.", ["connected", "left", "lost"]),
      sinceMs: count("When it came into that state, epoch milliseconds."),
      reason: text("Why it is not connected; absent while it is."),
      roundTripMs: number("Round trip of the last heartbeat; absent before the first."),
      summary: object("What it last said of the items it holds; absent before the first.", {
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
      difference: object("Only while the two sets differ.", {
        sinceMs: count("Since when, as far as this node noticed, epoch milliseconds."),
        itemsHere: count("What this node holds in the window of the peer's summary."),
      }),
    },
    ["id", "name", "address", "state", "sinceMs", "agreement"],
  ),
  NodeStatus: object("The node and the set it holds.", {
    name: text("Unique in its cluster."),
    id: text("Its identity among peers."),
    cluster: text("Cluster name."),
    version: text("Version of hubcast."),
    uptimeMs: number("Milliseconds since the start."),
    state: choice("`degraded` says why in reasons.", ["starting", "ready", "degraded", "stopping"]),
    reasons: list("Error codes; empty unless degraded.", text("Error code.")),
    items: count("Visible items."),
    hidden: count("Items hidden behind another of the same id."),
    posted: count("Items that were posted here and accepted, since the start."),
    bytes: count("Bytes of all held items in their canonical encoding."),
    fingerprint: text(
      "32 hex digits over all held items from fingerprintSinceMs on; equal pairs mean equal sets.",
    ),
    fingerprintSinceMs: count("Epoch milliseconds."),
    retentionMs: count("How long items are kept."),
    peers: count("Connected peers."),
    engine: text("`libp2p` or `nats`."),
    peerAddresses: list("Where other nodes reach this one (`--peer`).", text("Address.")),
    sync: counters("Anti-entropy since the start.", [
      "rounds",
      "roundsFailed",
      "itemsReceived",
      "itemsSent",
      "bytesReceived",
      "bytesSent",
    ]),
    gossip: counters("Gossip since the start; a message carries a batch of items.", [
      "messagesReceived",
      "messagesSent",
      "itemsReceived",
      "itemsSent",
      "duplicates",
      "rejected",
      "skipped",
      "unsent",
      "heldUp",
    ]),
    process: object("The process that the node runs in.", {
      rssBytes: count("Memory that is resident."),
      eventLoopDelayMs: number("How late timers ran in the last seconds: the 99th percentile."),
    }),
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
