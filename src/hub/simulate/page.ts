import { safeJson, visible } from "../../core/text.js";
import type { SimulationReport } from "./report.js";

/** Bars of the histogram; neighbouring classes are joined to this many. */
const BARS_MAX = 48;

/** A self-contained HTML page: figures, charts over time, the histogram, and the report itself as JSON. */
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
<script type="application/json" id="report">${safeJson(JSON.stringify(report)).replaceAll("<", "\\u003c")}</script>
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
    ...(report.schedule
      ? [["asked for/s", grouped(report.schedule.askedPerSecond)] as [string, string]]
      : []),
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

/** Escapes markup and characters that change the reading order. */
function escaped(text: string): string {
  return visible(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

export interface Line {
  readonly name: string;
  /** The CSS class of its colour. */
  readonly tone: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Axes {
  readonly title: string;
  /** HTML behind the title. */
  readonly legend?: string;
  readonly xUnit: string;
  readonly yUnit: string;
}

const WIDTH = 760;
const HEIGHT = 240;
const LEFT = 64;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 34;

/** Lines over time as SVG; each point has its values as a tooltip. */
function lineChart(lines: readonly Line[], axes: Axes): string {
  const all = lines.flatMap(({ points }) => points);
  const xMax = Math.max(...all.map(([x]) => x), 1e-9);
  const yMax = Math.max(...all.map(([, y]) => y), 1e-9);
  const steps = niceSteps(yMax);
  const top = steps.at(-1)!;
  const x = (value: number): number => LEFT + (value / xMax) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const drawn = lines.map(({ name, tone, points }) => {
    const path = points.map(([px, py]) => `${fixed(x(px))},${fixed(y(py))}`).join(" ");
    const dots = points.map(
      ([px, py]) =>
        `<circle class="${tone}" cx="${fixed(x(px))}" cy="${fixed(y(py))}" r="3"><title>${name}: ${axisLabel(py)} ${axes.yUnit} at ${axisLabel(px)} ${axes.xUnit}</title></circle>`,
    );
    return `<polyline class="${tone}" points="${path}"/>${dots.join("")}`;
  });
  const ticks = niceSteps(xMax).filter((value) => value <= xMax);
  return svg(axes, [...grid(steps, y), ...ticks.map((value) => xTick(x(value), axisLabel(value))), ...drawn]);
}

/** Bars between two values each, on a logarithmic axis. @param bars `[from, to, count]`, from above 0 */
function barChart(bars: readonly (readonly [from: number, to: number, count: number])[], axes: Axes): string {
  const low = Math.log10(Math.max(1e-3, Math.min(...bars.map(([from]) => from))));
  const high = Math.log10(Math.max(...bars.map(([, to]) => to), 1e-2));
  const steps = niceSteps(Math.max(...bars.map(([, , count]) => count), 1));
  const top = steps.at(-1)!;
  const x = (value: number): number =>
    LEFT + ((Math.log10(Math.max(value, 1e-3)) - low) / Math.max(1e-9, high - low)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const drawn = bars.map(([from, to, count]) => {
    const width = Math.max(1, x(to) - x(from) - 1);
    return `<rect class="a" x="${fixed(x(from))}" y="${fixed(y(count))}" width="${fixed(width)}" height="${fixed(HEIGHT - BOTTOM - y(count))}"><title>${axisLabel(from)} to ${axisLabel(to)} ${axes.xUnit}: ${count.toLocaleString("en")} ${axes.yUnit}</title></rect>`;
  });
  const decades = Array.from({ length: 9 }, (_, index) => 10 ** (index - 3)).filter(
    (value) => Math.log10(value) >= low && Math.log10(value) <= high,
  );
  const ticks = decades.length > 1 ? decades : [10 ** low, 10 ** high];
  return svg(axes, [...grid(steps, y), ...ticks.map((value) => xTick(x(value), axisLabel(value))), ...drawn]);
}

function svg({ title, legend = "", xUnit, yUnit }: Axes, parts: readonly string[]): string {
  return `<figure><figcaption>${title}${legend}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${parts.join("\n")}
<text class="unit" x="${WIDTH - RIGHT}" y="${HEIGHT - 4}" text-anchor="end">${xUnit}</text>
<text class="unit" x="4" y="${HEIGHT - 4}">${yUnit}</text>
</svg></figure>`;
}

function grid(steps: readonly number[], y: (value: number) => number): string[] {
  return steps.map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(value))}" y2="${fixed(y(value))}"/><text x="${LEFT - 6}" y="${fixed(y(value) + 4)}" text-anchor="end">${axisLabel(value)}</text>`,
  );
}

function xTick(x: number, label: string): string {
  return `<text x="${fixed(x)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${label}</text>`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}

/** Round values from 0 to at least `max`, for an axis: 4 to 6 of them, each 1, 2 or 5 times a power of ten. */
function niceSteps(max: number): number[] {
  const rough = max / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const count = Math.ceil(max / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/** `1.2M`, `350k`, `12`, `0.05`. */
function axisLabel(value: number): string {
  if (value >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

const PAGE_STYLE = `
:root { color-scheme: light dark; --a: #0b7285; --b: #e8590c; --c: #adb5bd; --line: #8884; --good: #2b8a3e; --bad: #c92a2a; }
@media (prefers-color-scheme: dark) { :root { --a: #3bc9db; --b: #ffa94d; --c: #868e96; --good: #69db7c; --bad: #ff8787; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 800px; margin: 0 auto; padding: 24px 20px; }
h1 { font-size: 22px; margin: 0 0 8px; }
p { margin: 4px 0; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 8px; margin: 20px 0; }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; }
dt { font-size: 12px; opacity: .75; }
dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums; }
figure { margin: 24px 0; }
figcaption { font-weight: 600; margin-bottom: 4px; }
svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: currentColor; opacity: .75; }
svg line { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.8; }
polyline.a { stroke: var(--a); } polyline.b { stroke: var(--b); } polyline.c { stroke: var(--c); }
circle { opacity: 0; } circle:hover { opacity: 1; }
rect.a, circle.a { fill: var(--a); } circle.b { fill: var(--b); } circle.c { fill: var(--c); }
b.a { color: var(--a); } b.b { color: var(--b); } b.c { color: var(--c); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); }
`;
