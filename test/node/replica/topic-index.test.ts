import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { hasTopic } from "../../../src/core/topic.js";
import { Holdings, startOf } from "../../../src/node/replica/holdings.js";
import { compareItems, type Item } from "../../../src/node/replica/item.js";
import { topicFilter } from "../../../src/node/replica/topic-index.js";
import { itemOf, NOW } from "./replica-kit.js";

function listed(holdings: Holdings, topic: string, sinceMs = 0, untilMs?: number): string[] {
  return [...holdings.visible(startOf(sinceMs), untilMs, topic)].map(({ digest }) => digest);
}

const SEGMENT = fc.constantFrom("a", "b", "ab", "");
const ID = fc.array(SEGMENT, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
const FILTERS = ["a", "b", "ab", "a/a", "a/b", "a/b/ab", "b/a", "c"];

describe("items of a topic", () => {
  it("are those of it and below it, visible, in order, whatever came and went", () => {
    const step = fc.record({
      id: ID.filter((id) => id !== ""),
      raw: fc.constantFrom("x", "y"),
      afterMs: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 6 }), (steps, fromMs) => {
        const holdings = new Holdings([1, 2]);
        const held = new Map<string, Item>();
        for (const { id, raw, afterMs } of steps) {
          const item = itemOf(id, raw, NOW + afterMs);
          // An item that is held goes.
          if (held.delete(item.digest)) holdings.remove(item);
          else {
            held.set(item.digest, item);
            holdings.add(item);
          }
          for (const filter of FILTERS) {
            const all = [...held.values()].filter((each) => hasTopic(each.id, filter));
            const expected = all
              .filter(({ timestampMs }) => timestampMs >= NOW + fromMs)
              .filter((each) => holdings.view.get(each.id)!.digest === each.digest)
              .sort(compareItems)
              .map(({ digest }) => digest);
            expect(listed(holdings, filter, NOW + fromMs)).toEqual(expected);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("are found among many, from a time until another, and when all but one have gone", () => {
    const holdings = new Holdings([1, 2]);
    // They come in no order.
    const items = Array.from({ length: 1_000 }, (_, index) =>
      itemOf(`logs/${index}`, undefined, NOW + ((index * 7) % 1_000)),
    );
    for (const item of items) holdings.add(item);
    for (let index = 0; index < 1_000; index++) holdings.add(itemOf(`metrics/x/${index}`));
    const digests = items.toSorted(compareItems).map(({ digest }) => digest);
    expect(listed(holdings, "logs")).toEqual(digests);
    expect(listed(holdings, "logs", NOW + 200, NOW + 300)).toEqual(digests.slice(200, 300));
    for (const item of items.slice(1)) holdings.remove(item);
    expect(listed(holdings, "logs")).toEqual([items[0]!.digest]);
    holdings.remove(items[0]!);
    expect(listed(holdings, "logs")).toEqual([]);
    expect(listed(holdings, "metrics")).toHaveLength(1_000);
  });

  it("are found also below the topics that have an index", () => {
    const holdings = new Holdings([1, 2]);
    const deep = Array.from({ length: LIMITS.topicSegmentsIndexed + 4 }, (_, index) => `s${index}`).join("/");
    const item = itemOf(`${deep}/x`);
    for (const each of [item, itemOf(`${deep}-2/x`)]) holdings.add(each);
    const found = () => [...holdings.visible(startOf(0), undefined, deep)].filter(topicFilter(deep));
    expect(found()).toMatchObject([{ digest: item.digest }]);
    expect(listed(holdings, "s0")).toHaveLength(2);
    holdings.remove(item);
    expect(found()).toEqual([]);
  });

  it("may come and go while they are read: those that stay are given once", () => {
    const holdings = new Holdings([1, 2]);
    const stay = Array.from({ length: 500 }, (_, index) => itemOf(`a/${index}`, undefined, NOW + 2 * index));
    for (const item of stay) holdings.add(item);
    const given: string[] = [];
    let count = 0;
    for (const { id } of holdings.visible(startOf(0), undefined, "a")) {
      given.push(id);
      const passing = itemOf(`a/passing-${count}`, undefined, NOW + count++);
      holdings.add(passing);
      if (count % 2 === 0) holdings.remove(passing);
    }
    expect(given.filter((id) => !id.includes("passing"))).toEqual(stay.map(({ id }) => id));
  });
});
