import { describe, expect, it } from "vitest";
import { hubcast } from "./cli.js";

const SMALL = ["broadcast", "simulate", "--nodes", "4", "--items", "40", "--duration", "4s"];

describe("hubcast broadcast simulate", () => {
  it("prints what agreement took, and the line that runs it again", async () => {
    const { stdout, code } = await hubcast([...SMALL, "--loss", "0.1", "--partition", "2", "--seed", "7"]);
    expect(code).toBe(0);
    for (const name of [
      "agreement",
      "rules",
      "converged",
      "healed",
      "messages",
      "bytes",
      "redundancy",
      "sync",
    ])
      expect(stdout).toMatch(new RegExp(`^${name} +\\S`, "m"));
    expect(stdout).toContain(
      "hubcast broadcast simulate --nodes 4 --items 40 --loss 0.1 --partition 2 --duration 4000ms --seed 7",
    );
  });

  it("gives one document, the same for the same seed but for what it cost", async () => {
    const [first, second] = await Promise.all([1, 2].map(() => hubcast([...SMALL, "--seed", "3", "--json"])));
    const report = JSON.parse(first!.stdout);
    expect(report).toMatchObject({
      options: { seed: 3, nodes: 4 },
      convergenceMs: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
      messagesPerNode: { p50: expect.any(Number) },
      redundancy: expect.any(Number),
      roundsPerNode: expect.any(Number),
    });
    const cost = { tookMs: 0, cpuMs: 0, memoryBytes: 0 };
    expect({ ...JSON.parse(second!.stdout), ...cost }).toEqual({ ...report, ...cost });
  });

  it("takes a random seed without one, and says which", async () => {
    const { stdout } = await hubcast([...SMALL, "--json"]);
    expect(JSON.parse(stdout).replay).toMatch(/--seed \d+$/);
  });

  it.each([
    ["--loss", "1.5"],
    ["--churn", "-1"],
    ["--nodes", "0"],
    ["--retention", "1ms"],
    ["--loss", "0.95"],
  ])("refuses %s %s", async (flag, value) => {
    const { stderr, code } = await hubcast(["broadcast", "simulate", `${flag}=${value}`]);
    expect(code).toBe(2);
    expect(stderr).toContain(value.replace("1ms", "1"));
  });
});
