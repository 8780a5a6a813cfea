import { render } from "ink-testing-library";
import { describe, expect, it } from "vitest";
import type { Snapshot } from "../../src/hub/simulate/index.js";
import { SimulationView } from "../../src/tui/simulation.js";

const SNAPSHOT: Snapshot = {
  ...{ run: "load", phase: "running", elapsedMs: 2_500, clients: 20, sent: 50, toSend: 100 },
  ...{ deliveries: 950, expected: 1_900, deliveriesPerSecond: 1_234.5, bytesPerSecond: 2_048 },
  ...{ p50Ms: 1.25, p99Ms: 7.5, closed: 0, hub: { rssBytes: 64 * 2 ** 20, loop: 0.5 } },
};

function frameOf(snapshot: Snapshot | undefined): string {
  return render(<SimulationView snapshot={snapshot} />).lastFrame()!;
}

describe("the view of a simulation", () => {
  it("shows how far it is, how fast and how late", () => {
    expect(frameOf(SNAPSHOT).split("\n")).toEqual([
      `${"█".repeat(20)}${"░".repeat(20)} 50 %  2.5 s`,
      "950 of 1,900 deliveries, 1,235/s, 2 KiB/s",
      "latency p50 1.3 ms, p99 7.5 ms",
      "hub 64 MiB, busy 50 %",
    ]);
  });

  it("names the run, and clients that were closed", () => {
    const frame = frameOf({ ...SNAPSHOT, run: "chaos", closed: 3 });
    expect(frame).toMatch(/^chaos run, █/);
    expect(frame).toContain("3 clients closed by the hub");
  });

  it("says what it waits for before it starts", () => {
    expect(frameOf(undefined)).toBe("starting…");
    expect(frameOf({ ...SNAPSHOT, phase: "connecting" })).toBe("20 clients: connecting…");
    expect(frameOf({ ...SNAPSHOT, phase: "meeting" })).toBe("20 clients: until all see all…");
  });
});
