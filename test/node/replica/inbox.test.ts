import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { signItem } from "../../../src/node/keys.js";
import { Inbox, VerifiedRecords } from "../../../src/node/replica/inbox.js";
import { encodeBatch, encodedLength, type Item, withDigest } from "../../../src/node/replica/item.js";
import type { MemberRecord } from "../../../src/node/replica/member.js";
import type { ReplicaInput } from "../../../src/node/replica/messages.js";
import { integritySignature } from "../../../src/node/replica/signature.js";
import {
  type BatchKind,
  batchFrame,
  encodeFrame,
  encodeQuestion,
  type Frame,
} from "../../../src/node/replica/wire.js";
import { Verifier } from "../../../src/node/verification/verifier.js";
import { eventually } from "../../fixtures/eventually.js";
import { recordOf } from "./replica-kit.js";

const { privateKey } = generateKeyPairSync("ed25519");
const signed = (n: number) =>
  withDigest(signItem({ id: `s${n}`, raw: `raw ${n}`, timestampMs: n }, privateKey));
const plain = (n: number) =>
  withDigest({ id: `p${n}`, raw: `${n}`, timestampMs: n, signature: integritySignature(`${n}`) });
const forged = (n: number) => {
  const { digest, ...item } = signed(n);
  return withDigest({ ...item, raw: "forged" });
};
const roster = "0".repeat(16);

function large(): Item {
  const raw = "x".repeat(LIMITS.rawBytesMax + 1);
  return withDigest({ id: "large", raw, timestampMs: 1, signature: integritySignature(raw) });
}

let told: ReplicaInput[];
let verifier: Verifier;
let inbox: Inbox;
/** Records whose signature was looked at, by id; those of "mallory" are forged. */
let checked: string[];
let knownRecords: Set<MemberRecord["id"]>;
let outdated: Set<MemberRecord["id"]>;
/** Requests that each link has open. */
let requests: number;

beforeEach(() => {
  told = [];
  checked = [];
  knownRecords = new Set();
  outdated = new Set();
  requests = 4;
  verifier = new Verifier();
  inbox = new Inbox(
    {
      knows: () => false,
      knowsRecord: ({ id }) => knownRecords.has(id),
      isOutdated: ({ id }) => outdated.has(id),
      requestsOn: () => requests,
    },
    {
      items: (items) => verifier.check(items),
      record: ({ id }) => {
        checked.push(id);
        return id !== "mallory";
      },
      get isOverloaded() {
        return verifier.isOverloaded;
      },
    },
    (input) => void told.push(input),
  );
});

afterEach(() => verifier.close());

test("a record that was verified lately is neither read nor verified again; another with its signature is", () => {
  const verified: string[] = [];
  const records = new VerifiedRecords(({ name }) => {
    verified.push(name);
    return name !== "forged";
  });
  const take = ({ bytes }: Pick<MemberRecord, "bytes">) => {
    const record = records.read(Buffer.from(bytes))!;
    return { record, isGood: records.accepts(record) };
  };
  const good = recordOf("a", { name: "good" });
  const forged = recordOf("a", { name: "forged" });
  forged.bytes.set(good.bytes.subarray(0, 64));
  expect([take(good), take(forged), take(forged)].map(({ isGood }) => isGood)).toEqual([true, false, false]);
  expect(take(good).record).toBe(take(good).record);
  expect(verified).toEqual(["good", "forged", "forged"]);
  for (let n = 0; n < LIMITS.recordsVerifiedMax; n++) take(recordOf(`${n}`));
  verified.length = 0;
  take(good);
  expect(verified, "it is not remembered for good").toEqual(["good"]);
});

describe("frames of items", () => {
  test("are told at once, in order, when they need no checking by another thread", () => {
    items(1, plain(1));
    frame(1, { t: "roundDone", round: 1 });
    inbox.link({ type: "linkDown", link: 1, reason: "gone" });
    expect(told.map(({ type }) => type)).toEqual(["itemsReceived", "frameReceived", "linkDown"]);
  });

  test("that nobody asked for, or more than were, are not verified, and the replica is told of an answer to nothing", async () => {
    requests = 0;
    items(1, signed(1));
    expect(told).toMatchObject([{ type: "itemsReceived", link: 1, served: 0, items: [] }]);
    requests = 2;
    for (let count = 0; count < 4; count++) items(2, signed(count));
    await vi.waitFor(() => expect(told).toHaveLength(5));
    expect(told.slice(1).map((input) => "items" in input && input.items.length)).toEqual([1, 1, 0, 0]);
    items(2, signed(9));
    await vi.waitFor(() => expect(told.at(-1)).toMatchObject({ items: [{}] }));
  });

  test("of signed items hold up what comes behind them on the link; other links and signs of life do not wait", async () => {
    items(1, signed(1));
    frame(1, { t: "roundDone", round: 1 });
    items(1, plain(2));
    inbox.link({ type: "linkDown", link: 1, reason: "gone" });
    frame(1, { t: "ping", atMs: 1, roster });
    items(2, plain(3));
    expect(told.map(named)).toEqual(["1 ping", "2 p3"]);
    await eventually(() => told.length === 6);
    expect(told.slice(2).map(named)).toEqual(["1 s1", "1 roundDone", "1 p2", "1 linkDown"]);
  });

  test("with a forged one among good ones tell the good ones, and how many were bad", async () => {
    items(1, signed(1), forged(2), signed(3));
    await eventually(() => told.length === 1);
    expect(told[0]).toMatchObject({ invalid: 1, served: 3, items: [{ id: "s1" }, { id: "s3" }] });
  });
});

describe("a batch", () => {
  test("is told as a frame, and looked at when the replica asks", () => {
    const bytes = encodeFrame(batchFrame("items", Buffer.from("no batch")));
    inbox.frame(1, bytes);
    expect(told).toMatchObject([{ type: "frameReceived", bytes: bytes.length, frame: { t: "batch" } }]);
  });

  test("of items with a forged one is rejected whole; the next one counts", async () => {
    const bad = verify("items", encodeBatch([signed(1), forged(2)]));
    const good = verify("items", encodeBatch([plain(3)]));
    await eventually(() => told.length === 2);
    expect(told.map(verdict)).toEqual([
      [good, "p3"],
      [bad, "rejected"],
    ]);
  });

  test.each<[string, BatchKind, Uint8Array]>([
    ["items that is no batch", "items", Buffer.from("no batch")],
    ["items that is empty", "items", Buffer.alloc(0)],
    ["items that breaks off", "items", encodeBatch([plain(1)]).subarray(0, -1)],
    ["items with one past the limit of raw", "items", encodeBatch([large()])],
    ["questions that is none", "question", Buffer.from("why")],
  ])("of %s is rejected, and nothing of it is told", (_, kind, payload) => {
    const id = verify(kind, payload);
    expect(told).toEqual([{ type: "batchRejected", batch: id, overloaded: false }]);
  });

  test("of several items is rejected when it is larger than nodes make them; one large item is not", () => {
    const padded = (n: number, length: number) => {
      const raw = `${n}`.padEnd(length, ".");
      return withDigest({ id: `${n}`, raw, timestampMs: 1, signature: integritySignature(raw) });
    };
    const each = LIMITS.batchBytesMax / 2 - encodedLength(padded(1, 1_000)) + 1_000;
    for (const items of [
      [padded(1, each), padded(2, each)],
      [padded(1, each), padded(2, each + 1)],
      [padded(1, LIMITS.rawBytesMax)],
    ])
      verify("items", encodeBatch(items));
    expect(told.map(({ type }) => type)).toEqual(["batchVerified", "batchRejected", "batchVerified"]);
  });

  test("with a question is told with it", () => {
    const question = { t: "held", asker: "a", number: 1, digests: new Uint8Array(32) } as const;
    const batch = verify("question", encodeQuestion(question));
    expect(told).toEqual([{ type: "batchVerified", batch, content: { kind: "question", question } }]);
  });

  test("of signed items is given up when too many checks wait, and counted; of other items it is not", () => {
    const flood = Array.from({ length: 9_000 }, (_, n) =>
      withDigest({
        id: `f${n}`,
        raw: "r",
        timestampMs: n,
        signature: `ed25519:${"ab".repeat(32)}:${"0".repeat(128)}`,
      }),
    );
    for (let at = 0; at < flood.length; at += 100) verify("items", encodeBatch(flood.slice(at, at + 100)));
    const given = verify("items", encodeBatch([signed(1)]));
    const taken = verify("items", encodeBatch([plain(1)]));
    expect(told.slice(-2)).toMatchObject([
      { type: "batchRejected", batch: given, overloaded: true },
      { type: "batchVerified", batch: taken },
    ]);
    expect(inbox.skipped).toBe(told.length - 1);
  });
});

describe("a member's record", () => {
  const hello = (record: MemberRecord) =>
    frame(1, {
      t: "hello",
      v: 2,
      cluster: "test",
      record: record.bytes,
      nowMs: 1,
      starting: false,
      links: 0,
      linked: false,
      roster,
    });
  const records = (...list: MemberRecord[]) =>
    frame(1, {
      t: "records",
      records: list.map(({ bytes }) => bytes),
      lost: new Uint8Array(),
      want: new Uint8Array(),
    });

  test("is told with the frame that brought it", () => {
    hello(recordOf("a"));
    records(recordOf("a"), recordOf("b"));
    expect(told).toMatchObject([
      { type: "helloReceived", link: 1, record: { id: "a" } },
      { type: "recordsReceived", link: 1, records: [{ id: "a" }, { id: "b" }] },
    ]);
  });

  test("that its member did not sign makes the frame garbled", () => {
    hello(recordOf("mallory"));
    records(recordOf("a"), recordOf("mallory", { left: true }));
    expect(told).toEqual([
      { type: "garbled", link: 1 },
      { type: "garbled", link: 1 },
    ]);
  });

  test("that is outdated is not checked where a peer passes it on, but in a hello it is", () => {
    outdated.add("a").add("mallory");
    records(recordOf("a"), recordOf("mallory"), recordOf("b"));
    expect(checked).toEqual(["b"]);
    expect(told).toMatchObject([{ records: [{ id: "a" }, { id: "mallory" }, { id: "b" }] }]);
    hello(recordOf("mallory"));
    expect(told.at(-1)).toEqual({ type: "garbled", link: 1 });
  });

  test("that is known already is not checked again", () => {
    knownRecords.add("a");
    records(recordOf("a"), recordOf("b"));
    expect(checked).toEqual(["b"]);
    expect(told).toMatchObject([{ records: [{ id: "a" }, { id: "b" }] }]);
  });
});

describe("the registry", () => {
  const entry = (record: MemberRecord, { id = record.id, ageMs = 0 } = {}) => ({
    ...{ id, ageMs },
    record: record.bytes,
  });
  const pauseNever = async () => {};

  test("is told with the records that their members signed, each under its own key", async () => {
    const garbage = { id: "b", record: Buffer.from("garbage"), ageMs: 0 };
    const other = entry(recordOf("c"), { id: "d" });
    inbox.registry(
      [entry(recordOf("a"), { ageMs: 7 }), garbage, other, entry(recordOf("mallory"))],
      pauseNever,
    );
    await eventually(() => told.length > 0);
    expect(told).toMatchObject([{ type: "registryRead", entries: [{ record: { id: "a" }, ageMs: 7 }] }]);
    expect(checked.sort()).toEqual(["a", "mallory"]);
  });

  test("is read of no more members than a roster has, the newest, with pauses between some and some", async () => {
    const old = Array.from({ length: 500 }, (_, n) => entry(recordOf(`old${n}`), { ageMs: 9_000 }));
    const young = Array.from({ length: LIMITS.rosterMembersMax + 1 }, (_, n) => entry(recordOf(`m${n}`)));
    const checkedAtPauses: number[] = [];
    inbox.registry([...old, ...young], async () => void checkedAtPauses.push(checked.length));
    await eventually(() => told.length > 0);
    expect(checked).toHaveLength(young.length);
    expect(checked.filter((id) => id.startsWith("old"))).toEqual([]);
    const atOnce = checkedAtPauses.map((count, index) => count - (checkedAtPauses[index - 1] ?? 0));
    expect(Math.max(...atOnce)).toBe(LIMITS.recordsPerFrameMax);
  });

  test("is told in the order in which it was read", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const many = Array.from({ length: 40 }, (_, n) => entry(recordOf(`m${n}`)));
    inbox.registry(many, () => promise);
    inbox.registry([entry(recordOf("later"))], pauseNever);
    resolve();
    await eventually(() => told.length === 2);
    expect(told.map((input) => "entries" in input && input.entries.length)).toEqual([40, 1]);
  });
});

test.each([
  ["no CBOR", Buffer.from("hullo")],
  ["no frame of ours", Buffer.from([0xa0])],
  ["nothing", Buffer.alloc(0)],
  ["an items frame without a batch", encodeFrame({ t: "items", served: 1, batch: Buffer.from("no batch") })],
])("%s is garbled", (_, bytes) => {
  inbox.frame(7, bytes);
  expect(told).toEqual([{ type: "garbled", link: 7 }]);
});

function frame(link: number, value: Frame): void {
  inbox.frame(link, encodeFrame(value));
}

function items(link: number, ...list: Item[]): void {
  frame(link, { t: "items", served: list.length, batch: encodeBatch(list) });
}

/** Has a batch looked at, as the replica would. @returns its id */
function verify(kind: BatchKind, payload: Uint8Array): string {
  const batch = batchFrame(kind, payload);
  inbox.verify({ type: "verify", frame: batch });
  return batch.id;
}

function named(input: ReplicaInput): string {
  switch (input.type) {
    case "itemsReceived":
      return `${input.link} ${input.items.map(({ id }) => id)}`;
    case "frameReceived":
      return `${input.link} ${input.frame.t}`;
    case "linkDown":
      return `${input.link} linkDown`;
    default:
      return input.type;
  }
}

function verdict(input: ReplicaInput): [string, string] | undefined {
  if (input.type === "batchRejected") return [input.batch, "rejected"];
  if (input.type !== "batchVerified" || input.content.kind !== "items") return undefined;
  return [input.batch, input.content.items.map(({ id }) => id).join()];
}
