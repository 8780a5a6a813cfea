import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { ReconcileError } from "../../../src/node/negentropy/message.js";
import { respond } from "../../../src/node/negentropy/respond.js";
import { Round, type RoundOptions } from "../../../src/node/negentropy/round.js";
import { CELL_WORDS, CELLS_MAX, Sketch } from "../../../src/node/negentropy/sketch.js";
import { decodeAnswer, encodeAnswer, encodeAsk } from "../../../src/node/negentropy/sketch-message.js";
import type { Item } from "../../../src/node/replica/item.js";
import { ItemSet } from "../../../src/node/replica/item-set/item-set.js";
import { digestOf, readDigest, zeroSum } from "../../../src/node/replica/item-set/sum.js";
import { makeItem } from "../replica/item-set/make-item.js";
import { OtherNegentropy } from "./other-negentropy.js";
import { digestsOf, makeTwoSets, shapes } from "./two-sets.js";

// Thousands of random sets take seconds, on a busy machine many.
vi.setConfig({ testTimeout: 120_000 });

type Answer = (message: Uint8Array) => Uint8Array;
const term = (digest: string) => readDigest(digest, zeroSum());

function sketchOf(digests: Iterable<string>): Sketch {
  const sketch = new Sketch();
  for (const digest of digests) sketch.add(term(digest));
  return sketch;
}

/** A set with its sketch, as a node has them. */
function side(items: readonly Item[], options: RoundOptions = {}) {
  const set = new ItemSet(items);
  const sketch = sketchOf(items.map(({ digest }) => digest));
  const all = { ...options, sketch };
  return {
    set,
    sketch,
    round: new Round(set, all),
    answer: (message: Uint8Array) => respond(set, message, all),
  };
}

/** Runs a round to its end; digests are sorted, and told once. */
function run(round: Round, answer: Answer) {
  const [have, need] = [new Set<string>(), new Set<string>()];
  let [bytes, trips] = [0, 0];
  for (let message: Uint8Array | undefined = round.open(); message; trips++) {
    const said = answer(message);
    bytes += message.length + said.length;
    const step = round.take(said);
    for (const digest of step.have) have.add(digest);
    for (const digest of step.need) need.add(digest);
    message = step.reply;
  }
  return { have: [...have].sort(), need: [...need].sort(), bytes, trips };
}

/** Two sets of which so many items, spread over both, are on one side only. */
function twoOf(common: number, differences: number) {
  const items = Array.from({ length: common + differences }, (_, serial) =>
    makeItem(serial, (serial * 7919) % 65_537),
  );
  const isOnly = (serial: number, half: number) => serial >= common && serial % 2 === half;
  const without = (half: number) => items.filter((_, serial) => !isOnly(serial, half));
  const only = (half: number) => digestsOf(items.filter((_, serial) => isOnly(serial, half)));
  return { left: without(1), right: without(0), onlyLeft: only(0), onlyRight: only(1) };
}

describe("a round with sketches", () => {
  test.each([
    ["100", 100, 10_000],
    ["1,000", 1_000, 80_000],
  ])(
    "finds %s spread differences of a large set in one round trip after the fingerprint",
    (_, count, bytesMax) => {
      const sets = twoOf(100_000, count);
      const { round } = side(sets.left);
      const found = run(round, side(sets.right).answer);
      expect(found).toMatchObject({ have: sets.onlyLeft, need: sets.onlyRight, trips: 2 });
      expect(found.bytes).toBeLessThan(bytesMax);
      expect(round).toMatchObject({ means: "sketch", hasSketchFailed: false });
    },
  );

  test("finds exactly what differs, whatever that is, in frames within the limit", () => {
    const frameLimit = fc.constantFrom(undefined, 4096, 10_000);
    let bySketch = 0;
    fc.assert(
      fc.property(shapes(500), frameLimit, (shape, limit) => {
        const sets = makeTwoSets(shape);
        const options = limit === undefined ? {} : { frameBytesMax: limit };
        const { round } = side(sets.left, options);
        const right = side(sets.right, options);
        const { have, need } = run(round, (message) => {
          const answer = right.answer(message);
          expect(answer.length).toBeLessThanOrEqual(limit ?? Number.POSITIVE_INFINITY);
          return answer;
        });
        expect({ have, need }).toEqual({ have: sets.onlyLeft, need: sets.onlyRight });
        if (round.means === "sketch") bySketch++;
      }),
      { numRuns: 300 },
    );
    expect(bySketch).toBeGreaterThan(0);
  });

  test("tells the differences as they were when the peer answered, though the set changes meanwhile", () => {
    const sets = twoOf(5_000, 100);
    const left = side(sets.left);
    const right = side(sets.right);
    const { have, need } = run(left.round, (message) => {
      const answer = right.answer(message);
      // Items that come while the answer is on its way: the peer has some of them, and lacks others.
      const news = [...sets.right.slice(-20), ...Array.from({ length: 200 }, (_, n) => makeItem(1e6 + n, n))];
      for (const item of message[0] === 0x6f ? news : [])
        if (left.set.insert(item)) left.sketch.add(term(item.digest));
      return answer;
    });
    expect(left.round.means).toBe("sketch");
    expect({ have, need }).toEqual({ have: sets.onlyLeft, need: sets.onlyRight });
  });

  test("stays with ranges where they are shorter", () => {
    const rows: [string, { left: readonly Item[]; right: readonly Item[] }][] = [
      ["one difference", twoOf(20_000, 1)],
      [
        "a set that is mostly missing",
        { left: twoOf(50_000, 0).left.slice(0, 5_000), right: twoOf(50_000, 0).left },
      ],
      ["close together", { left: lateItems(0), right: lateItems(1) }],
    ];
    for (const [what, { left, right }] of rows) {
      const { round } = side(left);
      let cells = 0;
      const found = run(round, (message) => {
        const answer = side(right).answer(message);
        if (answer[0] === 0x6f) cells += answer.length;
        return answer;
      });
      expect(found.have.length + found.need.length, what).toBeGreaterThan(0);
      expect([round.means, round.hasSketchFailed, cells], what).toEqual(["ranges", false, 0]);
    }
  });

  test("goes on by ranges with a peer that knows no sketches", () => {
    const sets = twoOf(3_000, 100);
    const set = new ItemSet(sets.right);
    const other = new OtherNegentropy(sets.right);
    const answers: Answer[] = [
      (message) => respond(set, message),
      (message) => (message[0] === 0x61 ? (other.take(message) ?? Uint8Array.of(0x61)) : Uint8Array.of(0x61)),
    ];
    for (const answer of answers) {
      const { round } = side(sets.left);
      expect(run(round, answer)).toMatchObject({ have: sets.onlyLeft, need: sets.onlyRight });
      expect(round).toMatchObject({ means: "ranges", hasSketchFailed: false });
    }
  });
});

describe("a peer that lies about its sketch", () => {
  const sets = twoOf(3_000, 100);
  const right = side(sets.right);
  const honest = (message: Uint8Array) => right.answer(message);
  const cellsLike = (change: (cells: Int32Array, index: number) => void) => (message: Uint8Array) => {
    const { fingerprint, cells } = decodeAnswer(honest(message));
    for (let index = 0; index < cells.length; index++) change(cells, index);
    return encodeAnswer(new Sketch(cells), cells.length / CELL_WORDS, fingerprint);
  };
  const omitting = sketchOf(sets.right.slice(1).map(({ digest }) => digest));
  const lies: [string, Answer][] = [
    ["with cells made up", cellsLike((cells, index) => (cells[index] = Math.imul(index, 0x9e3779b1)))],
    [
      "with one cell wrong",
      cellsLike((cells, index) => (cells[index] = cells[index]! ^ (index === 700 ? 1 : 0))),
    ],
    ["with one cell", (message) => honest(message).subarray(0, 17 + 36)],
    ["by leaving out one item", () => encodeAnswer(omitting, CELLS_MAX, right.set.fingerprint().fingerprint)],
    ["by another fingerprint", () => encodeAnswer(right.sketch, 500, "00".repeat(16))],
  ];

  test.each(lies)("%s changes nothing: ranges tell the truth", (_, lie) => {
    const { round } = side(sets.left);
    let asks = 0;
    const found = run(round, (message) => {
      if (message[0] !== 0x6f) return honest(message);
      asks++;
      return lie(message);
    });
    expect(found).toMatchObject({ have: sets.onlyLeft, need: sets.onlyRight });
    expect(round).toMatchObject({ means: "ranges", hasSketchFailed: true });
    expect(asks).toBeLessThanOrEqual(2);
  });

  test("makes at most one step a cell, whatever the cells", () => {
    const sketch = new Sketch();
    const word = fc.oneof(fc.constant(0), fc.integer());
    const cells = fc.array(fc.array(word, { minLength: CELL_WORDS, maxLength: CELL_WORDS }), {
      minLength: 1,
      maxLength: 60,
    });
    // Copies of a cell that is alone: each calls for the same digest again.
    const alone = sketchOf([hash("sha256", "x")]).cells.subarray(0, CELL_WORDS);
    const same = fc.nat(60).map((count) => Array.from({ length: count + 1 }, () => [...alone]));
    fc.assert(
      fc.property(fc.oneof(cells, same), (rows) => {
        const found = sketch.differences(Int32Array.from(rows.flat()));
        expect((found?.ours.length ?? 0) + (found?.theirs.length ?? 0)).toBeLessThanOrEqual(rows.length);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["no cells", Buffer.alloc(17, 0x6f)],
    ["half a cell", Buffer.alloc(17 + 40, 0x6f)],
    ["more cells than there are", Buffer.alloc(17 + 36 * (CELLS_MAX + 1), 0x6f)],
    ["ranges", Buffer.from(`61000001${"00".repeat(16)}`, "hex")],
    ["nothing", Buffer.alloc(0)],
  ])("is at fault for %s", (_, answer) => {
    const { round } = side(sets.left);
    expect(() => run(round, (message) => (message[0] === 0x6f ? answer : honest(message)))).toThrow(
      expect.objectContaining({ name: "ReconcileError", reason: "malformed" }),
    );
  });

  test("is at fault for an ask of another length", () => {
    const ask = encodeAsk(right.sketch);
    for (const length of [1, 3, ask.length - 1])
      expect(() => honest(ask.subarray(0, length))).toThrow(ReconcileError);
    expect(honest(ask)[0]).toBe(0x6f);
  });
});

describe("test vectors", () => {
  const file = new URL("../../vectors/sketches.json", import.meta.url);
  const { placements, exchanges } = JSON.parse(readFileSync(file, "utf8")) as {
    placements: { digest: string; check: number; cells: number[] }[];
    exchanges: {
      common: number;
      left: number;
      right: number;
      cells: number;
      ask: string;
      answer?: string;
      answerSha256: string;
    }[];
  };
  const digests = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, n) => hash("sha256", `${prefix}${n}`));

  test.each(placements)("$digest is in its cells", ({ digest, check, cells }) => {
    const sketch = sketchOf([digest]);
    const filled = Array.from({ length: CELLS_MAX }, (_, index) => index).filter(
      (index) => sketch.cells[index * CELL_WORDS] !== 0,
    );
    expect(filled).toEqual(cells);
    expect(sketch.cells[CELL_WORDS - 1]! >>> 0).toBe(check);
    expect(digestOf(Uint32Array.from(sketch.cells.subarray(0, 8)))).toBe(digest);
    sketch.remove(term(digest));
    expect(sketch.cells.every((word) => word === 0)).toBe(true);
  });

  test.each(exchanges)("$left and $right beside $common", ({ common, left, right, cells, ...vector }) => {
    const onlyLeft = digests("left", left);
    const onlyRight = digests("right", right);
    const ours = [...digests("common", common), ...onlyLeft];
    const theirs = [...digests("common", common), ...onlyRight];
    const ask = encodeAsk(sketchOf(ours), cells);
    expect(Buffer.from(ask).toString("hex")).toBe(vector.ask);
    const set = new ItemSet(theirs.map((digest) => ({ ...makeItem(0, 0), digest })));
    const answer = encodeAnswer(sketchOf(theirs), cells, set.fingerprint().fingerprint);
    expect(hash("sha256", answer)).toBe(vector.answerSha256);
    if (vector.answer !== undefined) expect(Buffer.from(answer).toString("hex")).toBe(vector.answer);
    const found = sketchOf(ours).differences(decodeAnswer(answer).cells)!;
    expect(found.ours.map(digestOf).sort()).toEqual(onlyLeft.sort());
    expect(found.theirs.map(digestOf).sort()).toEqual(onlyRight.sort());
  });

  test("there are some", () => expect([placements.length, exchanges.length]).toEqual([5, 3]));
});

/** Thousands of items in common, and 500 of one instant at the end. */
function lateItems(side: number): Item[] {
  const common = Array.from({ length: 20_000 }, (_, serial) => makeItem(serial, serial));
  const late = Array.from({ length: 500 }, (_, serial) => makeItem(30_000 + 500 * side + serial, 30_000));
  return [...common, ...late];
}
