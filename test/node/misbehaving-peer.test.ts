import { randomBytes } from "node:crypto";
import { expect, test, vi } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import type { StartedNode } from "../../src/node/index.js";
import { Round } from "../../src/node/negentropy/round.js";
import { encodeBatch, type Item, withDigest } from "../../src/node/replica/item.js";
import { ItemSet } from "../../src/node/replica/item-set/item-set.js";
import { Membership } from "../../src/node/replica/membership.js";
import { integritySignature } from "../../src/node/replica/signature.js";
import { packDigests } from "../../src/node/replica/wire.js";
import { eventually } from "../fixtures/eventually.js";
import { meshed, Nodes } from "../fixtures/nodes.js";
import { RoguePeer } from "../fixtures/rogue-peer.js";

/** Bytes that a node may keep because of one such peer: the queue that it allows a peer, and 64 MiB for the tests. */
const MEMORY_RISE_MAX = LIMITS.peerQueueBytesMax + 64 * 1_048_576;

const punished: string[] = [];
const { punish } = Membership.prototype;
vi.spyOn(Membership.prototype, "punish").mockImplementation(function (this: Membership, peer, nowMs) {
  punished.push(peer);
  punish.call(this, peer, nowMs);
});

test.concurrent.each<
  [
    what: string,
    reason: string | RegExp,
    /** A frame that cannot be decoded or fails its signature; all else only cuts. */
    isPunished: boolean,
    misbehave: (rogue: RoguePeer, held: Uint8Array) => void | Promise<void>,
  ]
>([
  ["bytes that are no frame", "badFrame", true, (rogue) => rogue.sendFramed(Buffer.alloc(64, 0xff))],
  ["a frame of unknown type", "badFrame", true, (rogue) => rogue.send({ t: "toString" } as never)],
  ["a second hello", "badFrame", true, (rogue) => rogue.send(rogue.hello)],
  [
    "a summary of a million digits",
    "badFrame",
    true,
    (rogue) => rogue.send({ ...SUMMARY, fingerprint: "0".repeat(1_000_000) }),
  ],
  [
    "a range that is none",
    "badRange",
    false,
    (rogue) => rogue.send({ t: "reconcile", round: 1, message: Buffer.from("6100000203ff", "hex") }),
  ],
  [
    "a round without end",
    "endlessRound",
    false,
    (rogue) => {
      const message = new Round(new ItemSet(), { frameBytesMax: LIMITS.reconcileBytesMax }).open();
      for (let n = 0; n <= LIMITS.roundMessagesMax; n++) rogue.send({ t: "reconcile", round: 1, message });
    },
  ],
  [
    "one round after the other",
    "tooManyRounds",
    false,
    (rogue) => {
      const message = new Round(new ItemSet(), { frameBytesMax: LIMITS.reconcileBytesMax }).open();
      for (let round = 0; round <= LIMITS.roundsPerPeerMinuteMax; round++)
        rogue.send({ t: "reconcile", round, message });
    },
  ],
  [
    "items that nobody asked for",
    "unwantedItem",
    false,
    (rogue) => rogue.send({ t: "items", served: 1, batch: encodeBatch([item("unasked")]) }),
  ],
  [
    "another item than the one asked for",
    "unwantedItem",
    false,
    async (rogue) => {
      await askedFor(rogue, item("asked"));
      rogue.send({ t: "items", served: 1, batch: encodeBatch([item("another")]) });
    },
  ],
  [
    "more items than were asked for",
    "unwantedItem",
    false,
    async (rogue) => {
      await askedFor(rogue, item("asked"));
      rogue.send({ t: "items", served: 2, batch: encodeBatch([item("asked"), item("another")]) });
    },
  ],
  [
    "an item that fails its signature",
    "invalidItem",
    true,
    async (rogue) => {
      const forged = withDigest({ ...item("forged"), raw: "not what was signed" });
      await askedFor(rogue, forged);
      rogue.send({ t: "items", served: 1, batch: encodeBatch([forged]) });
    },
  ],
  [
    "a batch that breaks off",
    "badFrame",
    true,
    async (rogue) => {
      await askedFor(rogue, item("asked"));
      rogue.send({ t: "items", served: 1, batch: encodeBatch([item("asked")]).subarray(0, -3) });
    },
  ],
  [
    "an item past the limit of raw",
    "badFrame",
    true,
    async (rogue) => {
      const large = item("large", "x".repeat(LIMITS.rawBytesMax + 1));
      await askedFor(rogue, large);
      rogue.send({ t: "items", served: 1, batch: encodeBatch([large]) });
    },
  ],
  [
    "more digests than a frame may have",
    "badFrame",
    true,
    (rogue) => rogue.send({ t: "have", digests: randomBytes(32 * (LIMITS.digestsPerFrameMax + 1)) }),
  ],
  [
    "a frame of 2 GiB",
    /2147483647 bytes exceeds peerFrameBytesMax/,
    false,
    (rogue) => rogue.sendRaw(Buffer.from("7fffffff00", "hex")),
  ],
  [
    "half a frame and silence",
    "heartbeatLost",
    false,
    (rogue) => rogue.sendRaw(Buffer.from("000000ffa1", "hex")),
  ],
  [
    "offers that it never makes good",
    "answerOverdue",
    false,
    (rogue) => {
      for (let n = 0; n < 100; n++)
        rogue.send({ t: "have", digests: randomBytes(32 * LIMITS.digestsPerFrameMax) });
    },
  ],
  [
    "questions whose answers it does not read",
    /reads too slowly/,
    false,
    async (rogue, held) => {
      rogue.stopReading();
      for (let n = 0; n < 1_000 && !rogue.isCutOff; n++) {
        rogue.send({ t: "want", digests: held });
        await new Promise(setImmediate);
      }
    },
  ],
])(
  "%s: the peer is cut off with its reason, the others are served",
  { timeout: 60_000 },
  async (_, reason, isPunished, misbehave) => {
    await using nodes = new Nodes();
    const node = await nodes.start();
    const { digest } = await node.post({ id: "big", raw: "x".repeat(LIMITS.rawBytesMax) });
    const friend = await nodes.start();
    await meshed([node, friend]);
    await using rogue = await RoguePeer.meet(node.peerAddresses[0]!, nodes.cluster);
    await eventually(async () => (await peer(node, rogue))?.state === "connected");
    const before = memory();
    await misbehave(rogue, packDigests([digest]));
    await eventually(async () => (await peer(node, rogue))?.state === "lost", 20_000);
    expect((await peer(node, rogue))!.reason).toMatch(reason);
    expect(punished.filter((id) => id === rogue.id)).toHaveLength(isPunished ? 1 : 0);
    expect(memory() - before).toBeLessThan(MEMORY_RISE_MAX);
    await eventually(() => rogue.isCutOff);
    expect((await peer(node, friend))!.state).toBe("connected");
    const { id } = await node.post({ raw: "life goes on" });
    await eventually(() => friend.get(id));
  },
);

test("summaries without end cost no other peer anything", { timeout: 60_000 }, async () => {
  await using nodes = new Nodes();
  const [node, friend] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
  await using rogue = await RoguePeer.meet(node.peerAddresses[0]!, nodes.cluster);
  await eventually(async () => (await peer(node, rogue))?.state === "connected");
  const before = memory();
  for (let n = 0; n < 20_000; n++) {
    rogue.send({ ...SUMMARY, count: n, fingerprint: randomBytes(16).toString("hex") });
    if (n % 500 === 0) await new Promise(setImmediate);
  }
  const { id } = await node.post({ raw: "life goes on" });
  await eventually(() => friend.get(id));
  await eventually(async () => (await peer(node, rogue))?.summary?.items === 19_999);
  expect(memory() - before).toBeLessThan(MEMORY_RISE_MAX);
  expect((await node.status()).sync.rounds).toBeLessThan(10);
});

const SUMMARY = {
  t: "summary",
  count: 1,
  fingerprint: "0".repeat(32),
  sinceMs: 0,
  settledMs: 0,
  settledFingerprint: "0".repeat(32),
} as const;

function item(id: string, raw = "raw"): Item {
  return withDigest({ id, raw, signature: integritySignature(raw), timestampMs: Date.now() });
}

/** The node asks for an item that the rogue says it has. */
async function askedFor(rogue: RoguePeer, { digest }: Item): Promise<void> {
  rogue.send({ t: "have", digests: packDigests([digest]) });
  await eventually(() => rogue.heard.some(({ t }) => t === "want"));
}

async function peer(node: StartedNode, { id }: { readonly id: string }) {
  return (await node.peers()).find((one) => one.id === id);
}

/** Bytes in use, of the heap and beside it. */
function memory(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
