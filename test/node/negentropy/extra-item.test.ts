import { expect, test } from "vitest";
import { MessageReader, MessageWriter } from "../../../src/node/negentropy/message.js";
import { respond } from "../../../src/node/negentropy/respond.js";
import { Round } from "../../../src/node/negentropy/round.js";
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

test("ranges whose fingerprints are computed cost of that, and a message that has cost enough is answered in part", () => {
  const { section, without, extra } = range();
  const search = new ExtraItemSearch();
  for (let ranges = 0; ranges < 16_000; ranges++) expect(search.takeRange()).toBe(true);
  for (let found = 0; found < 3; found++) expect(search.find(section, without)).toBe(extra);
  expect(search.find(section, without)).toBeUndefined();

  const [ours, theirs] = [itemsOf(40_000, "ours"), itemsOf(40_000, "theirs")].map((items) => {
    const set = new ItemSet();
    for (const item of items) set.insert(item);
    return set;
  });
  // Each of the ranges differs, and has more items than are tried.
  const writer = new MessageWriter(Number.POSITIVE_INFINITY);
  for (const part of Section.between(theirs!, START, END).cut(20_000))
    writer.fingerprint(part.to, part.fingerprint);
  const message = writer.finish(theirs!);
  const answered = [...new MessageReader(respond(ours!, message), 1e9).ranges()];
  const last = answered.at(-1)!;
  expect(last).toMatchObject({ mode: "fingerprint", to: END });
  // The rest has its turn in the messages that follow.
  const round = new Round(ours!);
  let next: Uint8Array | undefined = round.open();
  let trips = 0;
  const found = { have: 0, need: 0 };
  while (next) {
    const step = round.take(respond(theirs!, next));
    found.have += step.have.length;
    found.need += step.need.length;
    next = step.reply;
    trips++;
  }
  expect(found).toEqual({ have: 40_000, need: 40_000 });
  expect(trips).toBeLessThan(40);
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
