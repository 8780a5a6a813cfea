import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram } from "../../src/core/histogram.js";

const values = fc.array(fc.oneof(fc.nat(300), fc.nat(100_000), fc.nat(2 ** 31 - 1)), { minLength: 1 });

function histogramOf(all: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of all) histogram.record(value);
  return histogram;
}

describe("a histogram", () => {
  it("gives quantiles that are at most 0.8 % above the exact ones", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
        const sorted = all.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * all.length)) - 1]!;
        const quantile = histogramOf(all).quantile(share);
        expect(quantile).toBeGreaterThanOrEqual(exact);
        expect(quantile).toBeLessThanOrEqual(exact * 1.008);
      }),
    );
  });

  it("added to another is as if all had been recorded in one, also from its counts", () => {
    fc.assert(
      fc.property(values, values, (some, others) => {
        const sum = histogramOf(some);
        const other = histogramOf(others);
        sum.add(new Histogram(other.counts.slice(), other.max));
        const both = histogramOf([...some, ...others]);
        expect([sum.count, sum.max, sum.classes()]).toEqual([both.count, both.max, both.classes()]);
      }),
    );
  });

  it("has classes that follow each other and hold everything", () => {
    fc.assert(
      fc.property(values, (all) => {
        const classes = histogramOf(all).classes();
        for (const [from, to, count] of classes) {
          expect(all.filter((value) => value >= from && value <= to).length).toBe(count);
        }
        expect(classes.reduce((sum, [, , count]) => sum + count, 0)).toBe(all.length);
      }),
    );
  });

  it("is empty, or empty again, with quantiles of 0", () => {
    const histogram = histogramOf([5, 500]);
    histogram.clear();
    expect([histogram.count, histogram.max, histogram.quantile(0.5), new Histogram().quantile(1)]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  it("takes what is out of range as the nearest that is in it", () => {
    const histogram = histogramOf([-5, 1e12, 0.9]);
    expect(histogram.classes().map(([from, , count]) => [from, count])[0]).toEqual([0, 2]);
    expect(histogram.max).toBe(2 ** 31 - 1);
  });
});
