import { expect, test } from "vitest";
import { reportPage, type SimulationReport } from "../../../src/hub/simulate/index.js";

const HOSTILE = "\u001b[2J</script><script>alert(1)</script>\u202e\u2028\u009b&\"'";

const REPORT = {
  ...{ type: "simulation", hubs: [HOSTILE], clients: 2, messages: 1, size: 24, seconds: 1 },
  ...{ deliveriesPerSecond: 1, payloadBytesPerSecond: 24, timeline: [], histogram: [] },
  latency: { intended: { p50Ms: 1, p99Ms: 1, maxMs: 1 }, actual: { p99Ms: 1 } },
  proof: { ...{ expected: 2, pairs: 2, delivered: false, faulty: [], closed: [] } },
  bottleneck: { bottleneck: HOSTILE, why: HOSTILE },
  hubProcess: { cpuUsPerDelivery: 1, memoryPeakBytes: 1, closed: { [HOSTILE]: 1 } },
} as unknown as SimulationReport;

test("no text in a report makes an element of its page, or acts on whoever reads its source", () => {
  const page = reportPage(REPORT);
  expect(page.match(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)).toBeNull();
  expect(page.match(/<script\b[^>]*>/g)).toEqual(['<script type="application/json" id="report">']);
  const json = /id="report">(.*)<\/script>/.exec(page)![1]!;
  expect(JSON.parse(json)).toEqual(REPORT);
});
