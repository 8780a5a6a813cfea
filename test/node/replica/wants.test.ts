import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { Wants } from "../../../src/node/replica/wants.js";

const nothing = () => false;
const names = (count: number, prefix = "d") =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

describe("the table of wants", () => {
  it("asks nobody for what another is asked for", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x", "y"], 0);
    wants.add("b", ["y", "z"], 0);
    expect(wants.next("a", nothing, 0)).toEqual([["x", "y"]]);
    expect(wants.next("b", nothing, 0)).toEqual([["z"]]);
    expect([wants.size, wants.from("a"), wants.from("b"), wants.from("c")]).toEqual([3, 2, 1, 0]);
  });

  it("leaves out what has arrived by another way", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x", "y"], 0);
    expect(wants.next("a", (digest) => digest === "x", 0)).toEqual([["y"]]);
    expect(wants.size).toBe(1);
  });

  it("keeps few frames under way, and asks for more in each as answers come soon, up to a bound", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", names(20_000), 0);
    const asked = wants.next("a", nothing, 0).map(({ length }) => length);
    expect(asked).toEqual(new Array(LIMITS.wantsInFlight).fill(64));
    expect(wants.next("a", nothing, 0)).toEqual([]);
    const lengths: number[] = [];
    for (let answers = 0; answers < 6; answers++) {
      expect(wants.answered("a", asked.shift()!, [], 0, 0)).toBe(true);
      const [list] = wants.next("a", nothing, 0);
      asked.push(list!.length);
      lengths.push(list!.length);
    }
    expect(lengths).toEqual([128, 256, 512, 1_024, 1_024, 1_024]);
  });

  it("asks for more in each over a long way, too", () => {
    const wants = new Wants(() => ({
      progressAtMs: 0,
      roundTripMs: 1_400,
      helloMs: 0,
      shortestTripMs: 1_400,
    }));
    wants.add("a", names(1_000), 0);
    const [first] = wants.next("a", nothing, 0);
    wants.answered("a", first!.length, first!, 0, 1_400);
    expect(wants.next("a", nothing, 1_400)[0]).toHaveLength(128);
  });

  it("asks for less in each as answers take long", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", names(1_000), 0);
    const asked = wants.next("a", nothing, 0).map(({ length }) => length);
    const lengths: number[] = [];
    for (let nowMs = 600; nowMs <= 6_000; nowMs += 600) {
      wants.answered("a", asked.shift()!, [], 0, nowMs);
      const [list] = wants.next("a", nothing, nowMs);
      asked.push(list!.length);
      lengths.push(list!.length);
    }
    expect(lengths).toEqual([32, 16, 8, 4, 2, 1, 1, 1, 1, 1]);
  });

  it("asks in order, however much comes, is asked for and is not covered", () => {
    const step = fc.record({ come: fc.nat(3_000), served: fc.integer({ min: 1, max: 1_024 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const wants = new Wants(() => undefined);
        let model: string[] = [];
        const asked: string[][] = [];
        let made = 0;
        for (const { come, served } of steps) {
          const more = Array.from({ length: come }, () => `d${made++}`);
          wants.add("a", more, 0);
          model.push(...more);
          for (const list of wants.next("a", nothing, 0)) {
            expect(list).toEqual(model.slice(0, list.length));
            model = model.slice(list.length);
            asked.push(list);
          }
          const oldest = asked.shift();
          if (!oldest) continue;
          const covered = Math.min(served, oldest.length);
          expect(wants.answered("a", covered, [], 0, 0)).toBe(true);
          model = [...oldest.slice(covered), ...model];
          expect(wants.from("a")).toBe(model.length + asked.flat().length);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("queues in front what an answer did not cover", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x", "y", "z"], 0);
    wants.next("a", nothing, 0);
    wants.add("a", ["later"], 0);
    expect(wants.answered("a", 1, ["x"], 200, 0)).toBe(true);
    expect(wants.next("a", nothing, 0)).toEqual([["y", "z", "later"]]);
  });

  it("can be asked for again once it was covered and did not come", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x"], 0);
    wants.next("a", nothing, 0);
    wants.answered("a", 1, [], 0, 0);
    wants.add("b", ["x"], 0);
    expect(wants.next("b", nothing, 0)).toEqual([["x"]]);
  });

  it("forgets all of a peer that is gone, and only that", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x", "y"], 0);
    wants.next("a", nothing, 0);
    wants.add("a", ["z"], 0);
    wants.add("b", ["w"], 0);
    expect(wants.drop("a")).toBe(3);
    expect(wants.drop("a")).toBe(0);
    expect(wants.size).toBe(1);
  });

  it("names who owes an answer, and since when", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x"], 0);
    wants.add("b", ["y"], 0);
    wants.next("a", nothing, 1_000);
    wants.next("a", nothing, 2_000);
    expect(wants.owed()).toEqual([{ peer: "a", askedAtMs: 1_000 }]);
  });

  it("waits for a peer whose answer is on its way over a slow link", () => {
    const pace = { progressAtMs: 0, roundTripMs: 200, helloMs: 0, shortestTripMs: 0 };
    const wants = new Wants(() => pace);
    wants.add("a", ["x", "y"], 0);
    wants.next("a", nothing, 0);
    expect(
      [2_800, 2_801].map((nowMs) => wants.expected(nowMs)),
      "four round trips more",
    ).toEqual([2, 0]);
    pace.progressAtMs = 2_500;
    expect(
      [5_300, 5_301].map((nowMs) => wants.expected(nowMs)),
      "behind its last bytes",
    ).toEqual([2, 0]);
    wants.answered("a", 1, ["x"], LIMITS.itemsPerAnswerBytes, 6_000);
    wants.next("a", nothing, 6_000);
    expect(
      [8_800, 8_801].map((nowMs) => wants.expected(nowMs)),
      "behind its last answer",
    ).toEqual([1, 0]);
    expect(wants.owed()).toEqual([{ peer: "a", askedAtMs: 6_000 }]);
  });

  it("asks another for what a peer is slow to give", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", ["x", "y"], 0);
    wants.next("a", nothing, 0);
    wants.add("b", ["x"], 1_000);
    expect(wants.from("b")).toBe(0);
    wants.add("b", ["x"], 3_000);
    expect([wants.from("a"), wants.from("b"), wants.size]).toEqual([1, 1, 2]);
    expect(wants.answered("a", 2, ["x", "y"], 400, 0), "it may still come").toBe(true);
  });

  it.each([
    ["covers digests without their items", 100, false],
    ["answers with a few items where many fit", 1, true],
  ])("asks another for what a peer owes that %s", (_, served, givesOne) => {
    const wants = new Wants(() => undefined);
    const all = names(1_000);
    wants.add("a", all, 0);
    const asked: string[][] = [];
    for (let answers = 0; answers < 70; answers++) {
      asked.push(...wants.next("a", nothing, answers));
      const list = asked.shift()!;
      const given = givesOne ? [list[0]!] : [];
      expect(wants.answered("a", Math.min(served, list.length), given, 200, answers)).toBe(true);
      wants.add("a", all, answers);
    }
    wants.add("b", all, 70);
    expect([wants.from("a"), wants.from("b")]).toEqual([0, all.length]);
    expect(wants.next("a", nothing, 70), "what b is asked for").toEqual([]);
  });

  it("forgives a peer that has given or covered all that was wanted", () => {
    const wants = new Wants(() => undefined);
    wants.add("a", names(100), 0);
    for (const list of wants.next("a", nothing, 0)) wants.answered("a", list.length, [], 0, 0);
    wants.add("a", ["x"], 0);
    wants.add("b", ["x"], 0);
    expect([wants.from("a"), wants.from("b"), wants.expected(0)]).toEqual([1, 0, 1]);
  });

  it("gives a peer room that another has taken", () => {
    const wants = new Wants(() => undefined);
    wants.add("hostile", names(LIMITS.wantsMax + 1), 0);
    const asked = wants.next("hostile", nothing, 0).flat().length;
    wants.add("b", names(5_000, "b"), 0);
    wants.add("c", names(LIMITS.wantsMax, "c"), 0);
    expect(wants.size).toBeLessThanOrEqual(LIMITS.wantsMax);
    expect(wants.from("b")).toBe(5_000);
    expect(wants.from("c")).toBeGreaterThan(0.4 * LIMITS.wantsMax);
    expect(wants.from("hostile")).toBeGreaterThan(asked);
    expect(wants.next("b", nothing, 0)).toHaveLength(LIMITS.wantsInFlight);
  });
});
