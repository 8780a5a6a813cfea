import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { HASH_BYTES, memberHash } from "../../../src/node/replica/member.js";
import type { ReplicaEffect } from "../../../src/node/replica/messages.js";
import {
  batchFrame,
  COUNT_BYTES,
  decodeFrame,
  decodeQuestion,
  encodeFrame,
  encodeQuestion,
  packDigests,
  payloadOf,
  type Question,
  unpackDigests,
} from "../../../src/node/replica/wire.js";
import { seededRandom } from "../../../src/sim/determinism.js";
import { Driver, frames, itemOf, makeReplica, NOW, only, recordOf } from "./replica-kit.js";

type Effects = readonly ReplicaEffect[];

const item = itemOf("a");
const makeDriver = (options: Parameters<typeof makeReplica>[0] = {}) =>
  new Driver(makeReplica({ syncIntervalMs: 1e12, ...options }));

/** A node that has links with these peers, and has said so. */
function linked(peers: readonly string[], driver = makeDriver()): Driver {
  for (const peer of peers) driver.meet(peer);
  pass(driver, 1_000);
  return driver;
}

/** Time in which all peers give signs of life. */
function pass(driver: Driver, lengthMs: number): Effects {
  return driver.pass(lengthMs, () => {
    for (const { peer } of [...driver.replica.links.up()]) driver.ping(peer);
  });
}

const ask = (driver: Driver, wait: number | "all" = "all", { digest } = item, request = 1) =>
  driver.tell({ type: "receiptsAsked", receipts: [{ request, digest, wait, timeoutMs: 60_000 }] });

/** Questions that go out to a peer, with their id. */
const asked = (effects: Effects, peer: string) =>
  frames(effects, "batch", peer)
    .filter(({ kind }) => kind === "question")
    .map((frame) => ({ id: frame.id, question: decodeQuestion(payloadOf(frame)) }));
const receipts = (effects: Effects) => only(effects, "receipt").map(({ receipt }) => receipt);

/** The same, where all members are linked with each other. */
function meshed(peers: readonly string[]): Driver {
  const driver = linked(peers);
  for (const peer of peers) {
    const links = new Set([...peers, "me"].filter((id) => id !== peer).map(memberHash));
    driver.records([recordOf(peer, { incarnation: driver.nowMs, links })], peer);
  }
  pass(driver, 1_000);
  expect(driver.replica.roster.isMesh).toBe(true);
  return driver;
}

const commitsOf = (driver: Driver) => (effect: ReplicaEffect) =>
  effect.type === "commit" ? driver.committed(effect.commit) : [];

/** Hash of a member and index of a digest. */
const entry = (member: string, index = 0) =>
  Buffer.concat([Buffer.from(memberHash(member), "hex"), Buffer.of(index >> 8, index & 255)]);
const countEntry = (member: string, count: number, fingerprint: string) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(count);
  return Buffer.concat([Buffer.from(memberHash(member), "hex"), bytes, Buffer.from(fingerprint, "hex")]);
};
const entries = (packed: Uint8Array) =>
  Array.from({ length: packed.length / (HASH_BYTES + 2) }, (_, index) => {
    const bytes = Buffer.from(packed).subarray(index * (HASH_BYTES + 2), (index + 1) * (HASH_BYTES + 2));
    return [bytes.toString("hex", 0, HASH_BYTES), bytes.readUInt16BE(HASH_BYTES)];
  });

interface Answers {
  readonly held?: readonly Buffer[];
  readonly refused?: readonly Buffer[];
  readonly counts?: readonly Buffer[];
}

const answer = (
  driver: Driver,
  peer: string,
  id: string,
  { held = [], refused = [], counts = [] }: Answers,
) =>
  driver.hear(
    {
      ...{ t: "answers", question: Buffer.from(id, "hex"), held: Buffer.concat(held) },
      ...{ refused: Buffer.concat(refused), counts: Buffer.concat(counts) },
    },
    peer,
  );

/** A question of another member comes by gossip. @returns its id, and what it leads to */
function pose(driver: Driver, peer: string, question: Question): { id: string; effects: Effects } {
  const frame = batchFrame("question", encodeQuestion(question));
  const arrived = driver.hear(frame, peer);
  const content = { kind: "question", question } as const;
  if (only(arrived, "verify").length === 0) return { id: frame.id, effects: arrived };
  return {
    id: frame.id,
    effects: [...arrived, ...driver.tell({ type: "batchVerified", batch: frame.id, content })],
  };
}

const heldQuestion = (number: number, ...items: { digest: string }[]): Question => ({
  ...{ t: "held", asker: "asker", number },
  digests: packDigests(items.map(({ digest }) => digest)),
});

/** Makes a member known that has a link with one of the peers only. */
function hearOf(driver: Driver, peer: string, ...ids: string[]): void {
  const records = [
    recordOf(peer, { incarnation: driver.nowMs, links: new Set([...ids, "me"].map(memberHash)) }),
    ...ids.map((id) => recordOf(id, { links: new Set([memberHash(peer)]) })),
  ];
  driver.records(records, peer);
}

describe("a receipt", () => {
  it("says when those asked are a sample of the members, and of how many", () => {
    const driver = makeDriver({ rosterMembersMax: 3 });
    for (const peer of ["a", "b", "c", "d"]) driver.meet(peer);
    ask(driver);
    const [receipt] = receipts(driver.tell({ type: "receiptEnded", request: 1 }));
    expect(receipt).toMatchObject({ of: 2, complete: false });
    expect(receipt!.membersEstimated).toBe(driver.replica.roster.total - 1);
    expect(receipts(ask(makeDriver()))[0]).not.toHaveProperty("membersEstimated");
  });

  it("is asked for with the item, in the moment of its commit, and only for what is held then", () => {
    const driver = linked(["a"]);
    const taken = itemOf("taken");
    driver.hold(taken);
    const items = [item, { ...itemOf("taken", "other"), timestampMs: NOW + 1 }, taken];
    const posted = driver.tell({
      ...{ type: "posted", request: 1, items },
      receipts: items.map((_, index) => ({ request: 10 + index, index, wait: 1, timeoutMs: 60_000 })),
    });
    expect(asked(posted, "a")).toEqual([]);
    const effects = posted.flatMap(commitsOf(driver));
    expect(frames(effects, "batch", "a").map(({ kind }) => kind)).toEqual(["items", "question"]);
    const [{ id, question }] = asked(effects, "a") as [{ id: string; question: Question & { t: "held" } }];
    expect(unpackDigests(question.digests)).toEqual([item.digest, taken.digest]);
    const given = only(answer(driver, "a", id, { held: [entry("a", 0), entry("a", 1)] }), "receipt");
    expect(given.map(({ request, receipt }) => [request, receipt.complete])).toEqual([
      [10, true],
      [12, true],
    ]);
  });

  it("is asked for at once when the last question is answered, and else with those of 2 ms", () => {
    const driver = linked(["a"]);
    const others = ["one", "two", "three"].map((id) => itemOf(id));
    const { id } = asked(ask(driver), "a")[0]!;
    expect(asked(ask(driver, 1, others[0], 2), "a")).toEqual([]);
    const effects = answer(driver, "a", id, { held: [entry("a")] });
    expect(receipts(effects)).toHaveLength(1);
    expect(asked(effects, "a")).toHaveLength(1);
    expect(asked(ask(driver, 1, others[1], 3), "a")).toEqual([]);
    expect(asked(ask(driver, 1, others[2], 4), "a")).toEqual([]);
    const [late] = asked(driver.pass(LIMITS.batchDelayMs), "a");
    expect(unpackDigests((late!.question as { digests: Uint8Array }).digests)).toEqual(
      others.slice(1).map(({ digest }) => digest),
    );
  });

  it("is asked for by one question on each link, and complete when all members hold the item", () => {
    const driver = linked(["a", "b"]);
    hearOf(driver, "b", "far");
    const effects = ask(driver);
    const { id, question } = asked(effects, "a")[0]!;
    expect(question).toMatchObject({ t: "held", asker: "me" });
    expect(asked(effects, "b").map((each) => each.id)).toEqual([id]);
    driver.nowMs += 5;
    expect(receipts(answer(driver, "a", id, { held: [entry("a")] }))).toEqual([]);
    driver.nowMs += 5;
    const [receipt] = receipts(answer(driver, "b", id, { held: [entry("b"), entry("far")] }));
    expect(receipt).toEqual({
      of: 3,
      complete: true,
      holders: [
        { id: "a", name: "a", afterMs: 5 },
        { id: "b", name: "b", afterMs: 10 },
        { id: "far", name: "far", afterMs: 10 },
      ],
      missing: [],
      refused: [],
    });
  });

  it("is complete as soon as so many as were asked for hold the item", () => {
    const driver = linked(["a", "b"]);
    const { id } = asked(ask(driver, 1), "a")[0]!;
    expect(receipts(answer(driver, "b", id, { held: [entry("b")] }))).toMatchObject([
      { complete: true, holders: [{ id: "b" }], missing: [{ id: "a" }] },
    ]);
  });

  it("of a node alone says so at once, and is not complete", () => {
    expect(receipts(ask(makeDriver()))).toEqual([
      { of: 0, complete: false, alone: true, holders: [], missing: [], refused: [] },
    ]);
  });

  it("names those that do not take the item, and is not complete without them", () => {
    const driver = linked(["a", "b"]);
    const { id } = asked(ask(driver), "a")[0]!;
    answer(driver, "a", id, { held: [entry("a")] });
    expect(receipts(answer(driver, "b", id, { refused: [entry("b")] }))).toMatchObject([
      { complete: false, holders: [{ id: "a" }], refused: [{ id: "b" }], missing: [] },
    ]);
  });

  it("counts no member twice, and none that nobody knows", () => {
    const driver = linked(["a", "b"]);
    const { id } = asked(ask(driver), "a")[0]!;
    const held = [entry("a"), entry("a"), entry("ghost"), entry("b", 7)];
    expect(receipts(answer(driver, "a", id, { held }))).toEqual([]);
    expect(receipts(answer(driver, "b", id, { held: [entry("b")] }))).toMatchObject([
      { of: 2, complete: true },
    ]);
  });

  it("does not count members that keep items for another time", () => {
    const driver = linked(["a"]);
    driver.meet("other", {}, { retentionMs: 1_000 });
    expect(
      receipts(answer(driver, "a", asked(ask(driver), "a")[0]!.id, { held: [entry("a")] })),
    ).toMatchObject([{ of: 1, complete: true }]);
  });

  it("ends with those missing when they are lost", () => {
    const driver = linked(["a", "b"]);
    const { id } = asked(ask(driver), "a")[0]!;
    answer(driver, "a", id, { held: [entry("a")] });
    driver.lose("b");
    const started = driver.nowMs;
    const effects = pass(driver, 2_000);
    expect(receipts(effects)).toMatchObject([{ of: 2, complete: false, missing: [{ id: "b" }] }]);
    expect(driver.nowMs - started).toBeLessThan(60_000);
  });

  it("ends when its time is up, or when nobody waits for it any more, as it stands", () => {
    for (const ends of [
      (driver: Driver) => pass(driver, 60_000),
      (driver: Driver) => driver.tell({ type: "receiptEnded", request: 1 }),
      (driver: Driver) => driver.tell({ type: "stopped" }),
    ]) {
      const driver = linked(["a", "b"]);
      const { id } = asked(ask(driver), "a")[0]!;
      answer(driver, "a", id, { held: [entry("a")] });
      expect(receipts(ends(driver))).toMatchObject([
        { complete: false, holders: [{ id: "a" }], missing: [{ id: "b" }] },
      ]);
    }
  });

  it("is asked for again after 500 ms, then ever later, while somebody is missing: the path may have broken", () => {
    const driver = linked(["a", "b"]);
    const first = asked(ask(driver), "a")[0]!;
    answer(driver, "a", first.id, { held: [entry("a")] });
    expect(asked(pass(driver, 499), "b")).toEqual([]);
    const [again] = asked(pass(driver, 1), "b");
    expect(again!.id).not.toBe(first.id);
    expect(asked(pass(driver, 999), "b")).toEqual([]);
    expect(asked(pass(driver, 1), "b")).toHaveLength(1);
    expect(receipts(answer(driver, "b", again!.id, { held: [entry("b")] }))).toMatchObject([
      { complete: true },
    ]);
    expect(asked(pass(driver, 30_000), "b")).toEqual([]);
  });

  it("of many posts is asked for in one question", () => {
    const driver = linked(["a"]);
    const items = Array.from({ length: 10 }, (_, index) => itemOf(`${index}`));
    const effects = items.flatMap((each, index) => ask(driver, "all", each, index));
    const questions = asked([...effects, ...pass(driver, 10)], "a");
    const digests = questions.map(({ question }) => question.t === "held" && unpackDigests(question.digests));
    expect(digests).toEqual([[items[0]!.digest], items.slice(1).map(({ digest }) => digest)]);
    const held = items.slice(1).map((_, index) => entry("a", index));
    expect(receipts(answer(driver, "a", questions[1]!.id, { held }))).toHaveLength(9);
  });
});

describe("a question of another member: who holds these?", () => {
  const answers = (effects: Effects, peer = "a") => frames(effects, "answers", peer);

  it("is passed on, and answered on the link by which it came, for what is held", () => {
    const driver = linked(["a", "b"]);
    driver.hold(item);
    const { id, effects } = pose(driver, "a", heldQuestion(1, itemOf("x"), item));
    const [frame] = answers(effects);
    expect(Buffer.from(frame!.question).toString("hex")).toBe(id);
    expect([entries(frame!.held), frame!.refused.length]).toEqual([[[memberHash("me"), 1]], 0]);
    expect(asked(effects, "b").map((each) => each.id)).toEqual([id]);
    expect(answers(effects, "b")).toEqual([]);
  });

  it("is answered once, however often it comes", () => {
    const driver = linked(["a", "b"]);
    driver.hold(item);
    expect(answers(pose(driver, "a", heldQuestion(1, item)).effects)).toHaveLength(1);
    const { effects } = pose(driver, "b", heldQuestion(1, item));
    expect([...answers(effects), ...answers(effects, "b")]).toEqual([]);
  });

  it("is answered for what is not durable yet once it is", () => {
    const driver = linked(["a", "b"]);
    const { effects } = pose(driver, "a", heldQuestion(1, item));
    expect(answers(effects)).toEqual([]);
    const [commit] = only(driver.gossip([item], "b"), "commit");
    expect(answers(pass(driver, 10))).toEqual([]);
    expect(answers(driver.committed(commit!.commit)).map(({ held }) => entries(held))).toEqual([
      [[memberHash("me"), 0]],
    ]);
  });

  it("for one digest without end is forgotten, the oldest first, past the bound", () => {
    const driver = linked(["a"]);
    const repeated = Array<typeof item>(LIMITS.digestsPerFrameMax).fill(item);
    const count = Math.ceil((1.5 * LIMITS.confirmationsMax) / LIMITS.digestsPerFrameMax);
    for (let number = 0; number < count; number++) pose(driver, "a", heldQuestion(number, ...repeated));
    const effects = only(driver.post(item), "commit").flatMap(({ commit }) => driver.committed(commit));
    const told = answers([...effects, ...driver.pass(100)]).flatMap(({ held }) => entries(held));
    expect(told.length).toBeGreaterThan(0);
    expect(told.length).toBeLessThanOrEqual(LIMITS.confirmationsMax);
  });

  it("is answered as refused for what the policy does not take, whether the item came before or comes later", () => {
    const policy = { text: "nothing", refusalOf: () => "refusedByPolicy" as const };
    const driver = linked(["a", "b"], makeDriver({ policy }));
    driver.gossip([item], "b");
    const later = itemOf("later");
    const [frame] = answers(pose(driver, "a", heldQuestion(1, item, later)).effects);
    expect([frame!.held.length, entries(frame!.refused)]).toEqual([0, [[memberHash("me"), 0]]]);
    driver.nowMs += 10;
    expect(answers(driver.gossip([later], "b")).map(({ refused }) => entries(refused))).toEqual([
      [[memberHash("me"), 1]],
    ]);
  });

  it("is answered once for each commit, whatever was answered lately, where all members are linked", () => {
    const driver = meshed(["a", "b"]);
    const items = ["one", "two", "three"].map((id) => itemOf(id));
    pose(driver, "a", heldQuestion(1, ...items));
    const told = driver.gossip(items.slice(0, 2), "a").flatMap(commitsOf(driver));
    const more = driver.gossip(items.slice(2), "a").flatMap(commitsOf(driver));
    expect([told, more].map((effects) => answers(effects).map(({ held }) => entries(held)))).toEqual([
      [
        [
          [memberHash("me"), 0],
          [memberHash("me"), 1],
        ],
      ],
      [[[memberHash("me"), 2]]],
    ]);
  });

  it("brings the answers of those behind this node in one frame with its own", () => {
    const driver = linked(["a", "b", "c"]);
    const { id, effects } = pose(driver, "a", heldQuestion(1, item));
    expect(answers(effects)).toEqual([]);
    const first = answer(driver, "b", id, { held: [entry("b")] });
    expect(answers(first), "at once when nothing went out lately").toHaveLength(1);
    driver.hold(item);
    answer(driver, "c", id, { held: [entry("c"), entry("far")], refused: [entry("strict")] });
    const rest = answers(driver.pass(10));
    expect(rest).toHaveLength(1);
    const hashes = entries(rest[0]!.held).map(([hash]) => hash);
    expect(new Set(hashes)).toEqual(new Set(["me", "c", "far"].map(memberHash)));
    expect(entries(rest[0]!.refused)).toEqual([[memberHash("strict"), 0]]);
  });

  it("brings any number of answers in frames that the next node can read", () => {
    const driver = linked(["a", "b"]);
    const { id } = pose(driver, "a", heldQuestion(1, item));
    const most = Buffer.concat(Array.from({ length: 32_768 }, () => entry("b")));
    const counts = Array.from({ length: 900 }, () => countEntry("b", 1, "0".repeat(32)));
    const effects = [0, 1, 2].flatMap(() =>
      answer(driver, "b", id, { held: [most], refused: [most], counts }),
    );
    const sent = answers([...effects, ...driver.pass(10)]);
    let count = 0;
    for (const frame of sent) {
      const bytes = encodeFrame(frame);
      expect(bytes.length).toBeLessThanOrEqual(LIMITS.peerFrameBytesMax);
      expect(decodeFrame(bytes).t).toBe("answers");
      count += frame.held.length / most.length;
    }
    expect(count).toBe(3);
  });

  it("is none of an earlier run of its asker, which members remember", () => {
    const ids = ["one run", "the next"].map((run) => {
      const driver = linked(["a"], makeDriver({ random: seededRandom(run) }));
      driver.hold(item);
      return asked(ask(driver), "a")[0]!.id;
    });
    expect(ids[0]).not.toBe(ids[1]);
  });

  it("with a window is answered at once by those who lack the item, too: by their count", () => {
    const driver = linked(["a", "b"]);
    const question = { ...heldQuestion(1, item), sinceMs: NOW - 6_000, untilMs: NOW };
    const { effects } = pose(driver, "a", question);
    const told = answers([...effects, ...driver.pass(10)]);
    expect(told.map(({ held, counts }) => [held.length, counts.length])).toEqual([[0, COUNT_BYTES]]);
    driver.hold(item);
    const [frame] = answers(pose(driver, "a", { ...question, number: 2 }).effects.concat(driver.pass(10)));
    expect([entries(frame!.held), frame!.counts.length]).toEqual([[[memberHash("me"), 0]], COUNT_BYTES]);
  });

  it("is not passed on by its asker, to whom it comes back", () => {
    const driver = linked(["a", "b"]);
    const { effects } = pose(driver, "a", { ...heldQuestion(1, item), asker: "me" });
    expect(asked(effects, "b")).toEqual([]);
  });

  it("has answers to nothing ignored", () => {
    const driver = linked(["a"]);
    expect(answer(driver, "a", "0".repeat(32), { held: [entry("a")] })).toEqual([]);
  });
});

describe("counts", () => {
  const fingerprint = "ab".repeat(16);
  const count = (driver: Driver) => driver.tell({ type: "countsAsked", request: 7, timeoutMs: 5_000 });
  const counted = (effects: Effects) => only(effects, "counted").map(({ request }) => request);

  it("are asked of all members for the settled window, and are there when all have answered", () => {
    const driver = linked(["a", "b"]);
    const effects = count(driver);
    const { sinceMs, settledMs } = driver.replica.summarise(driver.nowMs);
    const { id, question } = asked(effects, "a")[0]!;
    expect(question).toMatchObject({ t: "count", sinceMs, untilMs: settledMs });
    expect(counted(answer(driver, "a", id, { counts: [countEntry("a", 3, fingerprint)] }))).toEqual([]);
    expect(counted(answer(driver, "b", id, { counts: [countEntry("b", 4, fingerprint)] }))).toEqual([7]);
    expect(["a", "b"].map((peer) => driver.replica.roster.get(peer)!.summary)).toMatchObject([
      { count: 3, fingerprint, sinceMs, settledMs, settledFingerprint: fingerprint },
      { count: 4, fingerprint },
    ]);
  });

  it("tell who lacks an item: the same question asks for it, and answers to another are none to it", () => {
    const driver = linked(["a", "b"]);
    driver.hold(item);
    const earlier = asked(count(driver), "a")[0]!;
    ask(driver);
    const { digest } = item;
    const effects = driver.tell({ type: "countsAsked", request: 8, timeoutMs: 5_000, digest });
    const { id, question } = asked(effects, "a")[0]!;
    expect(question).toMatchObject({ t: "held", sinceMs: expect.any(Number), untilMs: expect.any(Number) });
    const counts = ["a", "b"].map((peer) => countEntry(peer, 3, fingerprint));
    expect(counted(answer(driver, "a", earlier.id, { counts }))).toEqual([7]);
    const held = [entry("b")];
    expect(counted(answer(driver, "a", id, { counts, held }))).toEqual([8]);
    const [receipt] = receipts(driver.tell({ type: "receiptEnded", request: 1 }));
    expect(receipt).toMatchObject({ holders: [{ id: "b" }], missing: [{ id: "a" }] });
  });

  it("are there at once for a node alone, at the latest when time is up, and when who is missing is lost", () => {
    expect(counted(count(makeDriver()))).toEqual([7]);
    const late = linked(["a"]);
    expect(counted(count(late))).toEqual([]);
    expect(counted(pass(late, 4_999))).toEqual([]);
    expect(counted(pass(late, 1))).toEqual([7]);
    const losing = linked(["a", "b"]);
    const { id } = asked(count(losing), "a")[0]!;
    answer(losing, "a", id, { counts: [countEntry("a", 3, fingerprint)] });
    losing.lose("b");
    expect(counted(pass(losing, 2_000))).toEqual([7]);
  });

  it("are given from the start that is asked for, with the fingerprint of the window", () => {
    const driver = linked(["a"]);
    driver.hold(itemOf("x"), itemOf("y", undefined, NOW - 5_000), itemOf("z", undefined, NOW - 9_000));
    const question = { t: "count", asker: "asker", number: 1, sinceMs: NOW - 6_000, untilMs: NOW } as const;
    const [frame] = frames(pose(driver, "a", question).effects, "answers", "a");
    const { fingerprint: expected } = driver.replica.holdings.fingerprint(NOW - 6_000, NOW);
    expect(Buffer.from(frame!.counts)).toEqual(countEntry("me", 2, expected));
  });
});
