import { expect, it } from "vitest";
import { Dice, Timeline } from "../../src/sim/determinism.js";

it("does what was asked for in order of time, and of asking within an instant", () => {
  const timeline = new Timeline(0);
  const dice = new Dice("order");
  const asked = Array.from({ length: 2_000 }, (_, order) => ({ atMs: dice.whole(1, 300), order }));
  const done: typeof asked = [];
  for (const entry of asked) timeline.at(entry.atMs, () => done.push(entry));
  timeline.runUntil(300);
  expect(done).toEqual(asked.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order));
});

it("takes on what is asked for meanwhile, also for this very instant or the past", () => {
  const timeline = new Timeline(0);
  const done: string[] = [];
  timeline.at(5, () => {
    timeline.at(5, () => done.push(`now ${timeline.nowMs}`));
    timeline.at(1, () => done.push(`past ${timeline.nowMs}`));
    timeline.after(2, () => done.push(`later ${timeline.nowMs}`));
  });
  timeline.runUntil(6);
  expect(done).toEqual(["now 5", "past 5"]);
  expect(timeline.nowMs).toBe(6);
  timeline.runUntil(7);
  expect(done.at(-1)).toBe("later 7");
});
