import type { Rate } from "../snapshot.js";

const BARS = "▁▂▃▄▅▆▇█";

/** A line of bars, the newest at the right; the highest bar is the highest value. */
export function sparkline(history: readonly number[], columns: number): string {
  const values = history.slice(-columns);
  const top = Math.max(...values, 1);
  const bars = values.map((value) => BARS[Math.min(7, Math.max(0, Math.ceil((value / top) * 8) - 1))]!);
  return bars.join("").padStart(columns);
}

/** Six columns at most: `0`, `7.5`, `812`, `12.3k`, `4.1M`. */
export function count(value: number | undefined): string {
  if (value === undefined) return "-";
  if (value < 10) return Number.isInteger(value) ? String(value) : value.toFixed(1);
  if (value < 10_000) return String(Math.round(value));
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  if (value < 1e9) return `${(value / 1e6).toFixed(1)}M`;
  return `${(value / 1e9).toFixed(1)}G`;
}

/** Six columns at most: `812B`, `1.5K`, `64M`, in powers of 1024. */
export function size(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let value = bytes;
  let unit = "B";
  for (const larger of ["K", "M", "G", "T"]) {
    if (value < 1000) break;
    value /= 1024;
    unit = larger;
  }
  return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)}${unit}`;
}

export function perSecond(rate: Rate | undefined): string {
  return rate ? count(Math.round(rate.perSecond * 10) / 10) : "-";
}

/** Milliseconds in six columns at most. */
export function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms < 100 ? `${ms.toFixed(1)}ms` : ms < 10_000 ? `${Math.round(ms)}ms` : `${Math.round(ms / 1000)}s`;
}

/** `14:05:09`, local time. @param atMs epoch ms */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((value) => String(value).padStart(2, "0"))
    .join(":");
}
