import fc from "fast-check";
import { expect, test } from "vitest";
import { Feed, ROWS_MAX } from "../../src/node/board/feed.js";
import { withDigest } from "../../src/node/replica/item.js";

const item = (n: number, raw = `text ${n}`, id = `topic/${n}`) =>
  withDigest({ id, raw, signature: "", timestampMs: n });
const times = (feed: Feed) => feed.rows.map(({ timestampMs }) => timestampMs);

test("rows are the newest items, newest first, each once, whatever the order in which they come", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 900 }), (stamps) => {
      const feed = new Feed();
      for (const [n, stamp] of stamps.entries()) feed.add(item(stamp), n);
      const expected = [...new Set(stamps)].sort((a, b) => b - a).slice(0, ROWS_MAX);
      expect(times(feed)).toEqual(expected);
    }),
    { numRuns: 30 },
  );
});

test("of a long text the start is kept, and no half of a character", () => {
  const feed = new Feed();
  feed.add(item(1, `${"x".repeat(599)}\u{1f600}${"y".repeat(1_000_000)}`));
  expect(feed.rows[0]).toMatchObject({ text: "x".repeat(599), isCut: true });
});

test("an item that expired or was replaced is gone", () => {
  const feed = new Feed();
  for (const n of [1, 2, 3]) feed.add(item(n));
  feed.remove(item(2).digest);
  feed.remove(item(2).digest);
  expect(times(feed)).toEqual([3, 1]);
});

test("what is read anew takes the place of what was shown; what came meanwhile stays", () => {
  const feed = new Feed();
  for (const n of [1, 2, 3]) feed.add(item(n), 50);
  feed.add(item(9), 101);
  feed.renew([item(3), item(5), item(4)], 100, true);
  expect(times(feed)).toEqual([9, 5, 4, 3]);
  // Items that the page did not know are news.
  expect(feed.rows.map(({ arrivedAtMs }) => arrivedAtMs)).toEqual([101, 100, 100, 50]);
});

test("at first nothing is news, and topics are few", () => {
  const feed = new Feed();
  const items = Array.from({ length: 100 }, (_, n) => item(n, "x", `topic-${n}/x`));
  feed.renew(items, 100, false);
  expect(feed.arrived).toBe(0);
  expect(feed.rows.every(({ arrivedAtMs }) => arrivedAtMs === undefined)).toBe(true);
  expect(feed.topics.length).toBe(40);
});
