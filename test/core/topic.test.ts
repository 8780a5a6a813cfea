import { describe, expect, it, test } from "vitest";
import { hasTopic, isWithin, topicAdvice, topicFault, topicOf } from "../../src/core/topic.js";

test.each([
  ["alerts/disk/9f", "alerts/disk"],
  ["alerts/9f", "alerts"],
  ["a b/ä/ /x", "a b/ä/ "],
  ["./..", "."],
  ["9f", undefined],
  ["", undefined],
  ["/", undefined],
  ["/9f", undefined],
  ["alerts/", undefined],
  ["alerts//9f", undefined],
  ["alerts/9f/", undefined],
  ["//", undefined],
])("the topic of %j is %j", (id, topic) => {
  expect(topicOf(id)).toBe(topic);
});

describe("a filter", () => {
  it.each([
    ["alerts", "alerts", true],
    ["alerts/disk", "alerts", true],
    ["alerts/disk/db1", "alerts/disk", true],
    ["alerts", "alerts/disk", false],
    ["alertsx", "alerts", false],
    ["alerts-2/disk", "alerts", false],
    ["Alerts", "alerts", false],
  ])("of the topic %j by %j: %j", (topic, filter, matches) => {
    expect(isWithin(topic, filter)).toBe(matches);
    expect(hasTopic(`${topic}/x`, filter)).toBe(matches);
  });

  it("leaves out ids that are no path", () => {
    for (const id of ["alerts", "alerts/", "alerts//x", "/alerts/x"])
      expect(hasTopic(id, "alerts")).toBe(false);
  });
});

test.each([
  ["alerts", undefined, []],
  ["alerts/disk", undefined, []],
  ["", "it is empty", [/such as alerts\/disk/]],
  ["/", /empty segment/, [/such as alerts\/disk/]],
  ["alerts/", /empty segment/, [/^Write alerts: /]],
  ["//alerts//disk", /empty segment/, [/^Write alerts\/disk: /]],
  ["a\nb", "it has a control character", [/such as/]],
  ["\ud800", /lone surrogate/, [/such as/]],
  ["é".repeat(127), undefined, []],
  [`${"é".repeat(127)}x`, "it has 255 bytes; at most 254 are allowed", [/such as/]],
])("as a topic, %j has the fault %s", (text, fault, advice) => {
  if (fault instanceof RegExp) expect(topicFault(text)).toMatch(fault);
  else expect(topicFault(text)).toBe(fault);
  for (const [index, pattern] of advice.entries()) expect(topicAdvice(text)[index]).toMatch(pattern);
});
