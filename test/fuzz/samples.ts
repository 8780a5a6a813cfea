import { createRequire } from "node:module";
import { response, toWire } from "../../src/discovery/packet.js";
import { FRAME, identityFrame, presenceFrame, textFrame } from "../../src/hub/machine/frames.js";
import { frameHeader } from "../../src/node/cluster/libp2p/frame-stream.js";
import { Round } from "../../src/node/negentropy/round.js";
import { Sketch } from "../../src/node/negentropy/sketch.js";
import { encodeAnswer, encodeAsk } from "../../src/node/negentropy/sketch-message.js";
import { encodeBatch, withDigest } from "../../src/node/replica/item.js";
import { encodeCursor } from "../../src/node/replica/item-set/bound.js";
import { ItemSet } from "../../src/node/replica/item-set/item-set.js";
import { readDigest, zeroSum } from "../../src/node/replica/item-set/sum.js";
import { integritySignature } from "../../src/node/replica/signature.js";
import { encodeFrame, encodeQuestion } from "../../src/node/replica/wire.js";
import { service } from "../discovery/spoken.js";
import { makeItem } from "../node/replica/item-set/make-item.js";
import { recordOf } from "../node/replica/replica-kit.js";

const items = ["a", "größe"].map((raw) =>
  withDigest({ id: `id-${raw}`, raw, signature: integritySignature(raw), timestampMs: 1_700_000_000_000 }),
);
const ping = encodeFrame({ t: "ping", atMs: 1, roster: "0".repeat(16) });
const record = recordOf("a", { links: new Set(["0123456789abcdef"]) });
const round = new Round(new ItemSet(Array.from({ length: 20 }, (_, n) => makeItem(n * 3, n * 3)))).open();
const sketch = new Sketch();
for (const { digest } of items) sketch.add(readDigest(digest, zeroSum()));
const dnsPacket = createRequire(createRequire(import.meta.url).resolve("multicast-dns"))("dns-packet") as {
  encode(packet: object): Buffer;
};
const events = items.map(
  (item, n) =>
    `id: e-${n}\nevent: item\ndata: ${JSON.stringify({ type: "item", eventId: `e-${n}`, item })}\n\n`,
);

/** Valid input of each decoder: fuzzing changes a little of it, and so gets further than with noise. */
export const SAMPLES: Readonly<Record<string, readonly Uint8Array[]>> = {
  batch: [encodeBatch(items)],
  frame: [
    ping,
    encodeFrame({ t: "items", served: 2, batch: encodeBatch(items) }),
    encodeFrame({ t: "have", digests: Buffer.alloc(64, 7) }),
    encodeFrame({ t: "refer", peers: [{ id: "a", addresses: ["/ip4/10.0.0.1/tcp/1"] }], release: false }),
    encodeFrame({ t: "records", records: [record.bytes], lost: Buffer.alloc(8), want: Buffer.alloc(8) }),
  ],
  question: [encodeQuestion({ t: "held", asker: "a", number: 1, digests: Buffer.alloc(32, 7) })],
  record: [record.bytes],
  peerStream: [Buffer.concat([frameHeader(ping.length), ping])],
  reconcile: [round],
  sketchAsk: [encodeAsk(new Sketch()), encodeAsk(new Sketch(), 40)],
  sketchAnswer: [encodeAnswer(new Sketch(), 5, "ab".repeat(16)), encodeAnswer(sketch, 3, "00".repeat(16))],
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
