import { expect, test } from "vitest";
import { reportPage, type SimulationReport } from "../../../src/hub/simulate/index.js";

const HOSTILE = "\u001b[2J</script><script>alert(1)</script>\u202e\u2028\u009b&\"'";

const QUANTILES = { p50Ms: 0.471, p90Ms: 9.5, p99Ms: 40_952, p999Ms: 40_960.4, maxMs: 41_000 };
const TRAFFIC = { messages: 15, bytes: 1_800, messagesPerClient: 5, bytesPerClient: 600 };
const FAULTS = { lost: 0, duplicated: 0, outOfOrder: 0, corrupt: 0, unsent: 0 };
const moment = (atMs: number) => {
  return { atMs, lengthMs: 100, deliveries: 1_000, bytes: 1e6, p50Ms: 1, p99Ms: 2, maxMs: 3 };
};

const REPORT: SimulationReport = {
  ...{
    type: "simulation",
    startedAtMs: Date.UTC(2026, 0, 31, 12, 30, 5),
    clients: 3,
    messages: 5,
    size: 100,
  },
  versions: { hubcast: "1.2.3", node: "24.0.1" },
  machine: { system: "Linux 6.1 x64", processors: 8, model: "Model 7", memoryBytes: 16 * 2 ** 30 },
  ...{ intervalMs: 0, workers: 1, seconds: 0.009, sent: TRAFFIC, received: TRAFFIC },
  ...{ deliveriesPerSecond: 3_333.3, payloadBytesPerSecond: 333_333 },
  latency: { intended: QUANTILES, actual: QUANTILES },
  pauseMaxMs: 2,
  proof: { ...FAULTS, expected: 30, pairs: 6, delivered: true, faulty: [], faultyLeftOff: 0, closed: [] },
  bottleneck: { bottleneck: "neither", why: "nobody was busy all the time" },
  hubProcess: { cpuSeconds: 0.1, cpuUsPerDelivery: 90, loop: 0.2, memoryPeakBytes: 63_648_563, closed: {} },
  generator: { cpuSeconds: 0.2, workers: [{ loop: 0.1, cpu: 0.1 }] },
  timeline: [moment(0)],
  histogram: [[2_000, 2_100, 30]],
};

/** The words of a page, as somebody reads them. */
function textOf(page: string): string {
  const body = page.replace(/<(style|script)\b.*?<\/\1>/gs, "").replace(/<title>[^<]*<\/title>/g, "");
  return body.replace(/<[^>]+>/g, " ").replace(/\s+/g, " ");
}

test("no text in a report makes an element of its page, or acts on whoever reads its source", () => {
  const report = {
    ...REPORT,
    hubs: [HOSTILE],
    versions: { hubcast: HOSTILE, node: HOSTILE },
    machine: { ...REPORT.machine, system: HOSTILE, model: HOSTILE },
    bottleneck: { bottleneck: "hub", why: HOSTILE },
    hubProcess: { ...REPORT.hubProcess!, closed: { [HOSTILE]: 1 } },
    chaos: {
      share: 0.1,
      healthy: 2,
      chaotic: 1,
      p99MsWithout: 1,
      p99MsWith: 1,
      score: 1,
      proofWithout: REPORT.proof,
    },
  } satisfies SimulationReport;
  const page = reportPage(report, HOSTILE);
  expect(page.match(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)).toBeNull();
  expect(page.match(/<script\b[^>]*>/g)).toEqual(['<script type="application/json" id="report">']);
  const json = /id="report">(.*)<\/script>/.exec(page)![1]!;
  expect(JSON.parse(json)).toEqual(report);
});

test("a page says what was run, when, where, and with what result, in sentences and whole numbers", () => {
  const text = textOf(reportPage(REPORT, "hubcast hub simulate -c 3 --report 'my load.html'"));
  for (const words of [
    "3 clients, 5 messages of 100 B each",
    "All 30 messages between 6 pairs of clients arrived once, in order, unchanged.",
    "Neither the hub nor the generator of the load was the limit: nobody was busy all the time.",
    "command hubcast hub simulate -c 3 --report 'my load.html'",
    "started 2026-01-31 12:30:05 UTC",
    "versions hubcast 1.2.3, Node.js 24.0.1",
    "machine 8 processors (Model 7), 16 GiB of memory, Linux 6.1 x64",
    "memory of the hub at most 60.7 MiB",
    "milliseconds 50 % 90 % 99 % 99.9 % max",
    "0.47 9.50 40,952 40,960 41,000",
  ])
    expect(text).toContain(words);
});

test("a run of 9 ms has no course over time, says so, and shows how long deliveries took", () => {
  const page = reportPage(REPORT, "");
  expect(textOf(page)).toContain(
    "The run took 9 ms, and figures are taken every 100 ms: there is no course over time",
  );
  expect(page.match(/<svg/g)).toHaveLength(1);
  expect(page).not.toContain("<polyline");
  expect(page).not.toMatch(/>[\d.,]*e-?\d+</);
});

test("the points of a short run are shown beside their line, and its last interval counts as long as it was", () => {
  const timeline = [moment(0), moment(100), { ...moment(200), deliveries: 500 }];
  const page = reportPage({ ...REPORT, seconds: 0.25, timeline }, "");
  expect(page.match(/<polyline/g)).toHaveLength(4);
  expect(page.match(/<circle class="\w shown"/g)).toHaveLength(12);
  expect([...page.matchAll(/<title>deliveries: (\S+) a second/g)].map(([, rate]) => rate)).toEqual([
    "10k",
    "10k",
    "10k",
  ]);
});

test("a run without a delivery says that there is nothing to draw", () => {
  const proof = { ...REPORT.proof, lost: 30, delivered: false };
  const text = textOf(reportPage({ ...REPORT, proof, seconds: 0, timeline: [], histogram: [] }, ""));
  expect(text).toContain("Of 30 messages between 6 pairs of clients, 30 were lost, 0 came twice,");
  expect(text).toContain("Nothing was delivered, so there is nothing to draw.");
});
