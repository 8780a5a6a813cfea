import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeRecord, memberHash, packHashes } from "../../../src/node/replica/member.js";
import { isTwin, Roster, withoutPredecessors } from "../../../src/node/replica/roster.js";
import { decodeFrame, encodeFrame } from "../../../src/node/replica/wire.js";
import { seededRandom } from "../../../src/sim/determinism.js";
import { NOW, recordOf } from "./replica-kit.js";

const GRACE_MS = 1_500;
const STALE_MS = 30_000;
const self = recordOf("me");

type Fields = NonNullable<Parameters<typeof recordOf>[1]>;

/** The record of a member that has links with these. */
const linkedWith = (id: string, links: readonly string[], fields: Fields = {}) =>
  recordOf(id, { links: new Set(links.map(memberHash)), ...fields });

/** The roster of "me" that has heard these records. */
function rosterOf(...records: ReturnType<typeof recordOf>[]): Roster {
  const roster = new Roster(() => "me", 1_000);
  for (const record of records) roster.hear(record, NOW);
  return roster;
}

const judge = (roster: Roster, links: readonly string[], nowMs: number) =>
  roster
    .judge(new Set(links.map(memberHash)), nowMs, STALE_MS)
    .changed.map(({ record, state }) => `${record.id} ${state}`);
const stateOf = (roster: Roster, id: string) => roster.get(id)?.state;

describe("of two records of one member", () => {
  it.each([
    ["a higher incarnation counts", 1, "newer", "second"],
    ["the same incarnation does not", 0, "known", "first"],
    ["a lower incarnation, which was replayed, does not", -1, "known", "first"],
  ])("%s", (_, more, heard, name) => {
    const roster = rosterOf(recordOf("a", { name: "first" }));
    expect(roster.hear(recordOf("a", { name: "second", incarnation: NOW + more }), NOW)).toBe(heard);
    expect(roster.get("a")!.record.name).toBe(name);
  });

  it("one of a new session is news: the member began anew", () => {
    const roster = rosterOf(recordOf("a"));
    const again = recordOf("a", { incarnation: NOW + 1, session: "1".repeat(16) });
    expect(roster.hear(again, NOW)).toBe("new");
    expect(roster.get("a")).toMatchObject({ state: "alive", twinAtMs: 0 });
    expect(roster.size).toBe(1);
  });

  it("the one of a session before is known, however often it is replayed", () => {
    const before = recordOf("a");
    const roster = rosterOf(before, recordOf("a", { incarnation: NOW + 1, session: "1".repeat(16) }));
    expect(roster.hear(before, NOW)).toBe("known");
    expect(roster.get("a")!.record.session).toBe("1".repeat(16));
  });
});

describe("a record is known", () => {
  const known = recordOf("a");

  it("when it is the very one that is held", () => {
    expect(rosterOf(known).knows(recordOf("a"))).toBe(true);
    expect(rosterOf().knows(known)).toBe(false);
  });

  it.each([
    ["an older one", { incarnation: NOW - 1 }],
    ["another of the same incarnation", { name: "forged" }],
    ["a newer one", { incarnation: NOW + 1 }],
  ])(
    "but not %s: nobody has looked at its signature, and those to whom it is passed on will",
    (_, fields) => {
      expect(rosterOf(known).knows(recordOf("a", fields))).toBe(false);
    },
  );
});

it("a record is outdated by a later one of its session alone", () => {
  const roster = rosterOf(recordOf("a"));
  const outdates = (fields: Parameters<typeof recordOf>[1], id = "a") =>
    roster.outdates(recordOf(id, { incarnation: NOW - 1, ...fields }));
  expect(outdates({})).toBe(true);
  expect(outdates({ incarnation: NOW })).toBe(false);
  expect(outdates({ session: "1".repeat(16) }), "of a twin it is news").toBe(false);
  expect(outdates({}, "b")).toBe(false);
});

it("the largest incarnation that a record may have fits in the digest of a roster, and can be outbid", () => {
  const incarnation = 2 ** 47 - 1;
  expect(decodeRecord(recordOf("a", { incarnation }).bytes)).toMatchObject({ incarnation });
  expect(decodeRecord(recordOf("a", { incarnation: incarnation + 1 }).bytes)).toBeUndefined();
  const roster = rosterOf(recordOf("a", { incarnation }));
  expect(roster.hear(recordOf("a", { incarnation: incarnation + 1 }), NOW)).toBe("newer");
  expect(() => roster.entries(self, NOW)).not.toThrow();
});

describe("a member that says goodbye", () => {
  const goodbye = recordOf("a", { left: true, incarnation: NOW + 5 });

  it("has left, whatever links others report", () => {
    const roster = rosterOf(recordOf("a"), linkedWith("b", ["a", "me"]));
    expect(roster.hear(goodbye, NOW)).toBe("new");
    expect(judge(roster, ["a", "b"], NOW + 60_000)).toEqual([]);
    expect(roster.get("a")).toMatchObject({ state: "left", reason: "said goodbye" });
  });

  it("does not come back by a record of before", () => {
    const roster = rosterOf(recordOf("a"), goodbye);
    expect(roster.hear(recordOf("a", { incarnation: NOW + 4 }), NOW)).toBe("known");
    expect(stateOf(roster, "a")).toBe("left");
  });

  it("is alive again when it comes back", () => {
    const roster = rosterOf(goodbye);
    const back = recordOf("a", { incarnation: NOW + 6, session: "1".repeat(16) });
    expect(roster.hear(back, NOW)).toBe("new");
    expect(roster.get("a")).toMatchObject({ state: "alive", reason: "" });
  });

  it("is no way to others any more", () => {
    const roster = rosterOf(linkedWith("a", ["me", "b"]), linkedWith("b", ["a"]));
    judge(roster, ["a"], NOW);
    roster.hear(linkedWith("a", ["me", "b"], { left: true, incarnation: NOW + 1 }), NOW);
    judge(roster, ["a"], NOW);
    expect(judge(roster, ["a"], NOW + GRACE_MS)).toEqual(["b lost"]);
  });
});

describe("a member is lost", () => {
  const chain = () =>
    rosterOf(linkedWith("a", ["me", "b"]), linkedWith("b", ["a", "c"]), linkedWith("c", ["b"]));

  it("when no chain of links leads to it for 1.5 s, and not while one does", () => {
    const roster = chain();
    expect(judge(roster, ["a"], NOW)).toEqual([]);
    expect(judge(roster, ["a"], NOW + 3_600_000)).toEqual([]);
    const atMs = NOW + 3_600_000;
    expect(judge(roster, [], atMs)).toEqual([]);
    expect(judge(roster, [], atMs + GRACE_MS - 1)).toEqual([]);
    expect(judge(roster, [], atMs + GRACE_MS)).toEqual(["a lost", "b lost", "c lost"]);
  });

  it("and not when a chain leads there again within that time", () => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    judge(roster, [], NOW + 1);
    expect(judge(roster, ["b"], NOW + GRACE_MS)).toEqual([]);
    expect(judge(roster, [], NOW + GRACE_MS + 1)).toEqual([]);
    expect(judge(roster, ["b"], NOW + 2 * GRACE_MS)).toEqual([]);
    expect(["a", "b", "c"].map((id) => stateOf(roster, id))).toEqual(["alive", "alive", "alive"]);
  });

  it.each([
    ["the near end alone reports", ["a", "c"], []],
    ["the far end alone reports", ["a"], ["b"]],
  ])("when the last link of its chain is one that %s", (_, ofB, ofC) => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    roster.hear(linkedWith("b", ofB, { incarnation: NOW + 1 }), NOW);
    roster.hear(linkedWith("c", ofC, { incarnation: NOW + 1 }), NOW);
    judge(roster, ["a"], NOW);
    expect(judge(roster, ["a"], NOW + GRACE_MS)).toEqual(["c lost"]);
  });

  it("and nobody else can say so: who denies a link is the one out of reach, not its neighbour", () => {
    // A liar next to us reports no links at all. What lies behind it has another way.
    const roster = rosterOf(
      linkedWith("liar", ["me"]),
      linkedWith("victim", ["liar", "other"]),
      linkedWith("other", ["me", "victim"]),
    );
    judge(roster, ["liar", "other"], NOW);
    expect(judge(roster, ["liar", "other"], NOW + 60_000)).toEqual([]);
    expect(stateOf(roster, "victim")).toBe("alive");
  });

  it("and alive again as soon as a chain leads to it, under the same record", () => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    judge(roster, [], NOW);
    judge(roster, [], NOW + GRACE_MS);
    expect(judge(roster, ["c"], NOW + 10_000)).toEqual(["a alive", "b alive", "c alive"]);
    expect(roster.get("a")!.reason).toBe("");
  });

  it("and not by a renewed record alone, which may have been on its way for long", () => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    judge(roster, [], NOW);
    judge(roster, [], NOW + GRACE_MS);
    roster.hear(linkedWith("c", ["b"], { incarnation: NOW + 9 }), NOW + 5_000);
    expect(judge(roster, [], NOW + 5_000)).toEqual([]);
    expect(stateOf(roster, "c")).toBe("lost");
  });

  it("only after 10 s when it was never reached: its neighbours have not said yet that they link with it", () => {
    const roster = rosterOf(recordOf("a"));
    expect(judge(roster, [], NOW + 9_999)).toEqual([]);
    expect(judge(roster, [], NOW + 10_000)).toEqual(["a lost"]);
  });

  it("at once when a neighbour lists it as lost that was never reached, unless that speaks of a session before", () => {
    const roster = rosterOf(recordOf("a"), recordOf("b", { session: "1".repeat(16) }));
    roster.lostElsewhere(recordOf("a"), NOW);
    roster.lostElsewhere(recordOf("b"), NOW);
    expect(["a", "b"].map((id) => stateOf(roster, id))).toEqual(["lost", "alive"]);
    judge(roster, [], NOW);
    expect(judge(roster, [], NOW + 10_000)).toEqual(["b lost"]);
    expect(judge(roster, ["a"], NOW + 10_000), "until a chain leads to it").toEqual(["a alive"]);
  });

  it("after 1.5 s when a neighbour lists it as lost that was reached", () => {
    const roster = rosterOf(recordOf("a"));
    judge(roster, ["a"], NOW);
    roster.lostElsewhere(recordOf("a"), NOW);
    judge(roster, [], NOW);
    expect(judge(roster, [], NOW + GRACE_MS - 1)).toEqual([]);
    expect(judge(roster, [], NOW + GRACE_MS)).toEqual(["a lost"]);
  });

  it("only after 10 s when it has just begun anew", () => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    roster.hear(recordOf("c", { incarnation: NOW + 1, session: "1".repeat(16) }), NOW);
    expect(judge(roster, ["a"], NOW + 9_999)).toEqual([]);
    expect(judge(roster, ["a"], NOW + 10_000)).toEqual(["c lost"]);
  });

  it("later by as much as this node itself was late", () => {
    const roster = chain();
    judge(roster, ["a"], NOW);
    judge(roster, [], NOW);
    roster.forgive(2_000);
    expect(judge(roster, [], NOW + GRACE_MS + 1_999)).toEqual([]);
    expect(judge(roster, [], NOW + GRACE_MS + 2_000)).toHaveLength(3);
  });

  it("and remembered for the retention, then forgotten; those alive are kept", () => {
    const roster = chain();
    judge(roster, ["a", "b"], NOW);
    roster.hear(linkedWith("b", ["a"], { incarnation: NOW + 1 }), NOW);
    judge(roster, ["a"], NOW);
    judge(roster, ["a"], NOW + GRACE_MS);
    const retentionMs = 3_600_000;
    roster.forget(retentionMs, NOW + GRACE_MS + retentionMs);
    expect(stateOf(roster, "c")).toBe("lost");
    roster.forget(retentionMs, NOW + GRACE_MS + retentionMs + 1);
    expect(["a", "b", "c"].map((id) => stateOf(roster, id))).toEqual(["alive", "alive", undefined]);
  });
});

describe("two processes with one identity", () => {
  const say = (roster: Roster, session: string, incarnation: number) =>
    roster.hear(recordOf("a", { session: session.repeat(16), incarnation: NOW + incarnation }), NOW);

  it("are twins once the first speaks again behind the second", () => {
    const roster = rosterOf();
    const twins = [1, 2, 3].map((turn) => {
      say(roster, String(turn % 2), turn);
      return isTwin(roster.get("a")!, NOW);
    });
    expect(twins).toEqual([false, false, true]);
    expect(isTwin(roster.get("a")!, NOW + 120_000), "one of them has gone").toBe(false);
  });

  it("are twins also when the one with the lower incarnations speaks, which is passed on", () => {
    const roster = rosterOf();
    say(roster, "1", 5);
    say(roster, "2", 100);
    expect(say(roster, "1", 5), "an old record is no sign of life").toBe("known");
    expect(isTwin(roster.get("a")!, NOW)).toBe(false);
    expect([say(roster, "1", 6), say(roster, "1", 6)]).toEqual(["newer", "known"]);
    expect(isTwin(roster.get("a")!, NOW)).toBe(true);
    expect(roster.get("a")!.record.session).toBe("2".repeat(16));
  });

  it("are none when the goodbye of the one before comes late", () => {
    const roster = rosterOf();
    say(roster, "1", 1);
    say(roster, "2", 100);
    const goodbye = (incarnation: number) =>
      recordOf("a", { session: "1".repeat(16), incarnation: NOW + incarnation, left: true });
    expect(roster.hear(goodbye(2), NOW)).toBe("known");
    expect(roster.get("a")).toMatchObject({ state: "alive", twinAtMs: 0 });
    // Its clock was ahead: the living one outbids it.
    roster.hear(goodbye(200), NOW);
    expect(stateOf(roster, "a")).toBe("left");
    say(roster, "2", 201);
    expect(roster.get("a")).toMatchObject({ state: "alive", twinAtMs: 0 });
  });

  it("are none when one takes over from the other, time and again", () => {
    const roster = rosterOf();
    for (let session = 1; session < 9; session++) say(roster, String(session), session);
    expect(isTwin(roster.get("a")!, NOW)).toBe(false);
  });
});

describe("the fingerprint of a roster", () => {
  const ids = ["a", "b", "c"];
  const records = new Map(ids.map((id) => [id, recordOf(id)]));
  const rosterAt = (id: string) => {
    const roster = new Roster(() => id, 1_000);
    for (const other of ids.filter((each) => each !== id)) roster.hear(records.get(other)!, NOW);
    return roster;
  };
  const fingerprintAt = (id: string, roster = rosterAt(id)) => roster.fingerprint(records.get(id)!);

  it("is equal on nodes with the same members, and not on others", () => {
    expect(new Set(ids.map((id) => fingerprintAt(id))).size).toBe(1);
    const roster = rosterAt("a");
    roster.hear(recordOf("d"), NOW);
    expect(fingerprintAt("a", roster)).not.toBe(fingerprintAt("a"));
  });

  it("stays when a record is renewed, and changes with a session, a goodbye, a loss", () => {
    const seen = new Set([fingerprintAt("a")]);
    const roster = rosterAt("a");
    roster.hear(recordOf("b", { incarnation: NOW + 1, name: "another" }), NOW);
    expect([...seen]).toEqual([fingerprintAt("a", roster)]);
    roster.hear(recordOf("b", { incarnation: NOW + 2, session: "1".repeat(16) }), NOW);
    seen.add(fingerprintAt("a", roster));
    roster.hear(recordOf("b", { incarnation: NOW + 3, session: "1".repeat(16), left: true }), NOW);
    seen.add(fingerprintAt("a", roster));
    judge(roster, ["c"], NOW);
    judge(roster, [], NOW);
    judge(roster, [], NOW + GRACE_MS);
    seen.add(fingerprintAt("a", roster));
    expect(seen.size).toBe(4);
  });
});

describe("two rosters that are compared", () => {
  it("give what the other lacks, and want what the other has newer, this node's own record left out", () => {
    const ours = rosterOf(
      recordOf("same"),
      recordOf("newer here", { incarnation: NOW + 1 }),
      recordOf("old here"),
    );
    const theirs = new Roster(() => "peer", 1_000);
    for (const record of [
      recordOf("same"),
      recordOf("newer here"),
      recordOf("old here", { incarnation: NOW + 1 }),
      recordOf("only there"),
      recordOf("me", { incarnation: NOW + 9 }),
    ])
      theirs.hear(record, NOW);
    const { give, want } = ours.compare(theirs.entries(recordOf("peer"), NOW), NOW);
    expect(give.map(({ record }) => record.id)).toEqual(["newer here"]);
    expect(new Set(want)).toEqual(new Set(["old here", "only there", "peer"].map(memberHash)));
  });

  it("agree afterwards", () => {
    const ours = rosterOf(recordOf("a"), recordOf("b", { incarnation: NOW + 1 }));
    const peer = recordOf("peer");
    const theirs = new Roster(() => "peer", 1_000);
    for (const record of [recordOf("b"), recordOf("c"), self]) theirs.hear(record, NOW);
    const { give, want } = ours.compare(theirs.entries(peer, NOW), NOW);
    for (const { record } of give) theirs.hear(record, NOW);
    for (const hash of want) ours.hear(theirs.byHash(hash)?.record ?? peer, NOW);
    expect(ours.fingerprint(self)).toBe(theirs.fingerprint(peer));
    expect(ours.compare(theirs.entries(peer, NOW), NOW)).toEqual({ give: [], want: [] });
  });

  it("tell of those gone for a while only, so that the forgotten do not come back", () => {
    const roster = rosterOf(recordOf("a", { left: true }));
    const told = (nowMs: number) =>
      new Roster(() => "b", 1_000).compare(roster.entries(self, nowMs), nowMs).want;
    expect(told(NOW + 60_000)).toContain(memberHash("a"));
    expect(told(NOW + 600_000)).toEqual([memberHash("me")]);
  });
});

describe("a cluster larger than the roster", () => {
  const rosterIn = (
    count: number,
    membersMax: number,
    order: (index: number) => number = (index) => index,
  ) => {
    const roster = new Roster(() => "me", membersMax);
    for (let index = 0; index < count; index++) roster.hear(recordOf(`member ${order(index)}`), NOW);
    return roster;
  };

  it("is known by a sample: those with the smallest hashes, this node among them, in whatever order they came", () => {
    const ids = ["me", ...Array.from({ length: 300 }, (_, index) => `member ${index}`)];
    const hashes = ids.map(memberHash).sort();
    for (const roster of [rosterIn(300, 100), rosterIn(300, 100, (index) => 299 - index)]) {
      const known = [memberHash("me"), ...[...roster.all()].map(({ record }) => record.hash)];
      expect(known.sort()).toEqual(hashes.slice(0, 100));
      expect(roster.isSample).toBe(true);
    }
    expect(rosterIn(100, 100).isSample).toBe(false);
  });

  it("is a sample of others alone for a node whose own hash is not among the smallest", () => {
    const hashes = Array.from({ length: 300 }, (_, index) => memberHash(`member ${index}`)).sort();
    const self = Array.from({ length: 100 }, (_, index) => `self ${index}`).find(
      (id) => memberHash(id) > hashes[200]!,
    )!;
    const roster = new Roster(() => self, 100);
    for (let index = 0; index < 300; index++) roster.hear(recordOf(`member ${index}`), NOW);
    expect([...roster.all()].map(({ record }) => record.hash).sort()).toEqual(hashes.slice(0, 100));
  });

  it("leaves out who has no place, and does not ask for it", () => {
    const roster = rosterIn(300, 100);
    const last = Array.from({ length: 300 }, (_, index) => recordOf(`member ${index}`)).find(
      ({ id }) => !roster.get(id),
    )!;
    expect(roster.hear(last, NOW)).toBe("noRoom");
    const other = new Roster(() => last.id, 100);
    expect(roster.compare(other.entries(last, NOW), NOW).want).toEqual([]);
  });

  it.each([1_500, 3_000, 10_000])("is estimated within 10 %%: %d members", (count) => {
    const { total } = rosterIn(count - 1, LIMITS.rosterMembersMax);
    expect(Math.abs(total / count - 1)).toBeLessThan(0.1);
  });

  it("has members lost that renew their records no more: chains of links lead through members unknown here", () => {
    const roster = rosterIn(300, 100);
    const [silent, ...others] = roster.alive().map(({ record }) => record);
    expect(judge(roster, [], NOW + STALE_MS - 1)).toEqual([]);
    for (const record of others)
      roster.hear({ ...record, incarnation: record.incarnation + 1 }, NOW + STALE_MS);
    judge(roster, [], NOW + STALE_MS);
    judge(roster, [], NOW + STALE_MS + 60_000 - 1);
    expect(stateOf(roster, silent!.id)).toBe("lost");
  });

  it("that was made of forged members is whole again when they are gone, and nobody living is lost meanwhile", () => {
    const names = Array.from({ length: 10 }, (_, index) => `real ${index}`);
    const say = (index: number, incarnation: number) =>
      linkedWith(names[index]!, ["me", ...names], { incarnation: NOW + incarnation });
    const roster = new Roster(() => "me", 100);
    for (const index of names.keys()) roster.hear(say(index, 0), NOW);
    judge(roster, ["real 0"], NOW);
    for (let index = 0; index < 500; index++) roster.hear(recordOf(`forged ${index}`), NOW);
    expect(roster.isSample).toBe(true);
    const changes: string[] = [];
    for (let atMs = NOW; atMs <= NOW + 10 * STALE_MS; atMs += STALE_MS / 3) {
      for (const index of names.keys()) roster.hear(say(index, 1 + atMs - NOW), atMs);
      roster.linksChanged();
      changes.push(...judge(roster, ["real 0"], atMs));
    }
    expect([roster.isSample, roster.total]).toEqual([false, 11]);
    expect(names.map((id) => stateOf(roster, id))).toEqual(names.map(() => "alive"));
    expect(changes.filter((change) => change.startsWith("real"))).toEqual([]);
    // Chains of links are followed again.
    judge(roster, [], NOW + 20 * STALE_MS);
    expect(judge(roster, [], NOW + 21 * STALE_MS).sort()).toEqual(names.map((id) => `${id} lost`));
  });

  it("stays a sample while most places are taken", () => {
    const roster = rosterIn(300, 100);
    for (let turn = 1; turn < 30; turn++) {
      const atMs = NOW + turn * (STALE_MS / 3);
      for (const { record } of roster.alive())
        roster.hear({ ...record, incarnation: record.incarnation + 1 }, atMs);
      judge(roster, [], atMs);
    }
    expect(roster.isSample).toBe(true);
  });

  it("is estimated by those alive", () => {
    const roster = rosterIn(4_000, 1_000);
    for (const { record } of [...roster.all()].slice(0, 500))
      roster.hear(recordOf(record.id, { left: true, incarnation: NOW + 1 }), NOW);
    expect(Math.abs(roster.total / 2_000 - 1)).toBeLessThan(0.15);
  });
});

describe("a full roster", () => {
  it("is compared in a frame that its peer can read", () => {
    const roster = new Roster(() => "me", LIMITS.rosterMembersMax);
    for (let index = 0; index < LIMITS.rosterMembersMax; index++) roster.hear(recordOf(`${index}`), NOW);
    const members = roster.entries(self, NOW);
    expect(decodeFrame(encodeFrame({ t: "roster", members, part: false }))).toEqual({
      t: "roster",
      part: false,
      members: Uint8Array.from(members),
    });
    const { want } = rosterOf().compare(members, NOW);
    expect(
      decodeFrame(encodeFrame({ t: "records", records: [], lost: new Uint8Array(), want: packHashes(want) }))
        .t,
    ).toBe("records");
  });

  it("gives the places of those gone to newcomers: many restarts make no sample of a small cluster", () => {
    const roster = new Roster(() => "me", 100);
    for (let index = 0; index < 100; index++)
      roster.hear(recordOf(`gone ${index}`, { left: true }), NOW + index);
    for (let index = 0; index < 50; index++)
      expect(roster.hear(recordOf(`new ${index}`), NOW + 200)).toBe("new");
    expect([roster.isSample, roster.total, roster.size]).toEqual([false, 51, 100]);
    expect(roster.get("gone 0"), "the longest gone first").toBeUndefined();
    expect(roster.get("gone 99")).toBeDefined();
  });
});

describe("the tree of gossip", () => {
  /** Links of so many members, any two of which a chain of links connects, as pairs of their numbers. */
  const graphOf = (count: number, random: () => number) =>
    Array.from({ length: 3 * count }, (_, index): [number, number] => {
      const a = index < count - 1 ? index + 1 : Math.floor(random() * count);
      return [a, Math.floor(random() * (index < count - 1 ? a : count))];
    }).filter(([a, b]) => a !== b);

  it("is one: what members take for their links in it connects all of them without a circle", () => {
    const random = seededRandom("tree");
    for (let turn = 0; turn < 50; turn++) {
      const count = 2 + Math.floor(random() * 30);
      const graph = graphOf(count, random);
      const ids = Array.from({ length: count }, (_, index) => `${turn} ${index}`);
      const linksOf = (index: number) =>
        graph.flatMap(([a, b]) => (a === index ? [ids[b]!] : b === index ? [ids[a]!] : []));
      const records = ids.map((id, index) => linkedWith(id, linksOf(index)));
      const edges = ids.flatMap((id, index) => {
        const roster = new Roster(() => id, 1_000);
        for (const record of records) if (record.id !== id) roster.hear(record, NOW);
        const { tree } = roster.judge(new Set(linksOf(index).map(memberHash)), NOW, STALE_MS);
        return [...tree!].map((other) => [memberHash(id), other].sort().join());
      });
      // Where all are linked with each other nobody passes on.
      if (count <= 7 && ids.every((_, index) => new Set(linksOf(index)).size === count - 1)) {
        expect(edges).toEqual([]);
        continue;
      }
      const each = new Map<string, number>();
      for (const edge of edges) each.set(edge, (each.get(edge) ?? 0) + 1);
      expect(each.size, "a tree of n has n - 1 links").toBe(count - 1);
      expect(new Set(each.values()), "both ends agree").toEqual(new Set([2]));
    }
  });

  it("is not known where the roster is a sample", () => {
    const roster = new Roster(() => "me", 2);
    for (const id of ["a", "b", "c"]) roster.hear(linkedWith(id, ["me"]), NOW);
    expect(roster.judge(new Set([memberHash("a")]), NOW, STALE_MS).tree).toBeUndefined();
  });
});

describe("a node that was started anew under another id", () => {
  const LOCAL = "/ip4/127.0.0.1/tcp/4001";
  const host = (ip: string) => ({ name: "kitchen", addresses: [LOCAL, `/ip4/${ip}/tcp/4001`] });
  const later = (ms: number, ip = "10.0.0.1") => ({ ...host(ip), incarnation: NOW + ms });
  const own = (id: string, record: Fields) => ({
    record: recordOf(id, record),
    startIncarnation: record.incarnation!,
  });
  const shown = (roster: Roster, self = own("me", { name: "other", incarnation: NOW })) =>
    withoutPredecessors(roster.all(), self).map(({ record }) => record.id);

  function rosterOfPast(...heard: readonly [id: string, atMs: number, fields: Fields][]): Roster {
    const roster = rosterOf();
    for (const [id, atMs, fields] of heard) roster.hear(recordOf(id, fields), NOW + atMs);
    return roster;
  }

  const lose = (roster: Roster, ...ids: readonly string[]) => {
    for (const id of ids) roster.mark(roster.get(id)!, "lost", "heartbeatLost", NOW + 10_000);
    return roster;
  };

  it("stands for those before it", () => {
    const roster = rosterOfPast(["a", 0, later(0)], ["b", 3_000, later(3_000)], ["c", 6_000, later(6_000)]);
    expect(shown(lose(roster, "a", "b"))).toEqual(["c"]);
    expect(shown(lose(roster, "c"))).toEqual(["c"]);
  });

  it("stands for one that is known from the same frame", () => {
    const roster = rosterOfPast(["b", 0, later(3_000)], ["a", 0, later(0)]);
    expect(shown(lose(roster, "a"))).toEqual(["b"]);
  });

  it.each([
    ["lived at the same time, though it is gone", "a"],
    ["lived at the same time, and is there", "b"],
  ])("does not stand for one that %s", (_, lost) => {
    const roster = rosterOfPast(["a", 0, later(0)], ["b", 3_000, later(3_000)], ["a", 4_000, later(1)]);
    expect(shown(lose(roster, lost))).toEqual(["a", "b"]);
  });

  it("stands for those before it where it is this node, which hears of them later", () => {
    const roster = rosterOfPast(["a", 6_000, later(0)], ["b", 6_000, later(3_000)]);
    expect(shown(lose(roster, "a", "b"), own("me", later(5_000)))).toEqual([]);
  });

  it.each<readonly [string, string[], Fields, number]>([
    ["is alive", [], later(5_000), 0],
    ["spoke while this node lived", ["a"], later(5_000), 1],
    ["began after it", ["a"], later(-1), 0],
    ["lived on another machine", ["a"], later(5_000, "10.0.0.2"), 0],
    ["had another name", ["a"], { ...later(5_000), name: "attic" }, 0],
  ])("does not stand, where it is this node, for one that %s", (_, lost, self, spoken) => {
    const roster = rosterOfPast(["a", 6_000, later(0)]);
    if (spoken > 0) roster.hear(recordOf("a", later(spoken)), NOW + 7_000);
    expect(shown(lose(roster, ...lost), own("me", self))).toEqual(["a"]);
  });

  it("does not stand for one of its name on another machine", () => {
    const roster = rosterOfPast(["a", 0, later(0)], ["b", 3_000, later(3_000, "10.0.0.2")]);
    expect(shown(lose(roster, "a"))).toEqual(["a", "b"]);
  });
});
