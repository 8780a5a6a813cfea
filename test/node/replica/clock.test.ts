import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { Clock } from "../../../src/node/replica/clock.js";
import type { Item } from "../../../src/node/replica/item.js";
import { decodeRecord } from "../../../src/node/replica/member.js";
import type { ReplicaEffect } from "../../../src/node/replica/messages.js";
import { Driver, frames, itemOf, itemsOf, makeReplica, NOW, only, outcomes } from "./replica-kit.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const HOLD = LIMITS.clockHoldMs;
const RETENTION = LIMITS.retentionMs;

function started(retentionMs = RETENTION): Clock {
  const clock = new Clock(retentionMs);
  clock.start(NOW);
  return clock;
}

describe("the clock of a node", () => {
  it.each<[string, readonly number[], Clock["verdict"], number?]>([
    ["nobody", [], "alone"],
    ["one within 2 min", [119_000], "agrees"],
    ["one 10 min off", [10 * MINUTE], "differs"],
    ["two that agree, an hour off", [HOUR, HOUR + 1_000], "skewed", HOUR],
    ["one an hour off and one that agrees", [HOUR, 5], "agrees"],
    ["two that are off, each by itself", [HOUR, -HOUR], "differs"],
    ["three, two of them an hour off: a tie", [HOUR, HOUR, 0], "differs"],
    ["four, two of them off and two that agree", [HOUR, HOUR, 1, 2], "agrees"],
    ["four, three of them off together", [HOUR, HOUR, HOUR, 0], "skewed", HOUR],
    ["four, three of them off, each by itself", [HOUR, -HOUR, 2 * HOUR, 0], "differs"],
    ["a chain of clocks, with most near by", [100_000, 200_000, 110_000], "agrees"],
  ])("among the clocks of %s %j: %s", (_, neighbours, verdict, majorityMs = 0) => {
    const clock = started();
    clock.look(NOW, neighbours, NOW);
    expect([clock.verdict, -clock.skewMs]).toEqual([verdict, majorityMs || -0]);
  });

  it("stays contradicted for a moment when links of others come or go", () => {
    const clock = started();
    const verdicts = (
      [
        [0, [HOUR, HOUR, HOUR, 0]],
        [1_000, [0, HOUR]],
        [2_000, []],
        [3_000, [HOUR, HOUR, 0, 0, 2 * HOUR]],
        [9_999, [0]],
        [10_000, [0]],
      ] as const
    ).map(([atMs, neighbours]) => {
      clock.look(NOW + atMs, neighbours, NOW + atMs);
      return clock.verdict;
    });
    expect(verdicts).toEqual(["skewed", "skewed", "skewed", "skewed", "skewed", "agrees"]);
  });

  it("agrees at once when as many as contradicted it confirm it", () => {
    const clock = started();
    clock.look(NOW, [HOUR, HOUR], NOW);
    expect(clock.verdict).toBe("skewed");
    clock.look(NOW + 1, [0, 0], NOW + 1);
    expect(clock.verdict).toBe("agrees");
  });

  it("follows small steps of the wall clock at once", () => {
    const clock = started();
    clock.look(NOW + 900, [], NOW);
    expect([clock.ms(NOW), clock.jumpMs]).toEqual([NOW + 900, 0]);
  });

  it("counts smaller steps as jumps where items are kept for seconds", () => {
    const clock = started(5_000);
    clock.look(NOW + 900, [], NOW);
    expect([clock.ms(NOW), clock.jumpMs]).toEqual([NOW, 900]);
  });

  it.each([25 * HOUR, -25 * HOUR, 20_000])(
    "is held when the wall clock jumps by %d ms, until that has stood",
    (byMs) => {
      const clock = started();
      clock.look(NOW + byMs, [], NOW);
      clock.look(NOW + HOLD - 1 + byMs, [], NOW + HOLD - 1);
      expect([clock.ms(NOW), clock.jumpMs]).toEqual([NOW, byMs]);
      clock.look(NOW + HOLD + byMs, [], NOW + HOLD);
      expect([clock.ms(NOW), clock.jumpMs]).toEqual([NOW + byMs, 0]);
    },
  );

  it("begins to wait anew with each jump, and forgets one that is taken back", () => {
    const clock = started();
    clock.look(NOW + HOUR, [], NOW);
    clock.look(NOW + HOLD - 1 + 2 * HOUR, [], NOW + HOLD - 1);
    clock.look(NOW + HOLD + 2 * HOUR, [], NOW + HOLD);
    expect(clock.jumpMs).toBe(2 * HOUR);
    clock.look(NOW + HOLD, [], NOW + HOLD);
    expect(clock.jumpMs).toBe(0);
    clock.look(NOW + 2 * HOLD, [], NOW + 2 * HOLD);
    expect(clock.ms(NOW)).toBe(NOW);
  });

  it.each<[string, readonly number[], boolean]>([
    ["the only neighbour confirms", [HOUR], true],
    ["the only neighbour contradicts", [0], false],
    ["nobody can confirm", [], false],
    ["most confirm", [HOUR, HOUR, 0], true],
    ["half confirm", [HOUR, 0, 0], false],
  ])("takes a jump at once when %s %j: %s", (_, neighbours, taken) => {
    const clock = started();
    clock.look(NOW + HOUR, neighbours, NOW);
    expect(clock.ms(NOW)).toBe(taken ? NOW + HOUR : NOW);
  });

  it("goes by the majority that contradicts it where that is behind, and not where it is ahead", () => {
    const ahead = started();
    ahead.look(NOW, [-HOUR, -HOUR], NOW);
    expect([ahead.ms(NOW), ahead.ownMs(NOW)]).toEqual([NOW - HOUR, NOW]);
    const behind = started();
    behind.look(NOW, [HOUR, HOUR], NOW);
    expect([behind.ms(NOW), behind.ownMs(NOW)]).toEqual([NOW, NOW]);
  });

  it("remembers for 10 min which majority contradicted it, when it is alone", () => {
    const clock = started();
    clock.look(NOW, [-HOUR, -HOUR], NOW);
    clock.look(NOW + HOLD - 1, [], NOW + HOLD - 1);
    expect([clock.verdict, clock.ms(NOW), clock.isDoubted]).toEqual(["alone", NOW - HOUR, true]);
    clock.look(NOW + HOLD, [], NOW + HOLD);
    expect([clock.ms(NOW), clock.isDoubted]).toEqual([NOW, false]);
  });
});

/** A node whose disk holds items, with a wall clock of its own. */
class Wall {
  readonly driver: Driver;
  /** Its wall clock against the time of its machine. */
  offsetMs = 0;
  /** The content of its disk. */
  readonly kept = new Set<string>();

  constructor(stored: readonly Item[] = [], retentionMs = RETENTION) {
    const replica = makeReplica({ retentionMs });
    replica.load(stored);
    for (const { digest } of stored) this.kept.add(digest);
    this.driver = new Driver(replica);
    this.look();
  }

  /** Time passes, and the wall clock is looked at; peers give signs of life. */
  pass(lengthMs: number, peers: readonly string[] = []): void {
    for (const endMs = this.driver.nowMs + lengthMs; this.driver.nowMs < endMs; ) {
      this.#carry(this.driver.pass(Math.min(1_000, endMs - this.driver.nowMs)));
      for (const peer of peers) this.#carry(this.driver.ping(peer));
      this.look();
    }
  }

  look(): void {
    this.#carry(this.driver.tell({ type: "woke", wallMs: this.driver.nowMs + this.offsetMs }));
  }

  jump(byMs: number): void {
    this.offsetMs += byMs;
    this.look();
  }

  /** A peer of another retention: nothing is exchanged with it, so none of its answers are waited for. */
  meet(peer: string, offsetMs = 0): void {
    this.#carry(this.driver.meet(peer, { nowMs: this.driver.nowMs + offsetMs }, { retentionMs: 1 }));
    this.look();
  }

  get held(): number {
    return this.driver.replica.holdings.view.size;
  }

  #carry(effects: readonly ReplicaEffect[]): void {
    for (const { commit, add, remove } of only(effects, "commit")) {
      for (const { digest } of add) this.kept.add(digest);
      for (const { digest } of remove) this.kept.delete(digest);
      this.#carry(this.driver.committed(commit));
    }
  }
}

describe("what a node holds", () => {
  const stored = itemsOf(1_500);

  it("stays, visible and on its disk, when the clock is 25 h ahead for 2 s", () => {
    const wall = new Wall(stored);
    wall.jump(25 * HOUR);
    wall.pass(2_000);
    expect([wall.held, wall.kept.size]).toEqual([1_500, 1_500]);
    wall.jump(-25 * HOUR);
    wall.pass(HOLD);
    expect([wall.held, wall.kept.size]).toEqual([1_500, 1_500]);
  });

  it("is hidden and erased when a jump has stood, since then it is right", () => {
    const wall = new Wall(stored);
    wall.jump(25 * HOUR);
    wall.pass(HOLD + 1_000);
    expect([wall.held, wall.kept.size]).toEqual([0, 0]);
  });

  it("is hidden at once and erased after 10 min when it expired while the node was down", () => {
    const wall = new Wall(itemsOf(1_500, "old", NOW - RETENTION));
    wall.pass(HOLD - 2_000);
    expect([wall.held, wall.kept.size]).toEqual([0, 1_500]);
    wall.pass(4_000);
    expect([wall.held, wall.kept.size]).toEqual([0, 0]);
  });

  it("comes back when the clock of the start was ahead, and is set right within 10 min", () => {
    const wall = new Wall(itemsOf(1_500, "old", NOW - 25 * HOUR));
    wall.pass(MINUTE);
    expect(wall.held).toBe(0);
    wall.meet("peer", -25 * HOUR);
    wall.jump(-25 * HOUR);
    wall.driver.pass(0);
    expect([wall.held, wall.kept.size]).toEqual([1_500, 1_500]);
  });

  it("comes back when a majority contradicts the clock that hid it, and stays for as long", () => {
    const wall = new Wall(itemsOf(10, "old", NOW - 25 * HOUR));
    expect(wall.held).toBe(0);
    for (const peer of ["one", "two"]) wall.meet(peer, -25 * HOUR);
    wall.pass(2 * HOLD, ["one", "two"]);
    expect([wall.held, wall.kept.size]).toEqual([10, 10]);
    expect(outcomes(wall.driver.post(itemOf("new", undefined, wall.driver.nowMs)))).toEqual(["clockSkew"]);
  });

  it("is not erased while the clocks of two differ, but for the retention at most", () => {
    const wall = new Wall(itemsOf(10, "old", NOW - HOUR), HOUR);
    wall.meet("peer", -HOUR);
    wall.pass(2 * HOLD, ["peer"]);
    expect([wall.held, wall.kept.size]).toEqual([0, 10]);
    wall.pass(HOUR, ["peer"]);
    expect(wall.kept.size).toBe(0);
  });

  it("goes at once, from the disk as well, when it ends while the clock stands", () => {
    const wall = new Wall([itemOf("ending", undefined, NOW - RETENTION + 5_000)]);
    wall.pass(5_000);
    expect([wall.held, wall.kept.size]).toEqual([0, 0]);
  });
});

describe("a node whose clock is wrong", () => {
  it("starts in the past without a battery, is set forward, and goes on after 10 min alone", () => {
    const wall = new Wall();
    wall.jump(56 * 365 * 24 * HOUR);
    wall.pass(HOLD + 1_000);
    const { clock } = wall.driver.replica;
    const nowMs = clock.ms(wall.driver.nowMs);
    expect([clock.jumpMs, nowMs]).toEqual([0, wall.driver.nowMs + wall.offsetMs]);
    expect(only(wall.driver.post(itemOf("a", undefined, nowMs)), "commit")).toHaveLength(1);
  });

  it("starts in the past among others, refuses posts, and goes on at once when it is set", () => {
    const wall = new Wall();
    for (const peer of ["one", "two"]) wall.meet(peer, 10_000 * HOUR);
    expect(outcomes(wall.driver.post(itemOf("a")))).toEqual(["clockSkew"]);
    wall.jump(10_000 * HOUR);
    const nowMs = wall.driver.nowMs + wall.offsetMs;
    expect(only(wall.driver.post(itemOf("a", undefined, nowMs)), "commit")).toHaveLength(1);
  });

  it.each([
    ["one that lies", [10 * MINUTE], "accepted"],
    ["one that lies and one that does not", [10 * MINUTE, 0], "accepted"],
    ["one that does not lie, and two that lie alike: a tie", [0, 10 * MINUTE, 10 * MINUTE], "accepted"],
    ["two that say the same", [10 * MINUTE, 10 * MINUTE], "clockSkew"],
  ])("among %s takes posts, or refuses them: %j %s", (_, offsets, expected) => {
    const wall = new Wall();
    for (const [index, offsetMs] of offsets.entries()) wall.meet(`peer ${index}`, offsetMs);
    const effects = wall.driver.post(itemOf("a"));
    const accepted = only(effects, "commit").length > 0 ? ["accepted"] : outcomes(effects);
    expect(accepted).toEqual([expected]);
  });

  it("is told so by the next pong, too", () => {
    const wall = new Wall();
    for (const peer of ["one", "two"]) wall.meet(peer);
    for (const peer of ["one", "two"])
      wall.driver.hear({ t: "pong", atMs: NOW, nowMs: NOW + 10 * MINUTE }, peer);
    expect(wall.driver.replica.clock.verdict).toBe("skewed");
  });
});

describe("an item stamped ahead of a clock", () => {
  it("is counted where it is held, until its time has come", () => {
    const wall = new Wall([itemOf("ahead", undefined, NOW + 10 * MINUTE), itemOf("now")]);
    const { replica } = wall.driver;
    expect(replica.aheadCount(NOW)).toBe(1);
    expect(replica.aheadCount(NOW + 8 * MINUTE - 1)).toBe(1);
    expect(replica.aheadCount(NOW + 8 * MINUTE)).toBe(0);
  });

  it("is told to others, and no more as soon as its time has come", () => {
    const wall = new Wall([itemOf("ahead", undefined, NOW + 3 * MINUTE)]);
    const { driver } = wall;
    expect(driver.replica.membership.record.ahead).toBe(1);
    wall.meet("peer");
    const told: (number | undefined)[] = [];
    for (let second = 0; second < 62; second++) {
      for (const { records } of [
        ...frames(driver.pass(1_000), "records"),
        ...frames(driver.ping(), "records"),
      ])
        told.push(...records.map((bytes) => decodeRecord(bytes)!.ahead));
    }
    expect(new Set(told)).toEqual(new Set([1, undefined]));
    expect([told.at(-1), driver.replica.membership.record.ahead]).toEqual([undefined, undefined]);
  });

  it("is refused by a peer, and taken when its time has come", () => {
    const wall = new Wall();
    const item = itemOf("ahead", undefined, NOW + 10 * MINUTE);
    wall.driver.meet("peer");
    expect(only(wall.driver.gossip([item]), "commit")).toEqual([]);
    wall.driver.lose("peer");
    wall.pass(8 * MINUTE);
    wall.driver.meet("peer");
    expect(
      only(wall.driver.hear({ t: "have", digests: Buffer.from(item.digest, "hex") }), "send"),
    ).toMatchObject([{ frame: { t: "want" } }]);
    expect(only(wall.driver.receive(1, [item]), "commit")).toMatchObject([{ add: [{ id: "ahead" }] }]);
  });
});
