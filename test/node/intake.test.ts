import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import { Intake } from "../../src/node/intake.js";
import { signItem } from "../../src/node/keys.js";
import { encodeBatch } from "../../src/node/protocol/batch.js";
import { encodeFrame } from "../../src/node/protocol/frames.js";
import { type Item, withDigest } from "../../src/node/protocol/item.js";
import type { ReplicaInput } from "../../src/node/protocol/messages.js";
import { integritySignature } from "../../src/node/protocol/signature.js";
import { Verifier } from "../../src/node/verification/verifier.js";
import { eventually } from "../fixtures/eventually.js";

const { privateKey } = generateKeyPairSync("ed25519");
const signed = (n: number) =>
  withDigest(signItem({ id: `s${n}`, raw: `raw ${n}`, timestampMs: n }, privateKey));
const plain = (n: number) =>
  withDigest({ id: `p${n}`, raw: `${n}`, timestampMs: n, signature: integritySignature(`${n}`) });
const forged = (n: number) => {
  const { digest, ...item } = signed(n);
  return withDigest({ ...item, raw: "forged" });
};

function large(): Item {
  const raw = "x".repeat(LIMITS.rawBytesMax + 1);
  return withDigest({ id: "large", raw, timestampMs: 1, signature: integritySignature(raw) });
}

let told: ReplicaInput[];
let verifier: Verifier;
let intake: Intake;

beforeEach(() => {
  told = [];
  verifier = new Verifier();
  intake = new Intake(
    () => false,
    verifier,
    (input) => void told.push(input),
  );
});

afterEach(() => verifier.close());

test("what needs no checking by another thread is told at once", () => {
  frame("a", plain(1));
  gossip("a", [plain(2)]);
  intake.connection({ type: "peerDown", peer: "a", reason: "gone" });
  expect(told.map(({ type }) => type)).toEqual(["itemsReceived", "gossiped", "peerDown"]);
});

test("what a peer sends behind signed items waits for them; other peers and signs of life do not", async () => {
  frame("a", signed(1));
  intake.frame("a", encodeFrame({ t: "roundDone", round: 1 }));
  frame("a", plain(2));
  intake.connection({ type: "peerDown", peer: "a", reason: "gone" });
  intake.frame("a", encodeFrame({ t: "ping", atMs: 1 }));
  frame("b", plain(3));
  expect(told.map(named)).toEqual(["a ping", "b p3"]);
  await eventually(() => told.length === 6);
  expect(told.slice(2).map(named)).toEqual(["a s1", "a roundDone", "a p2", "a peerDown"]);
});

test("a forged item among good ones of a frame is counted, the others are told", async () => {
  frame("a", signed(1), forged(2), signed(3));
  await eventually(() => told.length === 1);
  expect(told[0]).toMatchObject({ invalid: 1, served: 3, items: [{ id: "s1" }, { id: "s3" }] });
});

test("a gossip message with a forged item is rejected whole; the peer's next one still counts", async () => {
  const verdicts: string[] = [];
  gossip("a", [signed(1), forged(2)], verdicts);
  gossip("a", [plain(3)], verdicts);
  await eventually(() => told.length === 1);
  expect(verdicts).toEqual(["reject"]);
  expect(told.map(named)).toEqual(["a p3"]);
  expect(intake.figures).toMatchObject({ messagesReceived: 2, rejected: 1, itemsReceived: 1 });
});

test.each([
  ["is no batch", Buffer.from("no batch")],
  ["is empty", Buffer.alloc(0)],
  ["breaks off", encodeBatch([plain(1)]).subarray(0, -1)],
  ["has an item past the limit of raw", encodeBatch([large()])],
])("gossip that %s is rejected, and nothing of it is told", (_, bytes) => {
  const verdicts: string[] = [];
  intake.gossip({ from: "a", bytes, settle: (verdict) => void verdicts.push(verdict) });
  expect([verdicts, told, intake.figures.rejected]).toEqual([["reject"], [], 1]);
});

test("when too many checks wait, gossip of signed items is ignored and counted, other gossip is not", () => {
  const verdicts: string[] = [];
  const flood = Array.from({ length: 9_000 }, (_, n) => ({
    ...withDigest({
      id: `f${n}`,
      raw: "r",
      timestampMs: n,
      signature: `ed25519:${"ab".repeat(32)}:${"0".repeat(128)}`,
    }),
  }));
  gossip("a", flood, verdicts);
  gossip("b", [signed(1)], verdicts);
  gossip("b", [plain(1)], verdicts);
  expect(verdicts).toEqual(["ignore"]);
  expect(told.map(named)).toEqual(["b p1"]);
  expect(intake.figures.skipped).toBe(1);
});

function frame(peer: string, ...items: Item[]): void {
  intake.frame(peer, encodeFrame({ t: "items", served: items.length, batch: encodeBatch(items) }));
}

function gossip(from: string, items: readonly Item[], verdicts: string[] = []): void {
  intake.gossip({ from, bytes: encodeBatch(items), settle: (verdict) => void verdicts.push(verdict) });
}

function named(input: ReplicaInput): string {
  switch (input.type) {
    case "itemsReceived":
      return `${input.peer} ${input.items.map(({ id }) => id)}`;
    case "gossiped":
      return `${input.from} ${input.items.map(({ id }) => id)}`;
    case "frameReceived":
      return `${input.peer} ${input.frame.t}`;
    case "peerDown":
      return `${input.peer} peerDown`;
    default:
      return input.type;
  }
}
