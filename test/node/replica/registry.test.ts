import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeRecord, type MemberRecord, memberHash } from "../../../src/node/replica/member.js";
import type { News, ReplicaEffect, ReplicaInput } from "../../../src/node/replica/messages.js";
import { decodeNews, decodeRecords, encodeNews, packDigests } from "../../../src/node/replica/wire.js";
import { Driver, itemOf, itemsOf, makeReplica, NOW, only, outcomes, recordOf } from "./replica-kit.js";

type Effects = readonly ReplicaEffect[];
type Options = Parameters<typeof makeReplica>[0];

/** A replica named "me" that a broker serves. It has said what it says at first. */
function open(options: Options = {}): Driver {
  const driver = new Driver(makeReplica({ hasBroker: true, ...options }));
  driver.tell({ type: "brokerChanged", isUp: true });
  pass(driver, 300);
  return driver;
}

/** Lets time pass, in the steps of the machine's timer. */
function pass(driver: Driver, ms: number): Effects {
  const effects: ReplicaEffect[] = [];
  for (const endMs = driver.nowMs + ms; driver.nowMs < endMs; ) {
    driver.nowMs += 100;
    effects.push(...driver.tell({ type: "woke" }));
  }
  return effects;
}

/** The registry, as read: records that are so old. */
const read = (driver: Driver, ...entries: [record: MemberRecord, ageMs: number][]) =>
  driver.tell({ type: "registryRead", entries: entries.map(([record, ageMs]) => ({ record, ageMs })) });

const stateOf = (driver: Driver, id: string) => driver.replica.roster.get(id)?.state;
const renewed = (id: string, driver: Driver, fields: Partial<Omit<MemberRecord, "bytes">> = {}) =>
  recordOf(id, { incarnation: driver.nowMs, ...fields });
const news = (effects: Effects) =>
  only(effects, "publish").flatMap(({ kind, payload }) => (kind === "news" ? [decodeNews(payload)] : []));
const told = (effects: Effects) => only(effects, "tell").map(({ peer, frame }) => `${peer} ${frame.t}`);
const holding = (count: number) => {
  const fingerprint = `${count}`.padStart(32, "0");
  return { count, fingerprint, sinceMs: NOW - 1_000, settledMs: NOW, settledFingerprint: fingerprint };
};

const heldBy = (id: string, count = 0, clockMs = 0) => ({
  ...{ hash: memberHash(id), summary: holding(count), clockMs },
});

function hearNews(driver: Driver, more: Partial<News>): Effects {
  const { fingerprint } = driver.replica.membership;
  return driver.tell({
    type: "newsHeard",
    news: { records: [], held: [], lost: [], roster: fingerprint, ...more },
  });
}

describe("a member where a broker keeps records", () => {
  it("renews its own each second, publishes it when it comes and leaves, and opens and dials nothing", () => {
    const driver = new Driver(makeReplica({ hasBroker: true }));
    const first = [...driver.tell({ type: "brokerChanged", isUp: true }), ...pass(driver, 300)];
    const published = (effects: Effects) =>
      only(effects, "publish").flatMap(({ kind, payload }) =>
        kind === "members" ? decodeRecords(payload) : [],
      );
    expect(published(first).map((bytes) => decodeRecord(bytes)!.id)).toEqual(["me"]);
    driver.tell({ type: "found", addresses: ["/ip4/10.0.0.1/tcp/1"] });
    const rest = pass(driver, 20_000);
    expect(only(rest, "renew").length).toBeGreaterThan(14);
    expect(only(rest, "renew").length).toBeLessThan(24);
    expect(rest.map(({ type }) => type).filter((type) => type !== "renew")).toEqual([]);
    const last = driver.tell({ type: "stopped" });
    expect(published(last).map((bytes) => decodeRecord(bytes)!.left)).toEqual([true]);
    expect(only(last, "renew")).toHaveLength(1);
  });

  it("reads the registry when the broker is there, and knows all whose records are fresh", () => {
    const driver = new Driver(makeReplica({ hasBroker: true }));
    const effects = [...driver.tell({ type: "brokerChanged", isUp: true }), ...pass(driver, 300)];
    expect(only(effects, "readRegistry")).toHaveLength(1);
    read(driver, [recordOf("a"), 0], [recordOf("b"), 1_200], [recordOf("old"), 9_000]);
    expect(["a", "b", "old"].map((id) => stateOf(driver, id))).toEqual(["alive", "alive", "lost"]);
  });

  it("believes the leader: who is new, lost, back, and what each holds", () => {
    const driver = open();
    hearNews(driver, { records: [recordOf("a"), recordOf("b")] });
    expect(["a", "b"].map((id) => stateOf(driver, id))).toEqual(["alive", "alive"]);
    hearNews(driver, { lost: [memberHash("a"), memberHash("nobody")] });
    expect(["a", "b"].map((id) => stateOf(driver, id))).toEqual(["lost", "alive"]);
    hearNews(driver, { held: [heldBy("a", 7)] });
    expect(stateOf(driver, "a")).toBe("alive");
    expect(driver.replica.roster.get("a")!.summary.count).toBe(7);
  });

  it("reads the registry again when its roster goes on differing from the leader's, and not before", () => {
    const driver = open();
    const differing = () => hearNews(driver, { roster: "f".repeat(16) });
    expect(only([...differing(), ...differing(), ...pass(driver, 4_000)], "readRegistry")).toEqual([]);
    hearNews(driver, {});
    expect(only([...differing(), ...differing(), ...pass(driver, 4_000)], "readRegistry")).toEqual([]);
    expect(only([...differing(), ...pass(driver, 4_000)], "readRegistry")).toHaveLength(1);
  });

  it("lists all as lost when the broker was away for 5 s, and as there again when it reads them", () => {
    const driver = open();
    read(driver, [recordOf("a"), 0]);
    driver.tell({ type: "brokerChanged", isUp: false });
    pass(driver, 4_000);
    expect(stateOf(driver, "a")).toBe("alive");
    pass(driver, 2_000);
    expect(stateOf(driver, "a")).toBe("lost");
    driver.tell({ type: "brokerChanged", isUp: true });
    read(driver, [renewed("a", driver), 0]);
    expect(stateOf(driver, "a")).toBe("alive");
  });
});

describe("the leader", () => {
  /** Reads the registry as often as it is told to, with these records in it. */
  function lead(driver: Driver, ms: number, entries: () => [MemberRecord, number][]): Effects {
    const effects: ReplicaEffect[] = [];
    for (const endMs = driver.nowMs + ms; driver.nowMs < endMs; ) {
      const woke = pass(driver, 100);
      effects.push(...woke);
      if (only(woke, "readRegistry").length > 0) effects.push(...read(driver, ...entries()));
    }
    return effects;
  }

  it("tells of a member once, and that one is lost within 5 s of its last renewal", () => {
    const driver = open();
    driver.tell({ type: "leaderChanged", isLeader: true });
    const first = lead(driver, 4_000, () => [[renewed("a", driver), 0]]);
    expect(news(first).flatMap(({ records }) => records.map((bytes) => decodeRecord(bytes)!.id))).toEqual([
      "me",
      "a",
    ]);
    const last = renewed("a", driver);
    read(driver, [last, 0]);
    const diedAtMs = driver.nowMs;
    let lostAtMs = 0;
    const rest = lead(driver, 8_000, () => {
      if (stateOf(driver, "a") === "lost") lostAtMs ||= driver.nowMs;
      return [[last, driver.nowMs - diedAtMs]];
    });
    expect(stateOf(driver, "a")).toBe("lost");
    expect(news(rest).flatMap(({ lost }) => lost)).toEqual([memberHash("a")]);
    expect(lostAtMs - diedAtMs).toBeLessThanOrEqual(6_600);
    const back = lead(driver, 4_000, () => [[renewed("a", driver), 0]]);
    expect(news(back).flatMap(({ held }) => held.map(({ hash }) => hash))).toContain(memberHash("a"));
  });

  it("tells of so many members at once that others are done with them soon, and of the rest in the next seconds", () => {
    const driver = open();
    driver.tell({ type: "leaderChanged", isLeader: true });
    const members = Array.from({ length: 100 }, (_, n): [MemberRecord, number] => [recordOf(`m${n}`), 0]);
    const effects = [...read(driver, ...members), ...pass(driver, 4_000)];
    const told = news(effects).map(({ records }) => records.map((bytes) => decodeRecord(bytes)!.id));
    expect(Math.max(...told.map(({ length }) => length))).toBe(LIMITS.recordsPerFrameMax);
    expect(new Set(told.flat()).size).toBe(101);
    expect(told.flat()).toHaveLength(101);
  });

  it("tells what a member holds every 5 s at most, and every 15 s while nothing changes", () => {
    const driver = open();
    driver.tell({ type: "leaderChanged", isLeader: true });
    let count = 0;
    const record = () => renewed("a", driver, { holdings: holding(count) });
    lead(driver, 4_000, () => [[record(), 0]]);
    const still = lead(driver, 20_000, () => [[record(), 0]]);
    expect(news(still).length).toBeGreaterThanOrEqual(19);
    expect(news(still).flatMap(({ records, lost }) => [...records, ...lost])).toEqual([]);
    // Of both members, once.
    expect(news(still).flatMap(({ held }) => held)).toHaveLength(2);
    const busy = lead(driver, 20_000, () => [[renewed("a", driver, { holdings: holding(++count) }), 0]]);
    const ofPeer = news(busy).flatMap(({ held }) => held.filter(({ hash }) => hash === memberHash("a")));
    const times = ofPeer.length;
    expect(times).toBeGreaterThanOrEqual(3);
    expect(times).toBeLessThanOrEqual(5);
  });

  it("of before is listed as lost by the next one at its second look", () => {
    const driver = open();
    const former = recordOf("former");
    read(driver, [former, 0]);
    pass(driver, 2_000);
    const last = renewed("former", driver);
    driver.tell({ type: "leaderChanged", isLeader: true });
    read(driver, [last, 2_600]);
    expect(stateOf(driver, "former"), "it was renewed since this member heard of it").toBe("alive");
    driver.nowMs += 1_200;
    read(driver, [last, 3_800]);
    expect(stateOf(driver, "former")).toBe("lost");
  });
});

describe("the clock of a member", () => {
  const HOUR = 3_600_000;
  const verdict = ({ replica }: Driver) => replica.clock.verdict;
  /** A member's record, made so long ago with a clock so far ahead; and this one's own, as the registry has it. */
  const made = (driver: Driver, id: string, aheadMs: number, ageMs = 0): [MemberRecord, number] => [
    renewed(id, driver, { clockMs: driver.nowMs - ageMs + aheadMs }),
    ageMs,
  ];
  const own = ({ replica }: Driver): [MemberRecord, number] => [replica.membership.record, 0];

  it.each<[string, readonly number[], string]>([
    ["one that agrees", [100_000], "agrees"],
    ["one an hour off", [HOUR], "differs"],
    ["two that are an hour off, alike", [HOUR, HOUR], "skewed"],
    ["two, one of them off", [HOUR, 0], "agrees"],
  ])("is told by its record and the age of that: %s %j", (_, clocks, expected) => {
    const driver = open();
    read(driver, own(driver), ...clocks.map((aheadMs, n) => made(driver, `m${n}`, aheadMs, 2_000)));
    pass(driver, 300);
    expect(verdict(driver)).toBe(expected);
    expect(driver.replica.clockAheadMs("m0")).toBe(clocks[0]);
  });

  it("counts for nothing while this member's own record is not among those whose ages are compared", () => {
    const driver = open();
    read(driver, made(driver, "a", HOUR));
    pass(driver, 300);
    expect(verdict(driver)).toBe("alone");
  });

  it("is told by members that come, and by the leader of all, whatever its own clock says", () => {
    const driver = open();
    driver.tell({ type: "membersHeard", records: [made(driver, "a", HOUR)[0]] });
    pass(driver, 300);
    expect(verdict(driver)).toBe("differs");
    hearNews(driver, { held: [heldBy("a", 0, driver.nowMs)] });
    pass(driver, 300);
    expect(verdict(driver)).toBe("agrees");
    // Its record may have been on its way for any time.
    hearNews(driver, { records: [renewed("a", driver, { clockMs: 1 })] });
    pass(driver, 300);
    expect(verdict(driver)).toBe("agrees");
  });

  it("is told by the leader with the record, and again within 5 s of a step", () => {
    const driver = open();
    driver.tell({ type: "leaderChanged", isLeader: true });
    let aheadMs = 500;
    const told: number[] = [];
    const look = (ms: number) => {
      for (const endMs = driver.nowMs + ms; driver.nowMs < endMs; ) {
        const woke = pass(driver, 100);
        const heard =
          only(woke, "readRegistry").length > 0 ? read(driver, own(driver), made(driver, "a", aheadMs)) : [];
        for (const { held } of news([...woke, ...heard]))
          for (const { hash, clockMs } of held)
            if (hash === memberHash("a")) told.push(clockMs - driver.nowMs);
      }
    };
    look(3_000);
    expect(told).toEqual([500]);
    aheadMs = HOUR;
    look(8_000);
    expect(told).toEqual([500, HOUR]);
    expect(verdict(driver)).toBe("differs");
  });

  it("that is contradicted by most refuses posts, as among links", () => {
    const driver = open();
    read(driver, own(driver), made(driver, "a", -HOUR), made(driver, "b", -HOUR));
    pass(driver, 300);
    expect(outcomes(driver.post(itemOf("x")))).toEqual(["clockSkew"]);
    expect(decodeRecord(driver.replica.membership.record.bytes)!.clockMs, "it says its own").toBeGreaterThan(
      NOW - 1,
    );
  });
});

describe("members that differ", () => {
  const item = itemOf("x", "x", NOW - 60_000);
  const apart = (id: string) => recordOf(id, { holdings: { ...holding(9), sinceMs: NOW - 3_600_000 } });

  function differing(id: string, peer: string, ms: number, isLeader = false): Effects {
    const driver = open({ id });
    driver.tell({ type: "leaderChanged", isLeader });
    driver.hold(item);
    read(driver, [apart(peer), 0]);
    return pass(driver, ms);
  }

  it("are reconciled with after 3 s by the leader, and after 10 s by the one with the smallest id", () => {
    expect(told(differing("zoe", "me", 2_900, true))).toEqual([]);
    expect(told(differing("zoe", "me", 6_000, true))).toEqual(["me reconcile"]);
    expect(told(differing("me", "zoe", 9_000))).toEqual([]);
    expect(told(differing("me", "zoe", 13_000))).toEqual(["zoe reconcile"]);
    expect(told(differing("zoe", "me", 30_000))).toEqual([]);
  });

  it("say what they lack, and who holds it appends it to the log, once in 2 min", () => {
    const driver = open();
    read(driver, [apart("zoe"), 0]);
    driver.hold(item);
    const frame = (t: "have" | "want", ...digests: string[]): ReplicaInput => ({
      ...{ type: "told", peer: "zoe" },
      frame: { t, digests: packDigests(digests) },
    });
    const other = itemOf("other").digest;
    const [asked] = only(driver.tell(frame("have", item.digest, other)), "tell");
    expect(asked).toMatchObject({ peer: "zoe", frame: { t: "want", digests: packDigests([other]) } });
    const append = (effects: Effects) =>
      only(effects, "append").flatMap(({ items }) => items.map(({ id }) => id));
    expect(append(driver.tell(frame("want", item.digest, other)))).toEqual(["x"]);
    expect(append(driver.tell(frame("want", item.digest)))).toEqual([]);
    pass(driver, 118_000);
    expect(append(driver.tell(frame("want", item.digest)))).toEqual([]);
    pass(driver, 4_000);
    expect(append(driver.tell(frame("want", item.digest)))).toEqual(["x"]);
  });

  it("are left alone for as long as the log has something to hand over", () => {
    let hasReadLog = false;
    const driver = open({ hasReadLog: () => hasReadLog });
    driver.hold(item);
    read(driver, [apart("zoe"), 0]);
    const have: ReplicaInput = {
      ...{ type: "told", peer: "zoe" },
      frame: { t: "have", digests: packDigests([itemOf("other").digest]) },
    };
    expect(told([...pass(driver, 20_000), ...driver.tell(have)])).toEqual([]);
    hasReadLog = true;
    expect(told(driver.tell(have))).toEqual(["zoe want"]);
    expect(told(pass(driver, 13_000))).toEqual(["zoe reconcile"]);
  });

  it("are asked for an item one after the other", () => {
    const driver = open();
    read(driver, [apart("zoe"), 0], [apart("yan"), 0]);
    const have = (peer: string): ReplicaInput => ({
      ...{ type: "told", peer },
      frame: { t: "have", digests: packDigests([item.digest]) },
    });
    expect(told([...driver.tell(have("zoe")), ...driver.tell(have("yan"))])).toEqual(["zoe want"]);
    pass(driver, 12_000);
    expect(told(driver.tell(have("yan")))).toEqual(["yan want"]);
  });

  it("are not heard when they are no members, and a full node wants nothing", () => {
    const driver = open({ itemsMax: 3 });
    const have = (peer: string): ReplicaInput => ({
      ...{ type: "told", peer },
      frame: { t: "have", digests: packDigests([item.digest]) },
    });
    read(driver, [apart("zoe"), 0]);
    expect(told(driver.tell(have("stranger")))).toEqual([]);
    expect(told(driver.tell(have("zoe")))).toEqual(["zoe want"]);
    driver.hold(...itemsOf(3));
    expect(told(driver.tell(have("zoe")))).toEqual([]);
  });
});

describe("news", () => {
  it("come back as they were, and what is none is refused", () => {
    const message = {
      records: [Buffer.from("one"), Buffer.from("two")],
      held: [heldBy("a", 3, NOW)],
      lost: [memberHash("b"), memberHash("c")],
      roster: "0123456789abcdef",
    };
    const bytes = encodeNews(message);
    const read = decodeNews(bytes);
    expect({ ...read, records: read.records.map((one) => Buffer.from(one)) }).toEqual(message);
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeNews(bytes.subarray(0, length))).toThrow("frame is");
    expect(() => decodeNews(encodeNews({ ...message, roster: "x" }))).toThrow("news");
    const records = new Array<Uint8Array>(LIMITS.recordsPerFrameMax + 1).fill(Buffer.from("one"));
    expect(() => decodeNews(encodeNews({ ...message, records }))).toThrow("news");
  });
});
