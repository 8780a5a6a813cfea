import { Parser } from "@oclif/core";
import { describe, expect, it } from "vitest";
import { countFlag, durationFlag, instantFlag, portFlag, sizeFlag, waitFlag } from "../../src/cli/flags.js";

const flags = {
  count: countFlag({ min: 2, max: 4 }),
  duration: durationFlag({}),
  instant: instantFlag({}),
  port: portFlag({}),
  size: sizeFlag({}),
  wait: waitFlag({}),
};

async function parsed(...argv: string[]): Promise<Record<string, unknown>> {
  const result = await Parser.parse(argv, { flags, strict: true });
  return result.flags;
}

describe("a flag", () => {
  it.each([
    ["count", "3", 3],
    ["duration", "1h30m", 5_400_000],
    ["duration", "1.5ms", 2],
    ["duration", "1.005s", 1_005],
    ["duration", "24d", 2_073_600_000],
    ["instant", "2026-01-31T12:00:00Z", Date.parse("2026-01-31T12:00:00Z")],
    ["port", "0", 0],
    ["port", "65535", 65_535],
    ["size", "64KiB", 65_536],
    ["wait", "all", "all"],
    ["wait", "2", 2],
  ])("--%s %s is %j", async (name, text, value) => {
    expect(await parsed(`--${name}`, text)).toEqual({ [name]: value });
  });

  it.each([
    ["count", "1"],
    ["count", "5"],
    ["count", "3.0"],
    ["duration", "5"],
    ["duration", "25d"],
    ["port", "65536"],
    ["port", "-1"],
    ["size", "big"],
    ["wait", "0"],
  ])("--%s %s is refused as usage", async (name, text) => {
    await expect(parsed(`--${name}`, text)).rejects.toMatchObject({ code: "usage" });
  });
});
