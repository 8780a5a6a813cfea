import { counted, safeJson, visible } from "../../core/text.js";
import { formatCount, formatDuration, formatMs, formatSize } from "../../core/units.js";
import type { Proof } from "./proof/proof.js";
import type { Moment } from "./proof/statistics.js";
import type { Quantiles, SimulationReport } from "./report.js";

/** Bars of the histogram; neighbouring classes are joined to this many. */
const BARS_MAX = 48;

/** Points are drawn beside their line when there are no more than this. */
const DOTS_MAX = 40;

/**
 * A self-contained HTML page: what was run and where, figures, charts, and the report itself as JSON.
 * @param command the run, as it was typed
 */
export function reportPage(report: SimulationReport, command: string): string {
  const { clients, messages, size, proof } = report;
  const title = `${formatCount(clients)} clients, ${formatCount(messages)} messages of ${formatSize(size)} each`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hubcast hub simulate: ${title}</title>
<style>${PAGE_STYLE}</style>
<main>
<h1>${title}</h1>
<p class="${proof.delivered ? "good" : "bad"}">${proofText(proof)}</p>
<p>${bottleneckText(report)}</p>
${isolationText(report)}
${tiles(report)}
<h2>Latency</h2>
${latencyTable(report)}
<div class="charts">
${charts(report)}
</div>
${faultTable(report)}
<h2>The run</h2>
${facts(report, command)}
</main>
<script type="application/json" id="report">${safeJson(JSON.stringify(report)).replaceAll("<", "\\u003c")}</script>
</html>
`;
}

function proofText(proof: Proof): string {
  const { expected, pairs, lost, duplicated, outOfOrder, corrupt, unsent, closed } = proof;
  const of = `${formatCount(expected)} messages between ${formatCount(pairs)} pairs of clients`;
  if (expected === 0) return "All clients connected. No message was to be sent.";
  if (proof.delivered) return `All ${of} arrived once, in order, unchanged.`;
  const faults = `${formatCount(lost)} were lost, ${formatCount(duplicated)} came twice, ${formatCount(outOfOrder)} came out of order, ${formatCount(corrupt)} were corrupt, and ${formatCount(unsent)} were never sent`;
  const cut = closed.length === 0 ? "" : ` The hub closed ${counted(closed.length, "client")}.`;
  return `Not everything arrived as it was sent. Of ${of}, ${faults}.${cut}`;
}

const LIMIT = {
  hub: "The hub was the limit",
  generator: "The generator of the load was the limit, not the hub",
  neither: "Neither the hub nor the generator of the load was the limit",
} as const;

function bottleneckText({ bottleneck: { bottleneck, why } }: SimulationReport): string {
  return `${escaped(LIMIT[bottleneck])}: ${escaped(why)}.`;
}

function isolationText({ chaos, hubProcess }: SimulationReport): string {
  if (!chaos) return "";
  const { healthy, chaotic, p99MsWith, p99MsWithout, score, proofWithout } = chaos;
  const closed = Object.entries(hubProcess?.closed ?? {}).map(
    ([reason, count]) => `${formatCount(count)} with ${escaped(reason)}`,
  );
  const ended = closed.length === 0 ? "" : ` The hub ended connections: ${closed.join(", ")}.`;
  const fault = proofWithout.delivered
    ? ""
    : `<p class="bad">While all behaved: ${proofText(proofWithout)}</p>`;
  return `${fault}<p>Beside ${counted(chaotic, "client")} that misbehaved, 99 % of the deliveries to the ${formatCount(healthy)} others took ${formatMs(p99MsWith)} ms at most. While all behaved, it was ${formatMs(p99MsWithout)} ms: ${score.toFixed(2)} times as long.${ended}</p>`;
}

function tiles(report: SimulationReport): string {
  const { schedule, hubProcess, latency } = report;
  const shown: [name: string, value: string][] = [
    ["deliveries a second", formatCount(report.deliveriesPerSecond)],
    ["payload a second", `${formatMs(report.payloadBytesPerSecond / 1e6)} MB`],
    ["duration", formatDuration(report.seconds * 1_000)],
    ["latency, 99 %", `${formatMs(latency.intended.p99Ms)} ms`],
  ];
  if (schedule) {
    shown.push(["asked for a second", formatCount(schedule.askedPerSecond)]);
    shown.push(["of that, done", `${Math.floor(100 * schedule.kept)} %`]);
  }
  if (hubProcess) {
    shown.push(["processor time of the hub for a delivery", `${formatMs(hubProcess.cpuUsPerDelivery)} us`]);
    shown.push(["memory of the hub at most", formatSize(hubProcess.memoryPeakBytes)]);
  }
  if (report.chaos) shown.push(["isolation score, 1 is perfect", report.chaos.score.toFixed(2)]);
  return `<dl class="tiles">${shown.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("")}</dl>`;
}

function latencyTable({ latency, lateness }: SimulationReport): string {
  const row = (name: string, { p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: Quantiles) => [
    name,
    ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map(formatMs),
  ];
  const written = row("from when a message was written", latency.actual);
  const rows = lateness
    ? [row("from when a message was due", latency.intended), written, row("written late by", lateness)]
    : [written];
  return table(["milliseconds", "50 %", "90 %", "99 %", "99.9 %", "max"], rows);
}

/** The facts that a reader needs to judge the figures, or to measure them again. */
function facts(report: SimulationReport, command: string): string {
  const { startedAtMs, versions, machine, hubs, hubProcess, generator, intervalMs } = report;
  const { model, processors, system, memoryBytes } = machine;
  const rows: [name: string, value: string][] = [
    ["command", `<code>${escaped(command)}</code>`],
    ["started", `${new Date(startedAtMs).toISOString().replace("T", " ").slice(0, 19)} UTC`],
    ["versions", `hubcast ${escaped(versions.hubcast)}, Node.js ${escaped(versions.node)}`],
    [
      "machine",
      `${counted(processors, "processor")}${model === "" ? "" : ` (${escaped(model)})`}, ${formatSize(memoryBytes)} of memory, ${escaped(system)}`,
    ],
    ["hub", hubs ? escaped(hubs.join(", ")) : "one that was started for the run, on the same machine"],
    [
      "sending",
      intervalMs === 0
        ? "as fast as it goes"
        : `one message of each client every ${formatDuration(intervalMs)}`,
    ],
    ["sent", `${formatCount(report.sent.messages)} messages, ${formatSize(report.sent.bytes)}`],
    ["received", `${formatCount(report.received.messages)} messages, ${formatSize(report.received.bytes)}`],
    ["longest pause", `${formatMs(report.pauseMaxMs)} ms in which a client could not write`],
  ];
  if (hubProcess)
    rows.push([
      "hub process",
      `${formatDuration(hubProcess.cpuSeconds * 1_000)} of processor, ${formatSize(hubProcess.memoryPeakBytes)} of memory at most`,
    ]);
  rows.push([
    "generator",
    `${formatDuration(generator.cpuSeconds * 1_000)} of processor in ${counted(generator.workers.length, "worker")}`,
  ]);
  return `<dl class="facts">${rows.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join("")}</dl>`;
}

function charts({ timeline, histogram, seconds }: SimulationReport): string {
  if (histogram.length === 0) return "<p>Nothing was delivered, so there is nothing to draw.</p>";
  const durationMs = seconds * 1_000;
  // The run ends within the last interval: a rate over all of it would be that of nothing.
  const moments = timeline
    .map((moment) => ({ ...moment, lengthMs: Math.min(moment.lengthMs, durationMs - moment.atMs) }))
    .filter(({ lengthMs }, index) => lengthMs >= 0.1 * timeline[index]!.lengthMs);
  const delivered = moments.filter(({ deliveries }) => deliveries > 0);
  const bars = barChart(joined(histogram), {
    title: "How many deliveries took how long",
    xUnit: "ms",
    yUnit: "deliveries",
  });
  if (delivered.length < 2) {
    const length = `The run took ${formatDuration(durationMs)}, and figures are taken every ${formatDuration(timeline[0]?.lengthMs ?? 100)}`;
    return `<figure><figcaption>Over time</figcaption><p>${length}: there is no course over time to draw.</p></figure>\n${bars}`;
  }
  // Each point stands for an interval, at its middle.
  const at = ({ atMs, lengthMs }: Moment): number => (atMs + lengthMs / 2) / 1_000;
  const points = (of: readonly Moment[], value: (moment: Moment) => number) =>
    of.map((moment) => [at(moment), value(moment)] as const);
  const throughput = points(moments, ({ deliveries, lengthMs }) => (deliveries * 1_000) / lengthMs);
  return [
    lineChart([{ name: "deliveries", tone: "a", points: throughput }], {
      title: "Deliveries a second",
      xUnit: "s",
      yUnit: "a second",
    }),
    lineChart(
      [
        { name: "max", tone: "c", points: points(delivered, ({ maxMs }) => maxMs) },
        { name: "99 %", tone: "b", points: points(delivered, ({ p99Ms }) => p99Ms) },
        { name: "50 %", tone: "a", points: points(delivered, ({ p50Ms }) => p50Ms) },
      ],
      {
        title: "Latency from when a message was due",
        legend: ': <b class="a">50 %</b> <b class="b">99 %</b> <b class="c">max</b>',
        xUnit: "s",
        yUnit: "ms",
      },
    ),
    bars,
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

const FAULTY_SHOWN = 100;

function faultTable({ proof }: SimulationReport): string {
  const { faulty, faultyLeftOff } = proof;
  if (faulty.length === 0) return "";
  const rows = faulty
    .slice(0, FAULTY_SHOWN)
    .map(({ from, to, lost, duplicated, outOfOrder, corrupt }) => [
      from === undefined ? "?" : String(from),
      String(to),
      ...[lost, duplicated, outOfOrder, corrupt].map(formatCount),
    ]);
  const head = ["from client", "to client", "lost", "duplicated", "out of order", "corrupt"];
  const all = faulty.length + faultyLeftOff;
  const shown =
    all > FAULTY_SHOWN ? `The worst ${FAULTY_SHOWN} of ${formatCount(all)} faulty pairs` : "Faulty pairs";
  return `<h2>${shown}</h2>${table(head, rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: "th" | "td") =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  return `<div class="table"><table>${row(head, "th")}${rows.map((cells) => row(cells, "td")).join("")}</table></div>`;
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

const WIDTH = 560;
const HEIGHT = 250;
const LEFT = 70;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 40;

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
    const shown = points.length <= DOTS_MAX ? "shown" : "";
    const dots = points.map(
      ([px, py]) =>
        `<circle class="${tone} ${shown}" cx="${fixed(x(px))}" cy="${fixed(y(py))}" r="3"><title>${name}: ${axisLabel(py)} ${axes.yUnit} at ${axisLabel(px)} ${axes.xUnit}</title></circle>`,
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
  const ticks = decades.length > 1 ? decades : [10 ** low, 10 ** ((low + high) / 2), 10 ** high];
  return svg(axes, [...grid(steps, y), ...ticks.map((value) => xTick(x(value), axisLabel(value))), ...drawn]);
}

function svg({ title, legend = "", xUnit, yUnit }: Axes, parts: readonly string[]): string {
  return `<figure><figcaption>${title}${legend}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${parts.join("\n")}
<text x="${WIDTH - RIGHT}" y="${HEIGHT - 3}" text-anchor="end">${xUnit}</text>
<text x="4" y="16">${yUnit}</text>
</svg></figure>`;
}

function grid(steps: readonly number[], y: (value: number) => number): string[] {
  return steps.map(
    (value) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(value))}" y2="${fixed(y(value))}"/><text x="${LEFT - 6}" y="${fixed(y(value) + 4)}" text-anchor="end">${axisLabel(value)}</text>`,
  );
}

function xTick(x: number, label: string): string {
  return `<text x="${fixed(x)}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${label}</text>`;
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

/** `1.2M`, `350k`, `4,000`, `12`, `0.05`. */
function axisLabel(value: number): string {
  if (value >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 });
}

const PAGE_STYLE = `
:root { color-scheme: light dark; --a: #0b7285; --b: #e8590c; --c: #adb5bd; --line: #8884; --good: #2b8a3e; --bad: #c92a2a; }
@media (prefers-color-scheme: dark) { :root { --a: #3bc9db; --b: #ffa94d; --c: #868e96; --good: #69db7c; --bad: #ff8787; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px; }
h1 { font-size: 22px; line-height: 1.3; margin: 0 0 8px; }
h2 { font-size: 17px; margin: 28px 0 8px; }
p { margin: 4px 0; max-width: 75ch; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(135px, 1fr)); gap: 8px; margin: 20px 0; }
.tiles div { border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; display: flex; flex-direction: column; justify-content: space-between; }
dt { font-size: 13px; opacity: .8; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.tiles dd { font-size: 18px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; align-items: baseline; margin: 0; }
.facts dd { overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 0 32px; margin-top: 12px; }
figure { margin: 20px 0 0; }
figcaption { font-weight: 600; margin-bottom: 4px; }
svg { width: 100%; height: auto; }
svg text { font-size: 15px; fill: currentColor; opacity: .8; }
svg line { stroke: var(--line); }
polyline { fill: none; stroke-width: 2; }
polyline.a { stroke: var(--a); } polyline.b { stroke: var(--b); } polyline.c { stroke: var(--c); stroke-width: 4; }
circle { opacity: 0; } circle.shown, circle:hover { opacity: 1; }
rect.a, circle.a { fill: var(--a); } circle.b { fill: var(--b); } circle.c { fill: var(--c); }
b.a { color: var(--a); } b.b { color: var(--b); } b.c { color: var(--c); }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 0 3px 16px; border-bottom: 1px solid var(--line); }
th { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
`;
