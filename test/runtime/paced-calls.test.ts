import { expect, test } from "vitest";
import { PacedCalls } from "../../src/runtime/turns.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("so many a turn are called, in order, and what comes meanwhile stands behind", async () => {
  const calls = new PacedCalls(2);
  const called: number[] = [];
  const note = (number: number) => () => void called.push(number);
  calls.add([note(1)]);
  expect(called, "the first at once").toEqual([1]);
  calls.add([note(2), note(3), note(4)]);
  expect(called, "this turn is taken").toEqual([1]);
  await turn();
  expect(called).toEqual([1, 2, 3]);
  calls.add([note(5)]);
  await turn();
  expect(called).toEqual([1, 2, 3, 4, 5]);
  await turn();
  calls.add([note(6), note(7), note(8)]);
  expect(called, "idle again").toEqual([1, 2, 3, 4, 5, 6, 7]);
  await turn();
  expect(called.at(-1)).toBe(8);
});

test("one that adds others waits for none", async () => {
  const calls = new PacedCalls(1);
  const called: string[] = [];
  calls.add([
    () => {
      called.push("first");
      calls.add([() => void called.push("added")]);
    },
    () => void called.push("second"),
  ]);
  await turn();
  await turn();
  await turn();
  expect(called).toEqual(["first", "second", "added"]);
});
