import { expect, test } from "vitest";
import { Deadlines } from "../../../src/node/http/body.js";

test("deadlines that are not met expire in their order, met ones never", async () => {
  const deadlines = new Deadlines(20);
  const expired: string[] = [];
  deadlines.set(() => expired.push("first"));
  const met = deadlines.set(() => expired.push("met"));
  await new Promise(setImmediate);
  const last = new Promise<void>((resolve) => {
    deadlines.set(() => {
      expired.push("last");
      resolve();
    });
  });
  deadlines.meet(met);
  // The one timer must not keep the process alive; the test does.
  const alive = setInterval(() => {}, 1_000);
  await last;
  clearInterval(alive);
  expect(expired).toEqual(["first", "last"]);
});

test("a deadline set after all others are over expires too", async () => {
  const deadlines = new Deadlines(5);
  for (let round = 0; round < 3; round++) {
    await new Promise<void>((resolve) => deadlines.set(resolve));
  }
});
