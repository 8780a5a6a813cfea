import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { fingerprintSince } from "../../../src/node/replica/holdings.js";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

test.each([
  // retention, step, guard
  [LIMITS.retentionMs, MINUTE_MS, MINUTE_MS / 2],
  [10 * MINUTE_MS, MINUTE_MS, MINUTE_MS / 2],
  [2 * MINUTE_MS, 12 * SECOND_MS, 6 * SECOND_MS],
  [MINUTE_MS, 6 * SECOND_MS, 3 * SECOND_MS],
  [30 * SECOND_MS, 3 * SECOND_MS, 2 * SECOND_MS],
  [10 * SECOND_MS, SECOND_MS, 2 * SECOND_MS],
])(
  "with a retention of %d ms the window moves by %d ms, at least %d ms before items expire",
  (retentionMs, stepMs, guardMs) => {
    const beginMs = 1_790_000_000_000;
    for (let nowMs = beginMs; nowMs < beginMs + 3 * stepMs; nowMs += 250) {
      const sinceMs = fingerprintSince(nowMs, retentionMs);
      expect(sinceMs % stepMs).toBe(0);
      const aheadMs = sinceMs - (nowMs - retentionMs);
      expect(aheadMs).toBeGreaterThan(guardMs);
      expect(aheadMs).toBeLessThanOrEqual(guardMs + stepMs);
      // Items that gossip has settled are in the window, most of the retention long.
      expect(nowMs - LIMITS.settleMs - sinceMs).toBeGreaterThanOrEqual(retentionMs / 2);
    }
  },
);

test("a retention that leaves nothing to compare has an empty window, not one of all items", () => {
  for (let nowMs = 1_790_000_000_000; nowMs < 1_790_000_003_000; nowMs += 250)
    expect(fingerprintSince(nowMs, LIMITS.retentionMsMin)).toBeGreaterThan(nowMs);
});
