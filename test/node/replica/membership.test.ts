import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeRecord, memberHash, packHashes, unpackHashes } from "../../../src/node/replica/member.js";
import type { ReplicaEffect } from "../../../src/node/replica/messages.js";
import type { Replica } from "../../../src/node/replica/replica.js";
import { decodeEntries, encodeEntries } from "../../../src/node/replica/roster.js";
import type { HelloFrame } from "../../../src/node/replica/wire.js";
import { seededRandom } from "../../../src/sim/determinism.js";
import {
  addressOf,
  Driver,
  frames,
  linkOf,
  makeReplica,
  NOW,
  only,
  reasons,
  recordOf,
} from "./replica-kit.js";

type Effects = readonly ReplicaEffect[];

const ids = (count: number, prefix = "peer") =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
const dials = (effects: Effects) => only(effects, "dial");
const stateOf = (driver: Driver, peer = "peer") => driver.replica.roster.get(peer)?.state;
const linkedWith = ({ replica }: Driver) => Array.from(replica.links.up(), ({ peer }) => peer);
const pingAll = (driver: Driver) => () => {
  for (const { peer } of [...driver.replica.links.up()]) driver.ping(peer);
};

/** A node that opens no rounds, which nobody would answer. */
const makeDriver = (options: Parameters<typeof makeReplica>[0] = {}) =>
  new Driver(makeReplica({ syncIntervalMs: 1e12, ...options }));

/** Lets the dials of these effects lead to links, and those that follow at once. @returns the peers */
function meetDialled(driver: Driver, effects: Effects): string[] {
  return dials(effects).flatMap(({ attempt, peer }) => {
    driver.connect(peer!, { attempt });
    return [peer!, ...meetDialled(driver, driver.greet(peer))];
  });
}

/** Lets the dials of these effects fail, and those that follow at once. @returns how many there were, by peer */
function failDials(driver: Driver, effects: Effects): (string | undefined)[] {
  return dials(effects).flatMap(({ attempt, peer }) => [
    peer,
    ...failDials(driver, driver.tell({ type: "dialFailed", attempt, reason: "refused", self: false })),
  ]);
}

/** A peer sends records, which are verified. */
const hearRecords = (driver: Driver, peer: string, ...records: ReturnType<typeof recordOf>[]): Effects =>
  driver.records(records, peer);

/** A peer gossips records of members with which it says to have links, and they with it. */
function hearNeighbours(driver: Driver, peer: string, ...others: ReturnType<typeof recordOf>[]): Effects {
  const links = new Set(others.map(({ id }) => memberHash(id)));
  const linked = others.map((record) =>
    recordOf(record.id, { ...record, links: new Set([memberHash(peer)]) }),
  );
  return hearRecords(driver, peer, recordOf(peer, { incarnation: NOW + 1, links }), ...linked);
}

/** Records that go out to a peer. */
const sent = (effects: Effects, peer = "peer") =>
  frames(effects, "records", peer).flatMap(({ records }) => records.map((bytes) => decodeRecord(bytes)!));

/** Records that a node sends of itself. */
const published = (effects: Effects, peer = "peer") => sent(effects, peer).filter(({ id }) => id === "me");

describe("two that link", () => {
  it("say hello, the one that dialled first", () => {
    const driver = makeDriver();
    const [hello, ...others] = only(driver.connect("peer", { attempt: 0 }), "send").map(({ frame }) => frame);
    expect(hello).toMatchObject({
      t: "hello",
      cluster: "test",
      nowMs: NOW,
      starting: true,
      links: 0,
      linked: false,
    });
    expect(others).toEqual([]);
    expect(frames(driver.greet(), "hello"), "once").toEqual([]);
    expect(linkedWith(driver)).toEqual(["peer"]);
  });

  it("say hello, the one that was dialled second", () => {
    const driver = makeDriver();
    expect(driver.connect("peer")).toEqual([]);
    const kinds = only(driver.greet(), "send").map(({ frame }) => frame.t);
    expect(kinds).toEqual(["hello", "summary"]);
  });

  it.each<[string, Partial<HelloFrame>, Parameters<typeof recordOf>[1], string]>([
    ["are of different clusters", { cluster: "other" }, {}, "clusterDiffers"],
    ["and one says that it is somebody else", {}, { id: "other" }, "badFrame"],
  ])("part when they %s", (_, hello, record, reason) => {
    const driver = makeDriver();
    expect(reasons(driver.meet("peer", hello, record))).toEqual([reason]);
    expect(linkedWith(driver)).toEqual([]);
    expect(driver.ping(), "who was cut is not heard").toEqual([]);
  });

  it("part when they speak different versions; both are told, and tell of it by name, until they meet no more", () => {
    const driver = makeDriver();
    driver.connect("peer");
    const record = recordOf("peer", { name: "attic", version: "9.9" });
    const effects = driver.tell({ type: "otherVersion", link: linkOf("peer"), v: 9, record });
    expect(frames(effects, "hello"), "the other side is to know").toHaveLength(1);
    expect(reasons(effects)).toEqual(["versionDiffers"]);
    expect(only(effects, "notify")).toEqual([{ type: "notify", changes: [{ type: "peer", peer: "peer" }] }]);
    const strangers = () => [...driver.replica.membership.strangers];
    expect(strangers()).toMatchObject([{ id: "peer", name: "attic", code: "versionDiffers" }]);
    expect(strangers()[0]!.reason).toContain("runs hubcast 9.9, protocol 9");
    driver.connect("other");
    driver.tell({ type: "otherVersion", link: linkOf("other"), v: 9, record });
    expect(
      strangers().map(({ name }) => name),
      "a record of somebody else is none",
    ).toEqual(["attic", "other"]);
    driver.pass(60_000);
    driver.connect("peer");
    driver.tell({ type: "otherVersion", link: linkOf("peer"), v: 9 });
    driver.pass(60_000);
    expect(strangers().map(({ id }) => id)).toEqual(["peer"]);
    driver.lose("peer");
    driver.meet("peer");
    expect(strangers(), "it was brought to this version").toEqual([]);
  });

  it.each<[string, (driver: Driver) => Effects]>([
    ["says anything before its hello", (driver) => driver.ping()],
    ["says hello twice", (driver) => [...driver.greet(), ...driver.greet()]],
    [
      "sends what is no frame",
      (driver) => [...driver.greet(), ...driver.tell({ type: "garbled", link: linkOf("peer") })],
    ],
  ])("part when one %s", (_, says) => {
    const driver = makeDriver();
    driver.connect("peer", { attempt: 0 });
    expect(reasons(says(driver))).toEqual(["badFrame"]);
  });

  it("part when one says nothing for 5 s", () => {
    const driver = makeDriver();
    driver.connect("peer", { attempt: 0 });
    expect(reasons(driver.pass(LIMITS.peerHandshakeMsMax - 1))).toEqual([]);
    expect(reasons(driver.pass(500))).toEqual(["heartbeatLost"]);
  });

  it("tell all others soon, and tell of a link that is lost at once", () => {
    const driver = makeDriver();
    driver.meet("peer");
    driver.pass(2_000, pingAll(driver));
    driver.meet("other");
    const came = published(driver.pass(250, pingAll(driver)));
    expect(came.map(({ links }) => [...links].sort())).toEqual([["other", "peer"].map(memberHash).sort()]);
    driver.lose("other");
    const went = published(driver.pass(60));
    expect(went.map(({ links }) => [...links])).toEqual([[memberHash("peer")]]);
    expect(went[0]!.incarnation).toBeGreaterThan(came[0]!.incarnation);
  });
});

describe("a member that goes", () => {
  it("has left when it said goodbye, and is not dialled any more", () => {
    const driver = makeDriver();
    driver.meet();
    hearRecords(driver, "peer", recordOf("peer", { left: true, incarnation: NOW + 1 }));
    driver.lose();
    expect(driver.replica.roster.get("peer")).toMatchObject({ state: "left", reason: "said goodbye" });
    expect(dials(driver.pass(60_000))).toEqual([]);
  });

  it("is lost 1.5 s after its only link, and subscribers are told", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(1_000, pingAll(driver));
    driver.lose("peer", "reset");
    expect(only(driver.pass(1_499), "notify")).toEqual([]);
    const told = only(driver.pass(500), "notify").flatMap(({ changes }) => changes);
    expect(told).toEqual([{ type: "peer", peer: "peer" }]);
    expect(driver.replica.roster.get("peer")).toMatchObject({ state: "lost", reason: "reset" });
  });

  it("is told of once while it is lost, although a record of its next session comes before it does", () => {
    const driver = makeDriver();
    driver.meet("peer");
    driver.meet("other");
    driver.lose("peer");
    driver.pass(2_000, pingAll(driver));
    expect(stateOf(driver)).toBe("lost");
    const next = recordOf("peer", { session: memberHash("next session"), incarnation: driver.nowMs });
    expect(only(hearRecords(driver, "other", next), "notify")).toEqual([]);
    expect(stateOf(driver)).toBe("lost");
  });

  it("is lost as soon when its link ends in the instant in which it was made", () => {
    const driver = makeDriver();
    driver.meet("other");
    driver.meet();
    driver.lose();
    driver.pass(2_000, pingAll(driver));
    expect(driver.replica.roster.get("peer")!.state).toBe("lost");
  });

  it("is not lost while a chain of links leads to it", () => {
    const driver = makeDriver();
    driver.meet("near");
    driver.meet("far");
    const link = (id: string, other: string) =>
      recordOf(id, { incarnation: NOW + 1, links: new Set([memberHash(other)]) });
    hearRecords(driver, "near", link("near", "far"), link("far", "near"));
    driver.pass(1_000, pingAll(driver));
    driver.lose("far");
    driver.pass(60_000, pingAll(driver));
    expect(stateOf(driver, "far")).toBe("alive");
  });

  it("is alive when it comes again", () => {
    const driver = makeDriver();
    driver.meet();
    driver.lose();
    driver.pass(2_000);
    driver.meet();
    expect(stateOf(driver)).toBe("alive");
  });

  it("hears goodbye from a node that stops, which dials nobody from then on", () => {
    const driver = makeDriver();
    driver.meet("one");
    driver.meet("two");
    const effects = driver.tell({ type: "stopped" });
    for (const peer of ["one", "two"])
      expect(published(effects, peer).map(({ left }) => left)).toEqual([true]);
    driver.lose("one");
    expect(dials(driver.pass(60_000))).toEqual([]);
  });
});

describe("signs of life", () => {
  it("are asked for, of those heard from every 5 s, and the answer tells round trip and clock", () => {
    const driver = makeDriver();
    driver.meet();
    const [ping] = frames(driver.pass(LIMITS.heartbeatMs + 250), "ping");
    driver.nowMs = ping!.atMs + 40;
    driver.hear({ t: "pong", atMs: ping!.atMs, nowMs: driver.nowMs + 5_000 });
    expect(driver.replica.links.with("peer")).toMatchObject({ roundTripMs: 40, clockOffsetMs: 5_020 });
    const pings = frames(driver.pass(10_000, pingAll(driver)), "ping");
    expect(pings).toHaveLength(2);
  });

  it("are given", () => {
    const driver = makeDriver();
    driver.meet();
    expect(
      frames(driver.hear({ t: "ping", atMs: 7, roster: driver.replica.membership.fingerprint }), "pong"),
    ).toEqual([{ t: "pong", atMs: 7, nowMs: NOW }]);
  });

  it.each([
    ["from the future", NOW + 1],
    ["from long ago", NOW - LIMITS.answerTimeoutMs - 1],
  ])("%s say nothing", (_, atMs) => {
    const driver = makeDriver();
    driver.meet();
    driver.hear({ t: "pong", atMs, nowMs: 0 });
    expect(driver.replica.links.with("peer")!.roundTripMs).toBeUndefined();
  });

  it("that fail to come cost the link after 3 s, and show the member as lost within 5 s", () => {
    const driver = makeDriver();
    driver.meet();
    expect(reasons(driver.pass(LIMITS.heartbeatLostMs - 1))).toEqual([]);
    expect(reasons(driver.pass(300))).toEqual(["heartbeatLost"]);
    driver.pass(1_700);
    expect([stateOf(driver), driver.nowMs]).toEqual(["lost", NOW + 4_999]);
  });

  it("are not missed while bytes of a long frame come, and this node goes on to ping", () => {
    const driver = makeDriver();
    driver.meet();
    const effects = driver.pass(8_000, () => driver.tell({ type: "progressed", link: linkOf("peer") }));
    expect(reasons(effects)).toEqual([]);
    expect(frames(effects, "ping").length).toBeGreaterThan(3);
    expect(reasons(driver.pass(LIMITS.heartbeatLostMs + 300)), "but not for ever").toEqual(["heartbeatLost"]);
  });

  it("may stay away for two round trips more, by that of the hello before the first pong", () => {
    const driver = makeDriver();
    driver.connect("peer");
    driver.nowMs += 1_400;
    driver.greet("peer");
    expect(reasons(driver.pass(LIMITS.heartbeatLostMs + 2_700))).toEqual([]);
    expect(reasons(driver.pass(500))).toEqual(["heartbeatLost"]);
  });

  it("may stay away for two round trips more from a peer that is slow", () => {
    const driver = makeDriver();
    driver.meet();
    const [ping] = frames(driver.pass(LIMITS.heartbeatMs + 250), "ping");
    driver.nowMs = ping!.atMs + 2_000;
    driver.hear({ t: "pong", atMs: ping!.atMs, nowMs: driver.nowMs });
    expect(reasons(driver.pass(LIMITS.heartbeatLostMs + 3_900))).toEqual([]);
    expect(reasons(driver.pass(600))).toEqual(["heartbeatLost"]);
  });

  it("keep a peer that has nothing else to say", () => {
    const driver = makeDriver();
    driver.meet();
    expect(reasons(driver.pass(14_000, pingAll(driver)))).toEqual([]);
  });

  it("are not missed from a link that is not read, because it asked for too much", () => {
    const driver = makeDriver();
    driver.meet();
    driver.replica.links.with("peer")!.budget.isHeldUp = true;
    expect(driver.replica.membership.tick(NOW + 100_000)).toEqual([]);
    expect(driver.replica.membership.tick(NOW + 100_250)).toEqual([]);
  });

  it("are asked for anew by a node that slept itself, before it gives anybody up", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(1_000, pingAll(driver));
    driver.nowMs += 30_000;
    const effects = driver.tell({ type: "woke" });
    expect(reasons(effects)).toEqual([]);
    expect(frames(effects, "ping")).toHaveLength(1);
    expect(stateOf(driver)).toBe("alive");
    expect(reasons(driver.pass(5_000)), "but not for ever").toEqual(["heartbeatLost"]);
  });
});

describe("a node dials", () => {
  const timeoutMs = LIMITS.peerHandshakeMsMax;
  const found = (driver: Driver, list: readonly string[]) =>
    list.flatMap((peer) => driver.tell({ type: "found", peer, addresses: [addressOf(peer)] }));

  it("who is found, at once, and the one with the smaller id goes first", () => {
    const driver = makeDriver({ id: "m" });
    const addresses = [addressOf("z")];
    expect(found(driver, ["z"])).toEqual([{ type: "dial", attempt: 1, addresses, timeoutMs, peer: "z" }]);
    expect(found(driver, ["a"])).toEqual([]);
    expect(dials(driver.pass(99))).toEqual([]);
    expect(dials(driver.pass(200)).map(({ peer }) => peer)).toEqual(["a"]);
  });

  it("an address of which the user does not know the id, and not itself", () => {
    const driver = makeDriver();
    const addresses = ["/dns4/node/tcp/1"];
    expect(dials(driver.tell({ type: "found", addresses }))).toEqual([
      { type: "dial", attempt: 1, addresses, timeoutMs },
    ]);
    expect(found(driver, ["me"])).toEqual([]);
    driver.tell({ type: "dialFailed", attempt: 1, reason: "self", self: true });
    expect(dials(driver.pass(60_000)), "an address of its own is forgotten").toEqual([]);
  });

  it("until it has the links that it wants, and then those not known yet one a second", () => {
    const driver = makeDriver();
    const list = ids(12, "p");
    expect(meetDialled(driver, found(driver, list))).toHaveLength(LIMITS.linksWanted);
    const more = dials(driver.pass(3_400, pingAll(driver)));
    expect(more.length).toBeGreaterThanOrEqual(3);
    expect(more.length).toBeLessThanOrEqual(4);
  });

  it("members that it hears of, until it has the links that it wants", () => {
    const driver = makeDriver();
    driver.meet("a");
    hearNeighbours(driver, "a", ...ids(20, "far").map((id) => recordOf(id)));
    const first = meetDialled(driver, driver.pass(250, pingAll(driver)));
    expect(first).toHaveLength(LIMITS.linksWanted - 1);
    expect(dials(driver.pass(3_000, pingAll(driver)))).toEqual([]);
  });

  it("in a large cluster half of them at once, and the rest later, unless others come to it meanwhile", () => {
    for (const comers of [0, 3]) {
      const driver = makeDriver();
      driver.meet("a");
      hearNeighbours(driver, "a", ...ids(100, "far").map((id) => recordOf(id)));
      const met = meetDialled(driver, driver.pass(250, pingAll(driver)));
      expect(met).toHaveLength(LIMITS.linksWanted / 2 - 1);
      expect(dials(driver.pass(3_000, pingAll(driver)))).toEqual([]);
      for (const peer of ids(comers, "comer")) driver.accept(peer);
      const later = Array.from({ length: 80 }, () => meetDialled(driver, driver.pass(250, pingAll(driver))));
      expect(later.flat()).toHaveLength(LIMITS.linksWanted / 2 - comers);
    }
  });

  it("for a lost link only later in a large cluster, unless half of its links are missing", () => {
    const soonAfter = (members: number, lost: number) => {
      const driver = makeDriver();
      const peers = ids(LIMITS.linksWanted);
      for (const peer of peers) driver.meet(peer);
      hearNeighbours(driver, peers[0]!, ...ids(members, "far").map((id) => recordOf(id)));
      driver.pass(30_000, pingAll(driver));
      const begun = peers.slice(-lost).flatMap((peer) => dials(driver.lose(peer)));
      const soon = [...begun, ...dials(driver.pass(1_000, pingAll(driver)))].length;
      return [soon > 0, dials(driver.pass(12_000, pingAll(driver))).length > 0];
    };
    expect(soonAfter(20, 1)).toEqual([true, true]);
    expect(soonAfter(200, 1)).toEqual([false, true]);
    expect(soonAfter(200, LIMITS.linksWanted / 2 + 1)).toEqual([true, true]);
  });

  it("half of the links that it wants itself, though others have dialled it", () => {
    const driver = makeDriver();
    const peers = ids(LIMITS.linksWanted, "a");
    for (const peer of peers) driver.accept(peer);
    const effects = driver.pass(250, pingAll(driver));
    expect(dials(effects), "it is linked with all").toEqual([]);
    hearNeighbours(driver, "a 0", ...ids(9, "far").map((id) => recordOf(id)));
    const dialled = meetDialled(driver, driver.pass(250, pingAll(driver)));
    expect(dialled).toHaveLength(LIMITS.linksWanted / 2);
  });

  it("one after the other, and beside a silent one after a moment, which is longer where the node is late", () => {
    const driver = makeDriver();
    expect(dials(found(driver, ids(9, "p")))).toHaveLength(1);
    expect(dials(driver.pass(249))).toEqual([]);
    expect(dials(driver.pass(2_000))).toHaveLength(LIMITS.linksWanted - 1);
    const late = makeDriver();
    found(late, ids(9, "p"));
    let dialled = 0;
    for (let turn = 0; turn < 10; turn++) {
      late.nowMs += 1_000;
      dialled += dials(late.tell({ type: "woke" })).length;
    }
    expect(dialled).toBeLessThan(4);
  });

  it("a silent address that the user named less often where the node is late: all who join by it share its time", () => {
    const perMinute = (lateMs: number) => {
      const driver = makeDriver();
      let dialled = failDials(driver, driver.tell({ type: "found", addresses: [addressOf("a")] })).length;
      while (driver.nowMs < NOW + 300_000) {
        driver.nowMs += 250 + lateMs;
        dialled += failDials(driver, driver.tell({ type: "woke" })).length;
      }
      return dialled / 5;
    };
    expect(perMinute(0)).toBeGreaterThan(15);
    expect(perMinute(1_000)).toBeLessThan(8);
  });

  it("first whom their records show to have room", () => {
    const full = new Set(ids(LIMITS.linksMax - 1, "x").map(memberHash));
    const dialled = ids(40, "seed").map((seed) => {
      const driver = makeDriver({ random: seededRandom(seed) });
      driver.meet("a");
      const records = ids(9, "far").map((id) => recordOf(id, { links: new Set([memberHash("a"), ...full]) }));
      const links = new Set(["roomy", ...ids(9, "far")].map(memberHash));
      const roomy = recordOf("roomy", { links: new Set([memberHash("a")]) });
      hearRecords(driver, "a", recordOf("a", { incarnation: NOW + 1, links }), ...records, roomy);
      return dials(driver.pass(250, pingAll(driver)))[0]!.peer;
    });
    expect(dialled.filter((peer) => peer === "roomy").length, "of 40; by chance 4").toBeGreaterThan(9);
  });

  it("those that it has only heard of, when its last link is gone: it may be their only way back, and theirs", () => {
    const driver = makeDriver();
    driver.connect("peer");
    driver.greet("peer");
    failDials(driver, hearRecords(driver, "peer", recordOf("a"), recordOf("b")));
    const first = failDials(driver, driver.lose("peer"));
    for (let step = 0; step < 20; step++) first.push(...failDials(driver, driver.pass(250)));
    expect(first).toEqual(expect.arrayContaining(["a", "b"]));
    // They are lost by then, and nobody else knows them.
    const later = Array.from({ length: 240 }, () => failDials(driver, driver.pass(250))).flat();
    expect(stateOf(driver, "a")).toBe("lost");
    const tries = Array.from({ length: 240 }, () => failDials(driver, driver.pass(250))).flat();
    expect(new Set(tries)).toEqual(new Set(["a", "b", "peer"]));
    expect(later.length + tries.length, "of 2 min").toBeLessThan(120);
  });

  it("what is configured for good, at least every 3 s", () => {
    const driver = makeDriver();
    const at: number[] = [];
    const note = (effects: Effects) =>
      dials(effects).forEach(({ attempt }) => {
        at.push(driver.nowMs);
        note(driver.tell({ type: "dialFailed", attempt, reason: "refused", self: false }));
      });
    note(driver.tell({ type: "found", addresses: [addressOf("a")] }));
    for (let second = 0; second < 3_600; second++) note(driver.pass(1_000));
    const gaps = at.slice(1).map((each, index) => each - at[index]!);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_000);
    expect(gaps.at(-1)).toBeGreaterThan(1_000);
    expect(at.length).toBeGreaterThan(1_000);
  });

  it("what a dial led to that never ended, after 10 s", () => {
    const driver = makeDriver();
    const [first] = dials(driver.tell({ type: "found", addresses: [addressOf("a")] }));
    expect(dials(driver.pass(9_000))).toEqual([]);
    const again = [...Array(20)].flatMap(() => dials(driver.pass(250)));
    expect(again).toHaveLength(1);
    expect(again[0]!.addresses).toEqual(first!.addresses);
    // The one that was given up comes up late: it serves.
    driver.connect("a", { attempt: first!.attempt });
    driver.greet("a");
    expect(driver.replica.links.with("a")).toBeDefined();
  });

  it("what answers and never says hello no more often than what does not answer", () => {
    const driver = makeDriver();
    let count = 0;
    const note = (effects: Effects) =>
      dials(effects).forEach(({ attempt }) => {
        count++;
        driver.connect("stranger", { attempt });
        driver.greet("stranger", { cluster: "another" });
        driver.lose("stranger");
      });
    note(driver.tell({ type: "found", addresses: [addressOf("stranger")] }));
    for (let step = 0; step < 600; step++) note(driver.pass(100));
    expect(count).toBeGreaterThan(15);
    expect(count).toBeLessThan(60);
  });

  it("what others named a few times, ever later, and then gives up", () => {
    const driver = makeDriver();
    driver.meet("a");
    const at: number[] = [];
    const note = (effects: Effects) => {
      for (const peer of failDials(driver, effects)) if (peer === "x") at.push(driver.nowMs);
    };
    note(driver.hear({ t: "refer", peers: [{ id: "x", addresses: [addressOf("x")] }], release: false }, "a"));
    for (let step = 0; step < 6_000; step++) note(driver.pass(100, pingAll(driver)));
    expect(at).toHaveLength(5);
    expect(at[4]! - at[0]!).toBeGreaterThan(1_000);
  });

  it("a member that was given up, when a chain of links leads to it again", () => {
    const driver = makeDriver();
    driver.meet("a");
    const tries = (seconds: number) => {
      let count = 0;
      for (let step = 0; step < 10 * seconds; step++)
        for (const peer of failDials(driver, driver.pass(100, pingAll(driver)))) if (peer === "x") count++;
      return count;
    };
    const linked = { links: new Set([memberHash("a"), memberHash("me")]) };
    const hearsOf = (incarnation: number, neighbours: readonly string[]) =>
      hearRecords(
        driver,
        "a",
        recordOf("a", { incarnation, links: new Set(["me", ...neighbours].map(memberHash)) }),
        recordOf("x", { ...linked, incarnation }),
      );
    hearsOf(NOW + 1, ["x"]);
    expect(tries(300)).toBe(5);
    hearsOf(NOW + 2, []);
    tries(3);
    expect(stateOf(driver, "x")).toBe("lost");
    hearsOf(NOW + 3, ["x"]);
    expect(stateOf(driver, "x")).toBe("alive");
    expect(tries(60)).toBeGreaterThan(1);
  });

  it("with links enough, one lost member every 5 to 10 s, for as long as it is remembered", () => {
    const driver = makeDriver();
    const near = ids(LIMITS.linksWanted, "near");
    for (const peer of near) driver.meet(peer);
    driver.meet("lost");
    driver.lose("lost");
    const at: number[] = [];
    for (let step = 0; step < 36_000; step++)
      for (const peer of failDials(driver, driver.pass(100, pingAll(driver))))
        if (peer === "lost" && stateOf(driver, "lost") === "lost") at.push(driver.nowMs);
    const gaps = at.slice(1).map((each, index) => each - at[index]!);
    expect(Math.min(...gaps)).toBeGreaterThan(4_500);
    expect(Math.max(...gaps)).toBeLessThan(11_000);
    expect(at.length).toBeGreaterThan(300);
  });
});

describe("an address that a peer tells", () => {
  const refer = (driver: Driver, from: string, id: string, addresses: readonly string[]) =>
    driver.hear({ t: "refer", peers: [{ id, addresses }], release: true }, from);

  it("is not dialled when it is a name, which whoever resolves it could lead anywhere", () => {
    const driver = makeDriver();
    driver.meet("a");
    const addresses = ["/dns4/intranet/tcp/80", "/dns6/intranet/tcp/80", "/dnsaddr/x", "/ip4/10.0.0.9/tcp/1"];
    expect(dials(refer(driver, "a", "x", addresses))).toMatchObject([{ addresses: ["/ip4/10.0.0.9/tcp/1"] }]);
    hearNeighbours(driver, "a", recordOf("y", { addresses: addresses.slice(0, 3) }));
    expect(dials(driver.pass(10_000, pingAll(driver)))).toEqual([]);
  });

  it.each([
    "/dns4/intranet/tcp/80",
    "/dnsaddr/intranet",
    "intranet:80",
    "/ip4/intranet/tcp/80",
    "/ip4/10.0.0.9/udp/53",
    "/ip4/10.0.0.9/tcp/80/http",
    "/ip6zone/eth0/ip6/fe80::1/tcp/80",
    "/ip4/10.0.0.9/tcp/70000",
    "/ip4/127.0.0.2/tcp/1",
    "/ip4/127.1/tcp/1",
    "/ip4/0.0.0.0/tcp/1",
    "/ip6/::/tcp/1",
    "/ip6/0:0:0:0:0:0:0:1/tcp/1",
    "/ip6/::ffff:127.0.0.1/tcp/1",
    "/unix/tmp/socket",
    "",
  ])("is not dialled when it is no IP of another host and a TCP port: %s", (address) => {
    const driver = makeDriver();
    driver.meet("a");
    expect(dials(refer(driver, "a", "x", [address]))).toEqual([]);
  });

  it("is one target, however it is spelt", () => {
    const driver = makeDriver();
    driver.meet("a");
    const spellings = [
      "2001:db8::1",
      "2001:DB8:0::1",
      "2001:db8:0:0:0:0:0:1",
      "2001:0db8::0001",
      "2001:db8::0:1",
    ];
    const dialled = spellings.flatMap((ip, index) =>
      failDials(driver, refer(driver, "a", `x ${index}`, [`/ip6/${ip}/tcp/80/p2p/x${index}`])),
    );
    expect(dialled).toHaveLength(3);
  });

  it.each([
    ["this host, when the peer is on another", "/ip4/10.0.0.1/tcp/9", []],
    [
      "this host, when the peer is on it, too",
      "/ip4/127.0.0.1/tcp/9",
      ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"],
    ],
  ])("is dialled as one on %s: from %s", (_, address, expected) => {
    const driver = makeDriver();
    driver.connect("a", { attempt: 0, address });
    driver.greet("a");
    const addresses = ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"];
    expect(dials(refer(driver, "a", "x", addresses)).flatMap((dial) => dial.addresses)).toEqual(expected);
    hearNeighbours(driver, "a", recordOf("y", { addresses: ["/ip4/127.0.0.2/tcp/1"] }));
    const own = dials(driver.pass(1_000, pingAll(driver))).filter(({ peer }) => peer === "y");
    expect(own.length > 0).toBe(expected.length > 0);
  });

  it("is dialled rarely, however many ids say that they are there, and whoever says so", () => {
    const driver = makeDriver();
    const victim = "/ip4/192.0.2.1/tcp/80";
    let count = 0;
    for (let step = 0; step < 600; step++) {
      const liar = `liar ${step}`;
      const named = Array.from({ length: LIMITS.referredMax }, (_, n) => `ghost${step}n${n}`);
      const effects = [
        ...driver.accept(liar, { links: 1 }),
        ...driver.hear(
          {
            t: "refer",
            peers: named.map((id) => ({ id, addresses: [`${victim}/p2p/${id}`] })),
            release: true,
          },
          liar,
        ),
        ...hearNeighbours(driver, liar, recordOf(`record ${step}`, { addresses: [victim] })),
        ...driver.pass(100, pingAll(driver)),
      ];
      for (const { attempt, addresses } of dials(effects)) {
        if (addresses.some((address) => address.startsWith(victim))) count++;
        driver.tell({ type: "dialFailed", attempt, reason: "refused", self: false });
      }
      driver.lose(liar);
    }
    expect(count).toBeGreaterThan(0);
    // Three at once, and one every two seconds.
    expect(count).toBeLessThanOrEqual(3 + 30);
  });

  it("counts for the one who told: one introducer has few dials in a second, a crowd of them not many more", () => {
    const flood = (liars: number) => {
      const driver = makeDriver();
      let connects = 0;
      for (let step = 0; step < 600; step++) {
        const liar = `liar ${step % liars}`;
        const peers = ids(LIMITS.referredMax, `ghost ${step}`).map((id) => ({
          id,
          addresses: Array.from({ length: 32 }, (_, n) => `/ip4/192.0.2.${n}/tcp/${1 + step}`),
        }));
        driver.accept(liar, { links: 1 });
        const effects = [
          ...driver.hear({ t: "refer", peers, release: true }, liar),
          ...driver.pass(100, pingAll(driver)),
        ];
        driver.lose(liar);
        for (const { attempt, addresses } of dials(effects)) {
          connects += addresses.length;
          driver.tell({ type: "dialFailed", attempt, reason: "refused", self: false });
        }
      }
      return connects;
    };
    expect(flood(1)).toBeLessThanOrEqual(128 + 8 * 61);
    expect(flood(600)).toBeLessThanOrEqual(256 + 32 * 61);
  });

  it("is dialled at a bounded rate where mDNS names thousands that fail at once", () => {
    const driver = makeDriver();
    const fail = (effects: readonly ReplicaEffect[]): number => {
      const begun = dials(effects);
      const failed = begun.map(({ attempt }) =>
        fail(driver.tell({ type: "dialFailed", attempt, reason: "refused", self: false })),
      );
      return failed.reduce((sum, count) => sum + count, begun.length);
    };
    let count = 0;
    for (const id of ids(2_000, "ghost"))
      count += fail(driver.tell({ type: "found", peer: id, addresses: ["/ip4/192.0.2.1/tcp/1"] }));
    expect(count).toBeLessThanOrEqual(8);
    for (let step = 0; step < 40; step++) count += fail(driver.pass(250));
    expect(count).toBeGreaterThan(32 * 8);
    expect(count).toBeLessThanOrEqual(8 + 32 * 10);
  });

  it("is dialled less often the more addresses mDNS names of each", () => {
    const driver = makeDriver();
    const addresses = Array.from({ length: 24 }, (_, n) => `/ip4/192.0.2.${n}/tcp/1`);
    for (const id of ids(200, "ghost")) driver.tell({ type: "found", peer: id, addresses });
    let count = 0;
    for (let step = 0; step < 40; step++) count += failDials(driver, driver.pass(250)).length;
    // 24 addresses cost as much as 6 attempts.
    expect(count).toBeGreaterThan(32);
    expect(count).toBeLessThanOrEqual((8 + 32 * 10) / 6 + 1);
  });

  it("has its turn behind thousands that mDNS names and that fail at once", () => {
    const driver = makeDriver();
    const dialled = new Set<string | undefined>();
    for (const id of [...ids(600, "ghost"), "kitchen"])
      for (const peer of failDials(
        driver,
        driver.tell({ type: "found", peer: id, addresses: ["/ip4/192.0.2.1/tcp/1"] }),
      ))
        dialled.add(peer);
    for (let step = 0; step < 4 * 20; step++)
      for (const peer of failDials(driver, driver.pass(250))) dialled.add(peer);
    expect(dialled).toContain("kitchen");
    expect(dialled.size).toBe(601);
  });

  it("has its turn behind each sender of mDNS, and not behind all that these name", () => {
    const driver = makeDriver();
    const addresses = ["/ip4/192.0.2.1/tcp/1"];
    const dialled = new Set<string | undefined>();
    const dial = (effects: Effects) => {
      for (const peer of failDials(driver, effects)) dialled.add(peer);
    };
    for (const [index, peer] of ids(600, "ghost").entries())
      dial(driver.tell({ type: "found", peer, addresses, introducer: `sender-${index % 100}` }));
    dial(driver.tell({ type: "found", peer: "kitchen", addresses, introducer: "kitchen" }));
    // 100 senders, 32 attempts a second.
    for (let step = 0; step < 4 * 4; step++) dial(driver.pass(250));
    expect(dialled).toContain("kitchen");
    expect(dialled.size).toBeLessThan(200);
  });

  it("is dialled once a second where a record alone says that a member is there, ever less when it is lost, and then no more", () => {
    const driver = makeDriver();
    driver.meet("liar");
    const ghosts = ids(100, "ghost").map((id) => recordOf(id, { links: new Set([memberHash("liar")]) }));
    const counted = [failDials(driver, hearRecords(driver, "liar", ...ghosts)).length];
    for (const seconds of [10, 120, 600]) {
      const steps = Array.from({ length: 4 * seconds }, () =>
        failDials(driver, driver.pass(250, pingAll(driver))),
      );
      counted.push(steps.flat().length);
    }
    const [atOnce, alive, lost, later] = counted;
    expect(stateOf(driver, "ghost 0")).toBe("lost");
    expect(atOnce! + alive!, "of 10 s").toBeLessThan(22);
    expect(lost, "of 2 min").toBeLessThan(130);
    expect(later, "of 10 min").toBeLessThan(10);
  });

  it("leads two groups to each other that have lost whom both knew before a chain of links led from one to the other", () => {
    const driver = makeDriver();
    driver.meet("both");
    driver.meet("near");
    failDials(driver, hearRecords(driver, "both", recordOf("far")));
    failDials(driver, driver.lose("both"));
    const steps = Array.from({ length: 12 }, () => failDials(driver, driver.pass(250, pingAll(driver))));
    expect(steps.flat()).toContain("far");
  });

  it("is not heard from a peer that dialled this node and has not said hello", () => {
    const driver = makeDriver();
    driver.connect("stranger");
    expect(reasons(refer(driver, "stranger", "x", [addressOf("x")]))).toEqual(["badFrame"]);
  });

  it("that is silent keeps none that the user named from being dialled", () => {
    const driver = makeDriver();
    driver.meet("liar");
    for (const id of ids(40, "ghost")) refer(driver, "liar", id, [addressOf(id)]);
    driver.pass(5_000, pingAll(driver));
    const configured = driver.tell({ type: "found", addresses: ["/dns4/node/tcp/1"] });
    expect([...dials(configured), ...dials(driver.pass(1_000, pingAll(driver)))]).toMatchObject([
      { addresses: ["/dns4/node/tcp/1"] },
    ]);
  });
});

describe("a node that is asked for a link", () => {
  /** Places that others can take while a node has dialled nobody: it keeps those for its own dials. */
  const open = LIMITS.linksMax - LIMITS.linksWanted / 2;

  it("takes in newcomers while it has room, and keeps room for those that it dials", () => {
    const driver = makeDriver();
    for (const peer of ids(20)) driver.accept(peer);
    expect(linkedWith(driver)).toEqual(ids(open));
    for (const peer of ids(3, "own")) driver.meet(peer);
    expect(linkedWith(driver)).toHaveLength(LIMITS.linksMax);
  });

  it("fills all its places once it has dialled its half", () => {
    const driver = makeDriver();
    for (const peer of ids(LIMITS.linksWanted / 2, "own")) driver.meet(peer);
    for (const peer of ids(20)) driver.accept(peer);
    expect(linkedWith(driver)).toHaveLength(LIMITS.linksMax);
  });

  it("refers those beyond to other members", () => {
    const driver = makeDriver();
    for (const peer of ids(open)) driver.accept(peer);
    const effects = driver.accept("newcomer");
    expect(reasons(effects)).toEqual(["full"]);
    const [refer] = frames(effects, "refer", "newcomer");
    expect(refer!.release).toBe(false);
    expect(refer!.peers.length).toBeGreaterThan(3);
    for (const { id, addresses } of refer!.peers) {
      expect(ids(open)).toContain(id);
      expect(addresses).toEqual([addressOf(id)]);
    }
    expect(stateOf(driver, "newcomer"), "it is not a member yet").toBeUndefined();
  });

  it("refers newcomers to each other, for 10 s, so that a crowd does not go where all places are taken", () => {
    const driver = makeDriver();
    for (const peer of ids(open)) driver.accept(peer);
    const turnedAway = ids(30, "newcomer");
    const referred = turnedAway.flatMap((peer) => frames(driver.accept(peer), "refer", peer)[0]!.peers);
    expect(referred.filter(({ id }) => turnedAway.includes(id)).length).toBeGreaterThan(30);
    expect(referred.every(({ id, addresses }) => addresses[0] === addressOf(id))).toBe(true);
    driver.pass(10_001, pingAll(driver));
    const [late] = frames(driver.accept("late"), "refer", "late");
    expect(ids(open)).toEqual(expect.arrayContaining(late!.peers.map(({ id }) => id)));
  });

  it("lets another go for one that has no link at all, at most one a second, and refers it", () => {
    const driver = makeDriver();
    for (const peer of ids(open)) driver.accept(peer);
    const links = new Set(ids(open).map(memberHash));
    for (const peer of ids(open)) hearRecords(driver, peer, recordOf(peer, { incarnation: NOW + 1, links }));
    const alone = (id: string) => driver.accept(id, { links: 0 });
    const effects = alone("alone 0");
    expect(reasons(effects)).toEqual(["released"]);
    const [released] = only(effects, "disconnect");
    expect(frames(effects, "refer", released!.peer)).toMatchObject([{ release: true }]);
    expect(linkedWith(driver)).toContain("alone 0");
    expect(reasons(alone("alone 1"))).toEqual(["full"]);
    driver.pass(1_000, pingAll(driver));
    expect(reasons(alone("alone 2"))).toEqual(["released"]);
    expect(linkedWith(driver)).toHaveLength(open);
  });

  it("lets nobody go who has no other link, and would be out of reach", () => {
    const driver = makeDriver();
    for (const peer of ids(open)) driver.accept(peer);
    const claimed = recordOf(ids(1)[0]!, { incarnation: NOW + 1, links: new Set(ids(open).map(memberHash)) });
    hearRecords(driver, claimed.id, claimed);
    expect(reasons(driver.accept("alone", { links: 0 }))).toEqual(["full"]);
  });

  it("never lets go one that it dialled: 64 ids that want all its places do not get them", () => {
    const driver = makeDriver();
    const own = ids(LIMITS.linksWanted / 2, "own");
    for (const peer of own) driver.meet(peer);
    for (let step = 0; step < 640; step++) {
      const sybil = `sybil ${step % 64}`;
      if (!driver.replica.links.with(sybil)) driver.accept(sybil, { links: 0 });
      driver.pass(100, pingAll(driver));
      for (const peer of own) expect(linkedWith(driver)).toContain(peer);
    }
    expect(linkedWith(driver)).toEqual(expect.arrayContaining(own));
    expect(linkedWith(driver).length).toBeLessThanOrEqual(LIMITS.linksMax);
  });

  it("still dials the members that it knows when 64 ids have come first", () => {
    const driver = makeDriver();
    for (const peer of ids(64, "sybil")) driver.accept(peer, { links: 0 });
    const effects = driver.tell({ type: "found", peer: "friend", addresses: [addressOf("friend")] });
    expect(
      [...dials(effects), ...dials(driver.pass(500, pingAll(driver)))].map(({ peer }) => peer),
    ).toContain("friend");
    driver.meet("friend");
    expect(linkedWith(driver)).toContain("friend");
  });

  it("and was referred elsewhere itself dials those, and not the one that is full for a while", () => {
    const driver = makeDriver();
    const seed = [addressOf("seed")];
    const [first] = dials(driver.tell({ type: "found", addresses: seed }));
    driver.connect("seed", { attempt: first!.attempt });
    const peers = ids(2, "other").map((id) => ({ id, addresses: [addressOf(id)] }));
    const effects = driver.hear({ t: "refer", peers, release: false }, "seed");
    expect(reasons(effects)).toEqual([]);
    driver.lose("seed");
    expect(failDials(driver, effects)).toEqual(["other 0", "other 1"]);
    const again = (effects: Effects) => dials(effects).filter(({ addresses }) => addresses[0] === seed[0]);
    expect(again(driver.pass(9_900))).toEqual([]);
    expect(again(driver.pass(1_000)), "but for good: the user named it").toHaveLength(1);
  });
});

describe("a peer that breaks a rule", () => {
  const breach = (driver: Driver) => {
    driver.meet();
    driver.tell({ type: "garbled", link: linkOf("peer") });
    driver.lose();
  };

  it("is refused for a minute, twice as long each time, an hour at most", () => {
    const driver = makeDriver();
    for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
      breach(driver);
      expect(driver.replica.admits("peer", driver.nowMs + minutes * 60_000 - 1)).toBe(false);
      expect(driver.replica.admits("peer", driver.nowMs + minutes * 60_000)).toBe(true);
      driver.nowMs += minutes * 60_000;
    }
  });

  it("is not dialled in that time", () => {
    const driver = makeDriver();
    driver.tell({ type: "found", peer: "peer", addresses: [addressOf("peer")] });
    driver.tell({ type: "dialFailed", attempt: 1, reason: "refused", self: false });
    breach(driver);
    expect(dials(driver.pass(59_000))).toEqual([]);
    expect(dials(driver.pass(10_000)).length).toBeGreaterThan(0);
  });

  it.each([
    ["leaves an answer overdue", (driver: Driver) => driver.pass(4_000), "heartbeatLost"],
    ["gives what was not wanted", (driver: Driver) => driver.receive(1, []), "unwantedItem"],
    ["is of another cluster", (driver: Driver) => driver.meet("x", { cluster: "other" }), "clusterDiffers"],
  ])("is cut and no more when it %s", (_, act, reason) => {
    const driver = makeDriver();
    driver.meet();
    expect(reasons(act(driver))).toEqual([reason]);
    expect(["peer", "x"].map((id) => driver.replica.admits(id, driver.nowMs))).toEqual([true, true]);
  });
});

describe("a record of this node that it did not write", () => {
  const ofMe = (session: string, incarnation: number) =>
    recordOf("me", { session: session.repeat(16), incarnation });

  it("of a run before is outbid, once, and it is no twin however often it is heard", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(2_000, pingAll(driver));
    const before = ofMe("1", NOW + 3_600_000);
    const [own] = published(hearRecords(driver, "peer", before));
    expect(own!.incarnation).toBe(before.incarnation + 1);
    driver.meet("other");
    driver.tell({
      ...{ type: "recordsReceived", link: linkOf("other"), want: new Uint8Array(), bytes: 1 },
      lost: new Uint8Array(),
      records: [before],
    });
    expect(driver.replica.membership.twin(driver.nowMs)).toBeUndefined();
  });

  it("of a run before with a lower incarnation is nothing new", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(2_000, pingAll(driver));
    expect(published(hearRecords(driver, "peer", ofMe("1", NOW - 1)))).toEqual([]);
  });

  it("is outbid again when it is the goodbye of a run before, which is no twin", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(2_000, pingAll(driver));
    hearRecords(driver, "peer", ofMe("1", NOW + 3_600_000));
    driver.pass(1_000, pingAll(driver));
    const goodbye = recordOf("me", { ...ofMe("1", NOW + 3_600_010), left: true });
    const [own] = published(hearRecords(driver, "peer", goodbye));
    expect(own!.incarnation).toBe(goodbye.incarnation + 1);
    expect(driver.replica.membership.twin(driver.nowMs)).toBeUndefined();
  });

  it("of a process that speaks again is a twin's, and the two do not outbid each other", () => {
    const driver = makeDriver();
    driver.meet();
    driver.pass(2_000, pingAll(driver));
    hearRecords(driver, "peer", ofMe("1", NOW + 10_000));
    expect(published(hearRecords(driver, "peer", ofMe("1", NOW + 20_000)))).toEqual([]);
    const { membership } = driver.replica;
    expect(membership.twin(driver.nowMs)).toMatchObject({
      record: { session: "1".repeat(16) },
      sinceMs: driver.nowMs,
    });
    expect(membership.twin(driver.nowMs + 120_000), "until it is silent").toBeUndefined();
  });
});

it("of twins the one that is linked stays; the other is told of it, and all others of both", () => {
  const driver = makeDriver();
  const of = (session: string, incarnation: number) =>
    recordOf("peer", {
      ...{ session: session.repeat(16), incarnation: NOW + incarnation },
      links: new Set([memberHash("other")]),
    });
  const [first, second, third] = [of("1", 1), of("2", 2), of("1", 3)] as const;
  const come = (link: number, record: typeof first): Effects => {
    driver.tell({ type: "linkUp", link, peer: "peer", address: addressOf("peer") });
    const { hello } = driver.replica.links.with("other")!;
    return driver.tell({ type: "helloReceived", link, frame: hello!, record });
  };
  driver.meet("other");
  come(1, first);
  expect(reasons(come(2, second)), "started anew").toEqual(["alreadyLinked"]);
  expect(driver.replica.links.with("peer")!.number).toBe(2);
  const effects = come(3, third);
  expect(driver.replica.links.with("peer")!.number).toBe(2);
  const said = only(effects, "send").filter(({ link }) => link === 3);
  expect(said.map(({ frame }) => frame.t)).toEqual(["hello", "records", "refer"]);
  expect(said[1]!.frame).toMatchObject({ records: [second.bytes] });
  const told = sent(driver.pass(100), "other").filter(({ id }) => id === "peer");
  expect(told.map(({ incarnation }) => incarnation).sort()).toEqual([NOW + 2, NOW + 3]);
  expect(only(effects, "notify").flatMap(({ changes }) => changes)).toContainEqual({
    type: "peer",
    peer: "peer",
  });
});

it.each(["meet", "accept"] as const)(
  "a member whose clock was ahead in a run before is told of that run when they link (%s), however long it is gone",
  (link) => {
    const driver = makeDriver();
    driver.meet("other");
    const goodbye = recordOf("peer", { session: "1".repeat(16), incarnation: NOW + 90_000_000, left: true });
    hearRecords(driver, "other", goodbye);
    driver.pass(600_000, pingAll(driver));
    expect(sent(driver[link]("peer")).map(({ incarnation }) => incarnation)).toContain(goodbye.incarnation);
  },
);

describe("rosters of two that link", () => {
  const news = () => recordOf("news", { links: new Set([memberHash("peer")]) });

  it("are compared by the one that dialled, when they differ, and not when they are equal", () => {
    const driver = makeDriver();
    expect(frames(driver.meet(), "roster")).toHaveLength(1);
    const fingerprint = () => driver.replica.membership.fingerprint;
    expect(frames(driver.hear({ t: "ping", atMs: NOW, roster: fingerprint() }), "roster")).toEqual([]);
    driver.nowMs += 2_000;
    expect(frames(driver.hear({ t: "ping", atMs: NOW, roster: "f".repeat(16) }), "roster")).toHaveLength(1);
    expect(
      frames(driver.hear({ t: "ping", atMs: NOW, roster: "f".repeat(16) }), "roster"),
      "every 2 s",
    ).toEqual([]);
    const accepted = makeDriver();
    expect(frames(accepted.accept(), "roster")).toEqual([]);
  });

  it("lead to what either lacks, and news is passed on to others, not back", () => {
    const driver = makeDriver();
    driver.meet("peer");
    driver.meet("other");
    driver.pass(500);
    const effects = driver.records([news()], "peer", Buffer.from(memberHash("other"), "hex"));
    const given = (peer: string) => sent(effects, peer).map(({ id }) => id);
    expect([given("peer"), given("other")]).toEqual([["other"], ["news"]]);
    driver.pass(500);
    expect(sent(driver.records([news()], "peer"), "other"), "once").toEqual([]);
  });

  it("say which of the members are lost, so that a newcomer lists none of those as alive for 10 s", () => {
    const driver = makeDriver();
    driver.meet();
    hearRecords(driver, "peer", recordOf("gone"), recordOf("here"));
    driver.pass(10_000, pingAll(driver));
    const [answer] = frames(driver.hear({ t: "roster", members: new Uint8Array(), part: false }), "records");
    expect(unpackHashes(answer!.lost).sort()).toEqual([memberHash("gone"), memberHash("here")].sort());

    const newcomer = makeDriver();
    newcomer.meet();
    newcomer.records(
      [recordOf("gone"), recordOf("here")],
      "peer",
      undefined,
      packHashes([memberHash("gone")]),
    );
    newcomer.pass(2_000, pingAll(newcomer));
    const { roster } = newcomer.replica;
    expect([roster.get("gone")!.state, roster.get("here")!.state]).toEqual(["lost", "alive"]);
  });

  it("of many members travel in frames of bounded length", () => {
    const driver = makeDriver();
    driver.meet();
    hearRecords(driver, "peer", ...ids(128, "x").map((id) => recordOf(id)));
    hearRecords(driver, "peer", ...ids(128, "y").map((id) => recordOf(id)));
    const records = frames(
      driver.hear({ t: "roster", members: new Uint8Array(), part: false }),
      "records",
    ).map((frame) => frame.records.length);
    expect(records.reduce((sum, count) => sum + count, 0)).toBe(1 + 1 + 256);
    expect(Math.max(...records)).toBeLessThanOrEqual(LIMITS.recordsPerFrameMax);
  });
});

describe("records that are news", () => {
  const links = new Set([memberHash("far")]);
  const newcomers = (count: number) => ids(count, "new").map((id) => recordOf(id, { links }));
  const told = (effects: Effects, peer: string) =>
    frames(effects, "records", peer).map(({ records }) => records.length);

  it("go on at once, and what comes soon after in one frame, on each link once and not on links by which they came", () => {
    const driver = makeDriver();
    for (const peer of ["a", "b", "c"]) driver.meet(peer);
    driver.pass(2_000, pingAll(driver));
    const [first, second, third] = newcomers(3).map((record) => [record]);
    expect(told(driver.records(first!, "a"), "b")).toEqual([1]);
    expect(told(driver.records(second!, "a"), "b")).toEqual([]);
    driver.records(third!, "a");
    driver.records(third!, "b");
    const later = driver.pass(100);
    expect(["a", "b", "c"].map((peer) => told(later, peer))).toEqual([[], [1], [2]]);
    expect(told(driver.records(newcomers(3), "c"), "a"), "known").toEqual([]);
  });

  it.each([
    ["alone", 40],
    ["and on all links where members are few", 0],
  ])(
    "go on along the tree alone when they renew what is known, with new links along the tree %s",
    (_, count) => {
      const peers = ["a", "b", "c"];
      const far = ids(count, "far");
      const [root = ""] = peers.toSorted((one, other) => (memberHash(one) < memberHash(other) ? -1 : 1));
      // Not the root of the tree, which is the member with the smallest hash: all others hang on it, or on its neighbour.
      const [self = "", apart = ""] = ids(20, "other").filter((id) => memberHash(root) < memberHash(id));
      const driver = makeDriver({ id: self });
      for (const peer of [...peers, apart]) driver.meet(peer);
      const linksOf = (id: string, more: readonly string[]) =>
        new Set([self, ...peers, ...more].filter((each) => each !== id).map(memberHash));
      const say = (incarnation: number, more: readonly string[] = []) =>
        peers.map((id) =>
          recordOf(id, {
            incarnation: NOW + incarnation,
            links: linksOf(id, id === root ? [...far, ...more] : more),
          }),
        );
      driver.records(say(1), "a");
      driver.records(
        far.map((id) => recordOf(id, { links: new Set([memberHash(root)]) })),
        "a",
      );
      driver.records([recordOf(apart, { incarnation: NOW + 1, links: new Set([memberHash(self)]) })], apart);
      driver.pass(4_100, pingAll(driver));
      const effects = driver.records(say(2), apart);
      expect(peers.filter((peer) => told(effects, peer).length > 0)).toEqual([root]);
      for (let incarnation = 3; incarnation < 9; incarnation++) driver.records(say(incarnation), apart);
      expect(told(driver.pass(1_900, pingAll(driver)), root), "gathered").toEqual([]);
      expect(told(driver.pass(200, pingAll(driver)), root)).toEqual([peers.length]);
      driver.pass(2_000, pingAll(driver));
      const gained = [...driver.records(say(9, ["new"]), apart), ...driver.pass(2_000, pingAll(driver))];
      const isTold = (peer: string) => sent(gained, peer).some(({ id }) => peers.includes(id));
      expect(peers.filter(isTold)).toEqual(count > 0 ? [root] : peers);
    },
  );

  describe("of losses, in a large cluster, off the tree", () => {
    /** Linked with peers of which the tree keeps one, and far members that hang on that one. */
    function large() {
      const peers = ["a", "b", "c"];
      const far = ids(40, "far");
      const [root = ""] = peers.toSorted((one, other) => (memberHash(one) < memberHash(other) ? -1 : 1));
      const [self = ""] = ids(20, "other").filter((id) => memberHash(root) < memberHash(id));
      const driver = makeDriver({ id: self });
      for (const peer of peers) driver.meet(peer);
      const linksOf = (id: string) =>
        new Set([self, ...peers, ...(id === root ? far : [])].filter((each) => each !== id).map(memberHash));
      driver.records(
        [
          ...peers.map((id) => recordOf(id, { incarnation: NOW + 1, links: linksOf(id) })),
          ...far.map((id) => recordOf(id, { links: new Set([root, "far 0"].map(memberHash)) })),
        ],
        root,
      );
      driver.pass(4_100, pingAll(driver));
      const [from, off] = peers.filter((peer) => peer !== root);
      const loss = recordOf("far 1", { incarnation: NOW + 2, links: new Set([memberHash("far 0")]) });
      return { driver, root, from: from!, off: off!, loss };
    }
    const announced = (effects: Effects, peer: string) =>
      frames(effects, "roster", peer).filter(({ part }) => part);
    const wanted = (effects: Effects, peer: string) =>
      frames(effects, "records", peer).flatMap(({ want }) => unpackHashes(want));

    it("are announced, and given to who asks", () => {
      const { driver, root, from, off, loss } = large();
      const effects = [...driver.records([loss], from), ...driver.pass(1_000, pingAll(driver))];
      expect(sent(effects, root).map(({ id }) => id)).toEqual(["far 1"]);
      expect(sent(effects, off).filter(({ id }) => id === "far 1")).toEqual([]);
      expect(announced(effects, off).map(({ members }) => [...decodeEntries(members)])).toEqual([
        [[loss.hash, NOW + 2]],
      ]);
      const asked = driver.records([], off, packHashes([loss.hash]));
      expect(sent(asked, off).map(({ incarnation }) => incarnation)).toEqual([NOW + 2]);
    });

    it("are asked of the first who announces them, and of the next when they stay away", () => {
      const { driver, from, off, loss } = large();
      const tell = (peer: string) =>
        driver.hear({ t: "roster", members: encodeEntries([loss]), part: true }, peer);
      expect(wanted(tell(from), from)).toEqual([loss.hash]);
      expect(wanted(tell(off), off), "asked for").toEqual([]);
      expect(wanted(driver.pass(800, pingAll(driver)), off)).toEqual([loss.hash]);
      driver.records([loss], off);
      expect(wanted(driver.pass(800, pingAll(driver)), from), "come").toEqual([]);
      expect(wanted(tell(from), from), "known").toEqual([]);
    });

    it("are asked for again when an earlier one comes than was announced meanwhile", () => {
      const { driver, from, off, loss } = large();
      const later = recordOf("far 1", { incarnation: NOW + 3, links: new Set() });
      const tell = (record: typeof loss, peer: string) =>
        driver.hear({ t: "roster", members: encodeEntries([record]), part: true }, peer);
      tell(loss, from);
      expect(wanted(tell(later, off), off)).toEqual([]);
      driver.records([loss], from);
      expect(wanted(driver.pass(1_000, pingAll(driver)), off)).toEqual([later.hash]);
    });

    it("are not announced to who has announced them", () => {
      const { driver, from, off, loss } = large();
      const other = recordOf("far 2", { incarnation: NOW + 2, links: new Set([memberHash("far 0")]) });
      driver.records([loss, other], from);
      driver.hear({ t: "roster", members: encodeEntries([loss]), part: true }, off);
      const later = driver.pass(1_000, pingAll(driver));
      expect(announced(later, off).flatMap(({ members }) => [...decodeEntries(members)])).toEqual([
        [other.hash, NOW + 2],
      ]);
    });

    it("are announced in frames that a peer reads, also where there are more than members", () => {
      const { driver, from, off } = large();
      const made = ids(1_060, "made up");
      const say = (some: string[], fields: Parameters<typeof recordOf>[1]) =>
        driver.records(
          some.map((id) => recordOf(id, fields)),
          from,
        );
      const links = new Set([memberHash(from)]);
      say(made.slice(0, 950), { incarnation: NOW + 1, links });
      // They give way to others.
      say(made.slice(0, 110), { incarnation: NOW + 2, left: true });
      say(made.slice(950), { incarnation: NOW + 1, links });
      const named = announced(driver.pass(4_000, pingAll(driver)), off).map(
        ({ members }) => [...decodeEntries(members)].length,
      );
      expect(named.length).toBeGreaterThan(1);
      expect(Math.max(...named)).toBeLessThanOrEqual(LIMITS.rosterMembersMax + 1);
      expect(named.reduce((sum, count) => sum + count)).toBeGreaterThan(LIMITS.rosterMembersMax + 1);
    });

    it("that a peer makes up are asked for, and lead to nothing", () => {
      const { driver, off } = large();
      const mine = driver.replica.membership.record;
      const made = [recordOf("nobody"), mine].map((record) => ({ ...record, incarnation: NOW + 99_000 }));
      const effects = driver.hear({ t: "roster", members: encodeEntries(made), part: true }, off);
      expect(wanted(effects, off)).toEqual([memberHash("nobody")]);
      expect(driver.replica.roster.get("nobody")).toBeUndefined();
    });
  });

  it("are renewed every 10 s, and in a large cluster so seldom that a node hears of five in a second", () => {
    const renewals = (members: number) => {
      const driver = makeDriver();
      driver.meet("a");
      hearNeighbours(driver, "a", ...ids(members, "far").map((id) => recordOf(id)));
      driver.pass(30_000, pingAll(driver));
      return published(driver.pass(120_000, pingAll(driver)), "a").length;
    };
    for (const [members, everyMs] of [
      [0, LIMITS.recordRefreshMs],
      [100, 20_000],
    ] as const) {
      expect(renewals(members)).toBeGreaterThanOrEqual(120_000 / (1.2 * everyMs));
      expect(renewals(members)).toBeLessThanOrEqual(120_000 / (0.8 * everyMs));
    }
  });

  it("are not told of a member that names no links yet: it is about to tell of the first itself", () => {
    const driver = makeDriver();
    for (const peer of ["a", "b"]) driver.meet(peer);
    driver.pass(2_000, pingAll(driver));
    const { id } = recordOf("new");
    const isTold = (effects: Effects) => sent(effects, "b").some((record) => record.id === id);
    expect(isTold([...driver.records([recordOf(id)], "a"), ...driver.pass(2_000, pingAll(driver))])).toBe(
      false,
    );
    expect(driver.replica.roster.isAlive(id)).toBe(true);
    expect(isTold(driver.records([recordOf(id, { incarnation: NOW + 1, links })], "a"))).toBe(true);
  });

  it("go on less often, as do records of its own, where the node is woken late", () => {
    const perMinute = (lateMs: number) => {
      const driver = makeDriver();
      for (const peer of ["a", "b"]) driver.meet(peer);
      let [passedOn, own] = [0, 0];
      for (let turn = 0; turn < 120; turn++) {
        driver.nowMs += 250 + lateMs;
        pingAll(driver)();
        const woken = driver.tell({ type: "woke" });
        const heard = driver.records([recordOf(`new ${turn}`, { links })], "a");
        const effects = [...woken, ...heard, ...(turn < 5 ? driver.accept(`c ${turn}`) : [])];
        passedOn += frames(effects, "records", "b").length;
        own += published(effects, "b").length;
      }
      const minutes = (driver.nowMs - NOW) / 60_000;
      return { passedOn: passedOn / minutes, own: own / minutes };
    };
    const [onTime, late] = [perMinute(0), perMinute(750)];
    // A late node hears a quarter of the records in a minute, and passes records on half as often.
    expect(late.passedOn).toBeLessThan((onTime.passedOn / 4) * 0.7);
    expect(late.own).toBeLessThan(onTime.own * 0.6);
  });

  it("do not go on where there is no place for them: all know the same sample", () => {
    const driver = makeDriver({ rosterMembersMax: 8 });
    for (const peer of ["a", "b"]) driver.meet(peer);
    driver.records(newcomers(100), "a");
    const { roster } = driver.replica;
    driver.pass(2_000, pingAll(driver));
    expect(roster.isSample).toBe(true);
    const lacking = newcomers(100).filter(({ id }) => !roster.get(id));
    expect(told(driver.records(lacking, "a"), "b")).toEqual([]);
  });

  it("go along the tree of the beacons where the roster is a sample, and on all links where there is none", () => {
    const driver = inSample(6);
    const { roster, links } = driver.replica;
    const far = roster.alive().find(({ record }) => !links.with(record.id))!;
    let incarnation = NOW;
    const told = () => {
      const record = recordOf(far.record.id, { incarnation: ++incarnation });
      const effects = [...driver.records([record], "peer 0"), ...driver.pass(1_100, pingAll(driver))];
      return ids(6, "peer").filter((peer) => sent(effects, peer).some(({ hash }) => hash === record.hash));
    };
    expect(told()).toHaveLength(5);
    driver.hear(beaconOf(1), "peer 1");
    for (const peer of ["peer 2", "peer 3"]) driver.hear(beaconOf(1), peer);
    expect(told()).toEqual(["peer 1", "peer 4", "peer 5"]);
    const announced = driver.pass(5_000, pingAll(driver));
    for (const peer of ["peer 2", "peer 3"])
      expect(frames(announced, "roster", peer).map(({ members }) => [...decodeEntries(members)])).toEqual([
        [[far.record.hash, incarnation]],
      ]);
  });
});

describe("the tree of a cluster of which a node knows a sample", () => {
  const beacons = (effects: Effects) =>
    ids(4, "peer").map((peer) => frames(effects, "beacon", peer).map(({ number }) => number));
  const tree = (driver: Driver) => [...driver.replica.links.up()].map(({ isInTree }) => isInTree);

  it("has the link by which a beacon came first, and those whose ends had it from this node", () => {
    const driver = inSample(4);
    expect(tree(driver)).toEqual([undefined, undefined, undefined, undefined]);
    expect(beacons(driver.hear(beaconOf(1), "peer 1"))).toEqual([[1], [], [1], [1]]);
    expect(beacons(driver.hear(beaconOf(1), "peer 0")), "is passed on once").toEqual([[], [], [], []]);
    driver.hear(beaconOf(1), "peer 1");
    expect(tree(driver)).toEqual([false, true, true, true]);
    driver.pass(1_000, pingAll(driver));
    expect(beacons(driver.hear(beaconOf(2), "peer 0"))).toEqual([[], [2], [2], [2]]);
    expect(tree(driver)).toEqual([true, true, true, true]);
  });

  it("is shown to the peer of a new link", () => {
    const driver = inSample(3);
    driver.hear(beaconOf(1), "peer 0");
    expect(frames(driver.accept("peer 3"), "beacon", "peer 3")).toEqual([beaconOf(1)]);
  });

  it("is that of the smallest root, and of no beacon older than the last", () => {
    const driver = inSample(4);
    driver.hear(beaconOf(5), "peer 0");
    driver.pass(1_000, pingAll(driver));
    for (const frame of [beaconOf(4), { ...beaconOf(9), root: "f".repeat(16) }])
      expect(beacons(driver.hear(frame, "peer 1"))).toEqual([[], [], [], []]);
    expect(beacons(driver.hear({ ...beaconOf(1), root: "0".repeat(16) }, "peer 1"))).toEqual([
      [1],
      [],
      [1],
      [1],
    ]);
  });

  it("costs no more than a beacon a second, however many a member sends", () => {
    const driver = inSample(4);
    const sentOn = Array.from({ length: 100 }, (_, index) =>
      driver.hear(beaconOf(1 + index), "peer 0"),
    ).flat();
    expect(beacons(sentOn)).toEqual([[], [1], [1], [1]]);
  });

  it("is gone when no beacon has come for 25 s: then batches go on all links", () => {
    const driver = inSample(2);
    driver.hear(beaconOf(1), "peer 0");
    driver.hear(beaconOf(1), "peer 1");
    driver.pass(24_000, pingAll(driver));
    expect(tree(driver)).toEqual([true, false]);
    driver.pass(1_500, pingAll(driver));
    expect(tree(driver)).toEqual([undefined, undefined]);
  });

  it("begins at the member with the smallest hash, every 10 s", () => {
    const smallest = ids(5_000, "me").reduce((one, other) =>
      memberHash(one) < memberHash(other) ? one : other,
    );
    const driver = inSample(2, smallest);
    const sentAt = Array.from({ length: 300 }, () => {
      const effects = driver.pass(100, pingAll(driver));
      return frames(effects, "beacon", "peer 0").map(({ root }) => [root, driver.nowMs - NOW] as const);
    }).flat();
    expect(new Set(sentAt.map(([root]) => root))).toEqual(new Set([memberHash(smallest)]));
    expect(sentAt.length).toBeGreaterThanOrEqual(3);
    for (const [index, [, atMs]] of sentAt.entries())
      if (index > 0) expect(atMs - sentAt[index - 1]![1]).toBeGreaterThanOrEqual(10_000);
    expect(tree(driver)).toEqual([true, true]);
  });

  it("means nothing where all members are known", () => {
    const driver = makeDriver({});
    for (const peer of ids(3, "peer")) driver.meet(peer);
    const before = tree(driver);
    expect(beacons(driver.hear(beaconOf(1), "peer 0"))).toEqual([[], [], [], []]);
    expect(tree(driver)).toEqual(before);
  });
});

/** A beacon of a root that has a smaller hash than all members of these tests. */
function beaconOf(number: number) {
  return { t: "beacon", root: `${"0".repeat(15)}1`, number } as const;
}

/** A node with so many links in a cluster of some 100 members, of whom it knows 8. */
function inSample(peers: number, id?: string): Driver {
  const driver = makeDriver({ rosterMembersMax: 8, ...(id !== undefined && { id }) });
  for (const peer of ids(peers, "peer")) driver.meet(peer);
  driver.records(
    ids(100, "far").map((far) => recordOf(far)),
    "peer 0",
  );
  driver.pass(300, pingAll(driver));
  return driver;
}

it("a node that knows a sample alone refers newcomers to those that it is linked with, not all to the same few", () => {
  const driver = makeDriver({ rosterMembersMax: 8, linksMax: 6 });
  const linked = ids(6, "linked");
  for (const peer of linked) driver.meet(peer);
  driver.records(
    ids(200, "far").map((id) => recordOf(id)),
    "linked 0",
  );
  const [refer] = frames(driver.accept("late"), "refer", "late");
  expect(refer!.peers.map(({ id }) => id).sort()).toEqual(linked);
  expect(refer!.peers.every(({ addresses }) => addresses.length > 0)).toBe(true);
});

describe("of two links between the same two", () => {
  /** Two replicas and their links; what either sends waits until it is delivered. */
  class Pair {
    readonly replicas: readonly [Replica, Replica] = [makeReplica({ id: "a" }), makeReplica({ id: "z" })];
    readonly wires = new Map<string, ReplicaEffect[]>();
    readonly cuts: string[] = [];

    constructor() {
      for (const side of [0, 1] as const) this.tell(side, { type: "started" });
    }

    /** Opens a link at one end. */
    open(side: 0 | 1, link: number, dialler: 0 | 1): void {
      const peer = side === 0 ? "z" : "a";
      this.tell(side, { type: "linkUp", link, peer, address: "", ...(side === dialler && { attempt: 0 }) });
    }

    tell(side: 0 | 1, input: Parameters<Replica["handle"]>[0]): void {
      for (const effect of this.replicas[side].handle(input, NOW)) {
        if (effect.type === "disconnect") this.cuts.push(`${"az"[side]} ${effect.link} ${effect.reason}`);
        if (effect.type !== "send") continue;
        const wire = `${side} ${effect.link}`;
        this.wires.set(wire, [...(this.wires.get(wire) ?? []), effect]);
      }
    }

    /** Delivers what one side has sent on a link. */
    deliver(from: 0 | 1, link: number): void {
      const to = from === 0 ? 1 : 0;
      const sent = this.wires.get(`${from} ${link}`) ?? [];
      this.wires.delete(`${from} ${link}`);
      for (const effect of sent) {
        if (effect.type !== "send" || effect.frame.t === "items" || effect.frame.t === "records") continue;
        const { frame } = effect;
        if (frame.t === "hello")
          this.tell(to, { type: "helloReceived", link, frame, record: decodeRecord(frame.record)! });
        else this.tell(to, { type: "frameReceived", link, frame, bytes: 1 });
      }
    }

    deliverAll(): void {
      for (let turn = 0; turn < 20; turn++)
        for (const link of [1, 2]) for (const side of [0, 1] as const) this.deliver(side, link);
    }

    /** Number of the link that is up at either end. */
    get up(): (number | undefined)[] {
      return this.replicas.map(({ links }, side) => links.with(side === 0 ? "z" : "a")?.number);
    }
  }

  it.each([
    ["in one order", [0, 1], [1, 2]],
    ["in the other", [1, 0], [2, 1]],
    ["crosswise", [0, 1], [2, 1]],
    ["crosswise, the other way", [1, 0], [1, 2]],
  ] as const)(
    "dialled at once by both, both keep the one that the smaller id dialled: hellos come %s",
    (_, sides, links) => {
      const pair = new Pair();
      for (const [link, dialler] of [
        [1, 0],
        [2, 1],
      ] as const) {
        pair.open(dialler, link, dialler);
      }
      pair.open(1, 1, 0);
      pair.open(0, 2, 1);
      for (const side of sides) for (const link of links) pair.deliver(side, link);
      pair.deliverAll();
      expect(pair.up).toEqual([1, 1]);
    },
  );

  it("the older stays when the same one dials twice", () => {
    const pair = new Pair();
    for (const link of [1, 2]) {
      pair.open(0, link, 0);
      pair.open(1, link, 0);
      pair.deliverAll();
    }
    expect(pair.up).toEqual([1, 1]);
  });

  it("the newer stays when one has begun anew, or has lost the older: what the older owed is asked for again", () => {
    for (const fields of [{ session: "1".repeat(16) }, {}]) {
      const driver = makeDriver();
      driver.meet();
      driver.pass(LIMITS.peerHandshakeMsMax + 1, pingAll(driver));
      driver.hear({ t: "have", digests: Buffer.alloc(32, 7) });
      driver.tell({ type: "linkUp", link: 7, peer: "peer", address: "" });
      const record = recordOf("peer", { incarnation: NOW + 1, ...fields });
      const frame: HelloFrame = {
        ...{ t: "hello", v: 2, cluster: "test", record: record.bytes, nowMs: NOW, starting: true, links: 0 },
        ...{ linked: false, roster: "0".repeat(16) },
      };
      const effects = driver.tell({ type: "helloReceived", link: 7, frame, record });
      expect(reasons(effects)).toEqual(["alreadyLinked"]);
      expect(driver.replica.links.with("peer")!.number).toBe(7);
      expect(only(effects, "send").some(({ link, frame }) => link === 7 && frame.t === "reconcile")).toBe(
        true,
      );
      expect(driver.replica.wants.size).toBe(0);
      expect(stateOf(driver)).toBe("alive");
    }
  });
});
