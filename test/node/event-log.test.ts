import { expect, test } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
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

test("a subscriber of a topic is told of its items, and of peers; the rest only counts as read", async () => {
  const log = new EventLog("e", 5);
  const of = (id: string) => ({ ...item(0), item: { ...item(0).item, id } });
  const events = log.subscribe(undefined, { topic: "a" });
  const next = events.next();
  // More than the history holds, a few at a time.
  for (let n = 0; n < 10; n++) {
    log.push([of("b/1"), of("a"), of("ab/1")]);
    await new Promise(setImmediate);
  }
  const peer = { type: "peer", peer: { id: "p" } } as never;
  log.push([of("b/2"), of("a/b/1"), peer]);
  expect(await next).toMatchObject({ value: { type: "item", eventId: "e-31", item: { id: "a/b/1" } } });
  expect(await events.next()).toMatchObject({ value: { type: "peer", eventId: "e-32" } });
  const waiting = events.next();
  log.push([of("b/3")]);
  log.close();
  expect((await waiting).done).toBe(true);
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

test("history is read as the reader goes, without what arrived meanwhile; then what arrived is told", async () => {
  const log = new EventLog("e");
  log.push([item(0)]);
  const held = [item(1).item, item(2).item, item(4).item];
  let read = 0;
  const history = (function* () {
    for (; read < held.length; read++) yield held[read];
  })();
  const events = log.subscribe(undefined, { history });
  expect(read).toBe(0);
  expect(await events.next()).toEqual({ value: { type: "item", item: held[0] }, done: false });
  expect(read).toBe(0);
  const late = item(3);
  held.splice(2, 0, late.item);
  log.push([late]);
  const rest = [await events.next(), await events.next(), await events.next(), await events.next()];
  expect(rest.map(({ value }) => value)).toEqual([
    { type: "item", item: held[1] },
    { type: "item", item: held[3] },
    { type: "caught-up", eventId: "e-0" },
    { ...late, eventId: "e-1" },
  ]);
});

test("readers of history count as subscribers, until they leave", async () => {
  const log = new EventLog("e");
  const history = [item(1).item, item(2).item];
  const readers = Array.from({ length: LIMITS.subscribersMax }, () => log.subscribe(undefined, { history }));
  for (const reader of readers) await reader.next();
  expect(() => log.subscribe(undefined, { history })).toThrow("1000 subscribers are connected already");
  await readers[0]!.return();
  expect(await log.subscribe(undefined, { history }).next()).toMatchObject({ done: false });
});

test("others have turns while a reader looks for its topic, in history and in the log", async () => {
  const log = new EventLog("e");
  const others = () => Array.from({ length: 50_000 }, (_, n) => item(n));
  const wanted = { ...item(0), item: { ...item(0).item, id: "a/1" } };
  const history = [...Array<undefined>(50), wanted.item];
  const fromNow = log.subscribe(undefined, { topic: "a", history });
  const fromStart = log.subscribe("e--1", { topic: "a" });
  log.push([...others(), { ...wanted, item: { ...wanted.item } }]);
  for (const events of [fromStart, fromNow]) {
    let turns = 0;
    let isFound = false;
    const count = () => {
      turns++;
      if (!isFound) setImmediate(count);
    };
    setImmediate(count);
    expect(await events.next()).toMatchObject({ value: { item: { id: "a/1" } } });
    isFound = true;
    expect(turns).toBeGreaterThan(40);
  }
});
