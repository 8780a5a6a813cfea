import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  beginningIn,
  beginningLine,
  recordIn,
  recordLine,
  type StateRecord,
} from "../../../src/cli/exec/machine/records.js";

const digest = "0f".repeat(32);
const stamped = "2026-11-28T18:00:01.002Z";
const timestampMs = Date.parse(stamped);

test.each<[StateRecord, string]>([
  [
    { type: "waits", task: { digest, id: "a/b", timestampMs, key: "ab" }, place: "e-1" },
    `{"waits":"${digest}","id":"a/b","stamped":"${stamped}","key":"ab","place":"e-1"}`,
  ],
  [
    { type: "waits", task: { digest, id: "a", timestampMs } },
    `{"waits":"${digest}","id":"a","stamped":"${stamped}"}`,
  ],
  [{ type: "done", digest, timestampMs }, `{"done":"${digest}","stamped":"${stamped}"}`],
  [{ type: "dropped", digest }, `{"dropped":"${digest}"}`],
  [{ type: "place", seenMs: timestampMs, place: "e-1" }, `{"seen":"${stamped}","place":"e-1"}`],
])("%j is a line, and comes back from it", (record, line) => {
  expect(recordLine(record)).toBe(line);
  expect(recordIn(line)).toEqual(record);
});

test("any id comes back from its line, which is one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), (id) => {
      const record: StateRecord = { type: "waits", task: { digest, id, timestampMs } };
      const line = recordLine(record);
      expect(line).not.toContain("\n");
      expect(recordIn(line)).toEqual(record);
    }),
  );
});

test.each([
  "",
  "{",
  "null",
  "[]",
  "{}",
  `{"done":"${digest}"}`,
  `{"done":"0f","stamped":"${stamped}"}`,
  `{"waits":"${digest}","stamped":"${stamped}"}`,
  `{"waits":"${digest}","id":"a","stamped":"soon"}`,
  `{"waits":"${digest}","id":"a","stamped":"${stamped}","place":7}`,
  `{"dropped":7}`,
])("%s is no record", (line) => {
  expect(recordIn(line)).toBeUndefined();
});

describe("the first line", () => {
  test.each([
    { cluster: "c", sinceMs: timestampMs },
    { cluster: "c", topic: "alerts", sinceMs: timestampMs },
  ])("says whose state it is: %j", (beginning) => {
    expect(beginningIn(beginningLine(beginning))).toEqual(beginning);
  });

  test.each([
    ["#!/bin/sh", "its first line is not that of a state file"],
    ["{}", "its first line is not that of a state file"],
    ['{"hubcast":"watch","format":2}', "its format is 2, this hubcast knows 1"],
    ['{"hubcast":"watch","format":1,"cluster":"c"}', "its first line is damaged"],
  ])("%s is none: %s", (line, fault) => {
    expect(beginningIn(line)).toEqual({ fault });
  });
});
