import { axisLabel, niceSteps } from "./scale.js";

export interface Line {
  readonly name: string;
  /** CSS class that gives it its colour. */
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
export function lineChart(lines: readonly Line[], axes: Axes): string {
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
export function barChart(
  bars: readonly (readonly [from: number, to: number, count: number])[],
  axes: Axes,
): string {
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
