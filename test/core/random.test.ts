import { expect, it } from "vitest";
import { seededRandom } from "../../src/sim/determinism.js";

const take = (seed: string, count: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, random);
};

it("gives the same numbers for the same seed, on every machine", () => {
  expect(take("hubcast", 3)).toMatchInlineSnapshot(`
    [
      0.9530644384212792,
      0.48955769557505846,
      0.6903716439846903,
    ]
  `);
});

it("gives others for another seed", () => {
  expect(take("seed 1", 5)).not.toEqual(take("seed 2", 5));
});

it("spreads evenly over [0, 1)", () => {
  const counts = new Array<number>(10).fill(0);
  for (const value of take("even", 100_000)) counts[Math.floor(value * 10)]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});
