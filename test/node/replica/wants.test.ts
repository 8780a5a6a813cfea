import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { Wants } from "../../../src/node/replica/wants.js";

const nothing = () => false;
const names = (count: number, prefix = "d") =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

describe("the table of wants", () => {
  it("asks nobody for what another is asked for", () => {
    const wants = new Wants();
    wants.add("a", ["x", "y"], 0);
    wants.add("b", ["y", "z"], 0);
    expect(wants.next("a", nothing, 0)).toEqual([["x", "y"]]);
    expect(wants.next("b", nothing, 0)).toEqual([["z"]]);
    expect([wants.size, wants.from("a"), wants.from("b"), wants.from("c")]).toEqual([3, 2, 1, 0]);
  });

  it("leaves out what has arrived by another way", () => {
    const wants = new Wants();
    wants.add("a", ["x", "y"], 0);
    expect(wants.next("a", (digest) => digest === "x", 0)).toEqual([["y"]]);
    expect(wants.size).toBe(1);
  });

  it("keeps few frames under way, each of bounded length", () => {
    const wants = new Wants();
    const all = names(LIMITS.digestsPerFrameMax * (LIMITS.wantsInFlight + 1));
    wants.add("a", all, 0);
    const lists = wants.next("a", nothing, 0);
    expect(lists.map(({ length }) => length)).toEqual(
      new Array(LIMITS.wantsInFlight).fill(LIMITS.digestsPerFrameMax),
    );
    expect(wants.next("a", nothing, 0)).toEqual([]);
    expect(wants.answered("a", LIMITS.digestsPerFrameMax, [], 0)).toBe(true);
    expect(wants.next("a", nothing, 0)).toHaveLength(1);
  });

  it("asks in order, however much comes, is asked for and is not covered", () => {
    const step = fc.record({ come: fc.nat(3_000), served: fc.integer({ min: 1, max: 1_024 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const wants = new Wants();
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
          expect(wants.answered("a", covered, [], 0)).toBe(true);
          model = [...oldest.slice(covered), ...model];
          expect(wants.from("a")).toBe(model.length + asked.flat().length);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("queues in front what an answer did not cover", () => {
    const wants = new Wants();
    wants.add("a", ["x", "y", "z"], 0);
    wants.next("a", nothing, 0);
    wants.add("a", ["later"], 0);
    expect(wants.answered("a", 1, ["x"], 200)).toBe(true);
    expect(wants.next("a", nothing, 0)).toEqual([["y", "z", "later"]]);
  });

  it("can be asked for again once it was covered and did not come", () => {
    const wants = new Wants();
    wants.add("a", ["x"], 0);
    wants.next("a", nothing, 0);
    wants.answered("a", 1, [], 0);
    wants.add("b", ["x"], 0);
    expect(wants.next("b", nothing, 0)).toEqual([["x"]]);
  });

  it("forgets all of a peer that is gone, and only that", () => {
    const wants = new Wants();
    wants.add("a", ["x", "y"], 0);
    wants.next("a", nothing, 0);
    wants.add("a", ["z"], 0);
    wants.add("b", ["w"], 0);
    expect(wants.drop("a")).toBe(3);
    expect(wants.drop("a")).toBe(0);
    expect(wants.size).toBe(1);
  });

  it("names who owes an answer, and since when", () => {
    const wants = new Wants();
    wants.add("a", ["x"], 0);
    wants.add("b", ["y"], 0);
    wants.next("a", nothing, 1_000);
    wants.next("a", nothing, 2_000);
    expect(wants.owed()).toEqual([{ peer: "a", askedAtMs: 1_000 }]);
  });

  it("asks another for what a peer is slow to give", () => {
    const wants = new Wants();
    wants.add("a", ["x", "y"], 0);
    wants.next("a", nothing, 0);
    wants.add("b", ["x"], 1_000);
    expect(wants.from("b")).toBe(0);
    wants.add("b", ["x"], 3_000);
    expect([wants.from("a"), wants.from("b"), wants.size]).toEqual([1, 1, 2]);
    expect(wants.answered("a", 2, ["x", "y"], 400), "it may still come").toBe(true);
  });

  it.each([
    ["covers digests without their items", 100, false],
    ["answers with a few items where many fit", 1, true],
  ])("asks another for what a peer owes that %s", (_, served, givesOne) => {
    const wants = new Wants();
    const all = names(LIMITS.digestsPerFrameMax);
    wants.add("a", all, 0);
    for (let answers = 0; answers < 70; answers++) {
      const [list] = wants.next("a", nothing, answers);
      const given = givesOne ? [list![0]!] : [];
      wants.answered("a", Math.min(served, list!.length), given, 200);
      wants.add("a", all, answers);
    }
    wants.add("b", all, 70);
    expect([wants.from("a"), wants.from("b")]).toEqual([0, all.length]);
    expect(wants.next("a", nothing, 70), "what b is asked for").toEqual([]);
  });

  it("forgives a peer that has given or covered all that was wanted", () => {
    const wants = new Wants();
    const expired = names(100);
    wants.add("a", expired, 0);
    wants.next("a", nothing, 0);
    wants.answered("a", expired.length, [], 0);
    wants.add("a", ["x"], 0);
    wants.add("b", ["x"], 0);
    expect([wants.from("a"), wants.from("b"), wants.expected(0)]).toEqual([1, 0, 1]);
  });

  it("gives a peer room that another has taken", () => {
    const wants = new Wants();
    wants.add("hostile", names(LIMITS.wantsMax + 1), 0);
    const asked = wants.next("hostile", nothing, 0).flat().length;
    wants.add("b", names(5_000, "b"), 0);
    wants.add("c", names(LIMITS.wantsMax, "c"), 0);
    expect(wants.size).toBeLessThanOrEqual(LIMITS.wantsMax);
    expect(wants.from("b")).toBe(5_000);
    expect(wants.from("c")).toBeGreaterThan(0.4 * LIMITS.wantsMax);
    expect(wants.from("hostile")).toBeGreaterThan(asked);
    expect(wants.next("b", nothing, 0).flat()).toHaveLength(LIMITS.wantsInFlight * LIMITS.digestsPerFrameMax);
  });
});
