import { expect, test } from "vitest";
import { EventLog } from "../../src/node/event-log.js";
import { eventually } from "../fixtures/eventually.js";

const item = (n: number) =>
  ({
    type: "item",
    item: { id: `${n}`, raw: "x", signature: "s", timestampMs: n, digest: `${n}` },
  }) as const;

test.each([1, 20, 21, 500])("each of %d subscribers is told everything, in order, once", async (count) => {
  const log = new EventLog("e");
  const heard = Array.from({ length: count }, () => [] as string[]);
  const ended = heard.map(async (ids) => {
    for await (const { eventId } of log.subscribe(undefined)) ids.push(eventId!);
  });
  const expected: string[] = [];
  for (let n = 0; n < 100; n++) {
    log.push([item(2 * n), item(2 * n + 1)]);
    expected.push(`e-${2 * n}`, `e-${2 * n + 1}`);
    if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await eventually(() => heard.every((ids) => ids.length === expected.length));
  for (const ids of heard) expect(ids).toEqual(expected);
  log.close();
  await Promise.all(ended);
});

test("one event among many subscribers is told at once, also when the log closes right behind it", async () => {
  const log = new EventLog("e");
  const heard = Array.from({ length: 200 }, () => 0);
  const ended = heard.map(async (_, index) => {
    for await (const { eventId } of log.subscribe(undefined)) heard[index] = eventId === "e-1" ? 2 : 1;
  });
  await new Promise(setImmediate);
  log.push([item(0)]);
  log.push([item(1)]);
  log.close();
  await Promise.all(ended);
  expect(heard).toEqual(heard.map(() => 2));
});
