import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { respond } from "../../../src/node/negentropy/respond.js";
import { Round, type RoundOptions } from "../../../src/node/negentropy/round.js";
import { ItemSet } from "../../../src/node/replica/item-set/item-set.js";
import { makeItem } from "../replica/item-set/make-item.js";
import { OtherNegentropy } from "./other-negentropy.js";
import { digestsOf, makeTwoSets, shapes } from "./two-sets.js";

// Thousands of random sets take seconds, on a busy machine many.
vi.setConfig({ testTimeout: 120_000 });

const frameLimits = fc.constantFrom(undefined, 4096, 10_000);

describe("a round", () => {
  test("finds exactly what differs, in frames within the limit", () => {
    fc.assert(
      fc.property(shapes(500), frameLimits, frameLimits, (shape, ourLimit, theirLimit) => {
        const sets = makeTwoSets(shape);
        const right = new ItemSet(sets.right);
        const found = run(new ItemSet(sets.left), options(ourLimit), (message) => {
          expect(message.length).toBeLessThanOrEqual(ourLimit ?? Number.POSITIVE_INFINITY);
          const answer = respond(right, message, options(theirLimit));
          expect(answer.length).toBeLessThanOrEqual(theirLimit ?? Number.POSITIVE_INFINITY);
          return answer;
        });
        expect(found).toEqual({ have: sets.onlyLeft, need: sets.onlyRight });
      }),
      { numRuns: 500 },
    );
  });

  test("costs less than 100 bytes each way when nothing differs", () => {
    const items = Array.from({ length: 5_000 }, (_, serial) => makeItem(serial, 1_767_225_600_000 + serial));
    const round = new Round(new ItemSet(items), { sinceMs: 1_767_225_600_007 });
    const opening = round.open();
    const answer = respond(new ItemSet(items.slice(3)), opening);
    expect(opening.length).toBeLessThan(100);
    expect(answer.length).toBeLessThan(100);
    expect(round.take(answer)).toEqual({ have: [], need: [] });
  });

  test("leaves out what is older than its window on both sides", () => {
    const shared = Array.from({ length: 100 }, (_, serial) => makeItem(serial, 1000 + serial));
    const left = new ItemSet([...shared, makeItem(1000, 999), makeItem(1001, 1000)]);
    const right = new ItemSet([...shared, makeItem(1002, 5), makeItem(1003, 1050)]);
    const found = run(left, { sinceMs: 1000 }, (message) => respond(right, message));
    expect(found).toEqual({ have: [makeItem(1001, 1000).digest], need: [makeItem(1003, 1050).digest] });
  });

  test("finds 100 differences among 100,000 within 6 round trips", () => {
    const items = Array.from({ length: 100_000 }, (_, serial) => makeItem(serial, serial * 864));
    const isLost = (serial: number) => (serial * 7919) % 1000 === 5;
    const right = new ItemSet(items.filter((_, serial) => !isLost(serial)));
    let trips = 0;
    const found = run(new ItemSet(items), {}, (message) => {
      trips++;
      return respond(right, message);
    });
    expect(found).toEqual({ have: digestsOf(items.filter((_, serial) => isLost(serial))), need: [] });
    expect(trips).toBeLessThanOrEqual(6);
  });

  test("still finds what stays when both sets change between its messages", () => {
    fc.assert(
      fc.property(shapes(400), frameLimits, fc.infiniteStream(fc.nat(1000)), (shape, limit, dice) => {
        const sets = makeTwoSets(shape);
        const [left, right] = [new ItemSet(sets.left), new ItemSet(sets.right)];
        const touched = new Set<string>();
        const change = (set: ItemSet) => {
          const gone = set.size > 0 ? set.at(dice.next().value % set.size) : undefined;
          if (gone) set.delete(gone);
          const come = makeItem(1_000_000 + touched.size, dice.next().value);
          set.insert(come);
          for (const item of [gone, come]) if (item) touched.add(item.digest);
        };
        const found = run(left, options(limit), (message) => {
          change(left);
          const answer = respond(right, message, options(limit));
          change(right);
          return answer;
        });
        const stable = (digests: string[]) => digests.filter((digest) => !touched.has(digest));
        expect(stable(found.have)).toEqual(stable(sets.onlyLeft));
        expect(stable(found.need)).toEqual(stable(sets.onlyRight));
      }),
      { numRuns: 500 },
    );
  });
});

describe("with Negentropy V1 by other hands", () => {
  test("both find the same when we open the round", () => {
    fc.assert(
      fc.property(shapes(300), frameLimits, (shape, limit) => {
        const sets = makeTwoSets(shape);
        const other = new OtherNegentropy(sets.right);
        const found = run(new ItemSet(sets.left), options(limit), (message) => {
          return other.take(message) ?? Uint8Array.of(0x61);
        });
        expect(found).toEqual({ have: sets.onlyLeft, need: sets.onlyRight });
      }),
      { numRuns: 1000 },
    );
  });

  test("both find the same when we answer", () => {
    fc.assert(
      fc.property(shapes(400), frameLimits, frameLimits, (shape, ourLimit, otherLimit) => {
        const sets = makeTwoSets(shape);
        const set = new ItemSet(sets.right);
        const other = new OtherNegentropy(sets.left, otherLimit);
        let message: Uint8Array | undefined = other.open();
        for (let trips = 0; message; trips++) {
          expect(trips).toBeLessThan(200);
          message = other.take(respond(set, message, options(ourLimit)));
        }
        expect([...other.have].sort()).toEqual(sets.onlyLeft);
        expect([...other.need].sort()).toEqual(sets.onlyRight);
      }),
      { numRuns: 1000 },
    );
  });

  // With a limit the other one, like the reference it follows, closes a full message with a fingerprint that leaves out
  // the range it had to drop. So one round may miss some or report too many, but the next ones come to the end.
  test("rounds with a responder that limits its frames end in equal sets", () => {
    fc.assert(
      fc.property(shapes(1000), frameLimits, (shape, limit) => {
        const sets = makeTwoSets(shape);
        const everything = new Map([...sets.left, ...sets.right].map((item) => [item.digest, item]));
        const [left, right] = [new ItemSet(sets.left), new ItemSet(sets.right)];
        for (let rounds = 0; left.fingerprint().fingerprint !== right.fingerprint().fingerprint; rounds++) {
          expect(rounds).toBeLessThan(10);
          const other = new OtherNegentropy(right, 4096);
          const found = run(left, options(limit), (message) => other.take(message) ?? Uint8Array.of(0x61));
          for (const digest of found.need) left.insert(everything.get(digest)!);
          for (const digest of found.have) right.insert(everything.get(digest)!);
        }
        expect(left.size).toBe(everything.size);
      }),
      { numRuns: 200 },
    );
  });
});

function options(frameBytesMax: number | undefined): RoundOptions {
  return frameBytesMax === undefined ? {} : { frameBytesMax };
}

/** Runs a round to its end; digests are sorted, and told once. */
function run(set: ItemSet, options: RoundOptions, answer: (message: Uint8Array) => Uint8Array) {
  const round = new Round(set, options);
  const have = new Set<string>();
  const need = new Set<string>();
  for (let message: Uint8Array | undefined = round.open(); message; ) {
    const step = round.take(answer(message));
    for (const digest of step.have) have.add(digest);
    for (const digest of step.need) need.add(digest);
    message = step.reply;
  }
  return { have: [...have].sort(), need: [...need].sort() };
}
