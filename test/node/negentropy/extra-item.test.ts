import { expect, test } from "vitest";
import { ExtraItemSearch, Section } from "../../../src/node/negentropy/section.js";
import { END, START } from "../../../src/node/replica/item-set/bound.js";
import { ItemSet } from "../../../src/node/replica/item-set/item-set.js";
import { itemsOf } from "../replica/replica-kit.js";

/** A range of as many items as are tried at all, and the fingerprint of it without its last one. */
function range(count = 512) {
  const items = itemsOf(count);
  const set = new ItemSet();
  for (const item of items) set.insert(item);
  const whole = Section.between(set, START, END);
  const last = set.at(count - 1);
  set.delete(last);
  const without = Section.between(set, START, END).fingerprint;
  set.insert(last);
  return { section: whole, without, extra: count - 1, other: "0".repeat(32) };
}

test("one message finds items at the cost of 65,536 hashes, and no more", () => {
  const { section, without, extra } = range();
  const search = new ExtraItemSearch();
  for (let found = 0; found < 65_536 / 512; found++) expect(search.find(section, without)).toBe(extra);
  expect(search.find(section, without)).toBeUndefined();
  expect(new ExtraItemSearch().find(section, without), "another message").toBe(extra);
});

test("it gives up after 4,096 hashes in vain, and goes on for as many after an item that it found", () => {
  const { section, without, extra, other } = range();
  const search = new ExtraItemSearch();
  const miss = (times: number) => {
    for (let missed = 0; missed < times; missed++) expect(search.find(section, other)).toBeUndefined();
  };
  miss(7);
  expect(search.find(section, without)).toBe(extra);
  miss(8);
  expect(search.find(section, without)).toBeUndefined();
});
