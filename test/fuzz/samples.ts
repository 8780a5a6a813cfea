import { createRequire } from "node:module";
import { identityFrame, presenceFrame, textFrame } from "../../src/hub/protocol/encode.js";
import { FRAME } from "../../src/hub/protocol/frame-type.js";
import { response, toWire } from "../../src/net/dnssd/protocol/packet.js";
import { frameHeader } from "../../src/node/cluster/libp2p/frames.js";
import { encodeGreeting } from "../../src/node/cluster/libp2p/greeting.js";
import { encodeCursor } from "../../src/node/cursor.js";
import { encodeBatch } from "../../src/node/protocol/batch.js";
import { encodeFrame } from "../../src/node/protocol/frames.js";
import { withDigest } from "../../src/node/protocol/item.js";
import { ItemSet } from "../../src/node/protocol/item-set/item-set.js";
import { Round } from "../../src/node/protocol/reconcile/round.js";
import { integritySignature } from "../../src/node/protocol/signature.js";
import { service } from "../net/dnssd/protocol/spoken.js";
import { makeItem } from "../node/protocol/item-set/make-item.js";

const items = ["a", "größe"].map((raw) =>
  withDigest({ id: `id-${raw}`, raw, signature: integritySignature(raw), timestampMs: 1_700_000_000_000 }),
);
const greeting = encodeGreeting({ spare: false, cluster: "default" });
const round = new Round(new ItemSet(Array.from({ length: 20 }, (_, n) => makeItem(n * 3, n * 3)))).open();
const dnsPacket = createRequire(createRequire(import.meta.url).resolve("multicast-dns"))("dns-packet") as {
  encode(packet: object): Buffer;
};
const events = items.map(
  (item, n) =>
    `id: e-${n}\nevent: item\ndata: ${JSON.stringify({ type: "item", eventId: `e-${n}`, item })}\n\n`,
);

/** What each decoder reads in peace: fuzzing changes a little of it, and so gets further than with noise. */
export const SAMPLES: Readonly<Record<string, readonly Uint8Array[]>> = {
  batch: [encodeBatch(items)],
  frame: [
    encodeFrame({ t: "ping", atMs: 1 }),
    encodeFrame({ t: "items", served: 2, batch: encodeBatch(items) }),
    encodeFrame({ t: "have", digests: Buffer.alloc(64, 7) }),
  ],
  greeting: [greeting],
  peerStream: [Buffer.concat([frameHeader(greeting.length), greeting])],
  reconcile: [round],
  hubFrame: [identityFrame(7), presenceFrame(7, "ann"), textFrame(FRAME.error, 2, "no")].map((frame) =>
    Buffer.from(frame).subarray(4),
  ),
  mdns: [
    dnsPacket.encode({
      type: "response",
      ...toWire(response({ answers: service("web", "A", "10.0.0.1") })),
    }),
  ],
  txt: [Buffer.from("id=12D3KooW"), Buffer.from("txtvers=1")],
  bulkBody: [Buffer.from(items.map((item) => `${JSON.stringify(item)}\n`).join(""))],
  cursor: [Buffer.from(encodeCursor(items[0]!))],
  trustFile: [Buffer.from(`# who\n${"ab".repeat(32)}  # alice\r\n\n${"CD".repeat(32)}\n`)],
  eventStream: [Buffer.from(`: beat\n\n${events.join("")}event: problem\ndata: {"code":"eventsGone"}\n\n`)],
};
