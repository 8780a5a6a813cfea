import type { SimulationReport } from "../report.js";
import { barChart, lineChart } from "./chart.js";
import { PAGE_STYLE } from "./style.js";

/** Bars of the histogram; neighbouring classes are joined until there are no more. */
const BARS_MAX = 48;

/** One HTML page that needs nothing else: figures, charts over time, the histogram, and the report itself as JSON. */
export function reportPage(report: SimulationReport): string {
  const { clients, messages, size, proof, timeline } = report;
  const title = `${clients} clients, ${messages} messages of ${size} bytes`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hub simulate: ${title}</title>
<style>${PAGE_STYLE}</style>
<main>
<h1>${title}</h1>
<p class="${proof.delivered ? "good" : "bad"}">${proofText(report)}</p>
<p>${escaped(report.bottleneck.bottleneck)}: ${escaped(report.bottleneck.why)}</p>
${figures(report)}
${timeline.length > 0 ? charts(report) : "<p>Nothing was delivered.</p>"}
${faultTable(report)}
</main>
<script type="application/json" id="report">${JSON.stringify(report).replaceAll("<", "\\u003c")}</script>
</html>
`;
}

function proofText({ proof }: SimulationReport): string {
  const { expected, pairs, lost, duplicated, outOfOrder, corrupt, unsent } = proof;
  const of = `${grouped(expected)} messages of ${grouped(pairs)} pairs`;
  if (proof.delivered) return `All ${of} arrived once, in order, unchanged.`;
  return `Of ${of}: ${grouped(lost)} lost, ${grouped(duplicated)} duplicated, ${grouped(outOfOrder)} out of order, ${grouped(corrupt)} corrupt, ${grouped(unsent)} never sent.`;
}

function figures(report: SimulationReport): string {
  const { latency, hubProcess, chaos } = report;
  const tiles: [string, string][] = [
    ["deliveries/s", grouped(report.deliveriesPerSecond)],
    ["MB/s", (report.payloadBytesPerSecond / 1e6).toFixed(1)],
    ["seconds", report.seconds.toFixed(2)],
    ["p50 ms", latency.intended.p50Ms.toFixed(2)],
    ["p99 ms", latency.intended.p99Ms.toFixed(2)],
    ["max ms", latency.intended.maxMs.toFixed(2)],
    ["p99 ms from writing", latency.actual.p99Ms.toFixed(2)],
  ];
  if (hubProcess) {
    tiles.push(["hub us/delivery", hubProcess.cpuUsPerDelivery.toFixed(3)]);
    tiles.push(["hub MiB at most", (hubProcess.memoryPeakBytes / 2 ** 20).toFixed(0)]);
  }
  if (chaos) tiles.push(["isolation score", chaos.score.toFixed(2)]);
  return `<dl>${tiles.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>`;
}

function charts({ timeline, histogram }: SimulationReport): string {
  const at = (moment: { atMs: number }): number => moment.atMs / 1_000;
  const throughput = timeline.map(
    (moment) => [at(moment), (moment.deliveries * 1_000) / moment.lengthMs] as const,
  );
  const delivered = timeline.filter(({ deliveries }) => deliveries > 0);
  const latency = [
    { name: "max", tone: "c", points: delivered.map((moment) => [at(moment), moment.maxMs] as const) },
    { name: "p99", tone: "b", points: delivered.map((moment) => [at(moment), moment.p99Ms] as const) },
    { name: "p50", tone: "a", points: delivered.map((moment) => [at(moment), moment.p50Ms] as const) },
  ];
  return [
    lineChart([{ name: "deliveries", tone: "a", points: throughput }], {
      title: "Deliveries a second",
      xUnit: "s",
      yUnit: "/s",
    }),
    lineChart(latency, {
      title: "Latency from when a message was due",
      legend: ': <b class="a">p50</b> <b class="b">p99</b> <b class="c">max</b>',
      xUnit: "s",
      yUnit: "ms",
    }),
    barChart(joined(histogram), {
      title: "How many deliveries took how long",
      xUnit: "ms",
      yUnit: "deliveries",
    }),
  ].join("\n");
}

/** Classes of the histogram as bars of equal width on a logarithmic axis, in ms. */
function joined(histogram: SimulationReport["histogram"]): [from: number, to: number, count: number][] {
  const low = Math.log(Math.max(1, histogram[0]?.[0] ?? 1));
  const high = Math.log(Math.max(2, (histogram.at(-1)?.[1] ?? 1) + 1));
  const width = Math.max((high - low) / BARS_MAX, 1e-9);
  const bars = Array.from({ length: BARS_MAX }, (_, index): [number, number, number] => [
    Math.exp(low + index * width) / 1_000,
    Math.exp(low + (index + 1) * width) / 1_000,
    0,
  ]);
  for (const [from, , count] of histogram) {
    const index = Math.floor((Math.log(Math.max(1, from)) - low) / width + 1e-9);
    bars[Math.min(BARS_MAX - 1, index)]![2] += count;
  }
  return bars.filter(([, , count]) => count > 0);
}

function faultTable({ proof }: SimulationReport): string {
  if (proof.faulty.length === 0) return "";
  const rows = proof.faulty.slice(0, 100).map(({ from, to, lost, duplicated, outOfOrder, corrupt }) => {
    const cells = [from ?? "?", to, lost, duplicated, outOfOrder, corrupt];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const head = ["from client", "to client", "lost", "duplicated", "out of order", "corrupt"];
  return `<table><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr>${rows.join("")}</table>`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
