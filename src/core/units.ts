import { HubcastError } from "./errors.js";

const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES_PER: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

/**
 * Reads a length of time: `250ms`, `10s`, `5m`, `24h`, `7d`; also sums such as `1h30m`. A lone 0 is 0.
 * @returns milliseconds
 * @throws usage when the text is no duration
 */
export function parseDuration(text: string): number {
  if (text.trim() === "0") return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy)];
  const read = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || read !== text.length) {
    throw new HubcastError("usage", `"${text}" is not a duration`, {
      suggestions: ["Write a number and a unit: 250ms, 10s, 5m, 24h or 7d."],
    });
  }
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * MS_PER[unit!]!, 0);
}

/**
 * Reads a size: `10240`, `64KiB`, `512MiB`, `1GB`. Units with an `i` are powers of 1024.
 * @returns bytes
 * @throws usage when the text is no size
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)?$/i.exec(text.trim());
  const factor = BYTES_PER[(match?.[2] ?? "b").toLowerCase()];
  if (!match || factor === undefined) {
    throw new HubcastError("usage", `"${text}" is not a size`, {
      suggestions: ["Write a number of bytes, or a number and a unit: 64KiB, 512MiB, 1GB."],
    });
  }
  return Math.round(Number(match[1]) * factor);
}

/**
 * Reads an instant: ISO 8601, epoch milliseconds (12 digits and more), or a duration, which means that long ago.
 * @param nowMs what "ago" is counted from, epoch ms
 * @returns epoch milliseconds, whole, 0 at least
 * @throws usage when the text is no instant
 */
export function parseInstant(text: string, nowMs: number): number {
  // More digits are no instant that a clock or the canonical encoding knows.
  if (/^(0|\d{12,15})$/.test(text)) return Number(text);
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const instantMs = Date.parse(text);
    const day = text.slice(0, 10);
    // Date takes 31 February for 3 March.
    if (!Number.isNaN(instantMs) && new Date(day).toISOString().startsWith(day))
      return Math.max(0, instantMs);
  } else if (/^[\d.]+[a-z]/.test(text)) {
    return Math.max(0, Math.round(nowMs - parseDuration(text)));
  }
  throw new HubcastError("usage", `"${text}" is not an instant`, {
    suggestions: ["Write 10m (ten minutes ago), 2026-01-31T12:00:00Z, or epoch milliseconds."],
  });
}

/** A length of time for people: `340 ms`, `2.5 s`, `12 min`, `3 h 20 min`. @param lengthMs milliseconds */
export function formatDuration(lengthMs: number): string {
  if (lengthMs < 10) return `${Number(lengthMs.toFixed(1))} ms`;
  // A length that rounds up to 1,000 ms or 60 s is shown in the larger unit.
  if (lengthMs < 999.5) return `${Math.round(lengthMs)} ms`;
  if (lengthMs < 59_950) return `${(lengthMs / 1000).toFixed(1)} s`;
  const minutes = Math.floor(Math.max(lengthMs / 60_000, 1));
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A size for people, in powers of 1024: `812 B`, `1.5 KiB`, `64 MiB`. @param bytes a whole number of bytes */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const larger of ["KiB", "MiB", "GiB"]) {
    if (value < 1023.5) break;
    value /= 1024;
    unit = larger;
  }
  return `${unit === "B" || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${unit}`;
}

/** A count for people: `22,800`. @param count rounded to a whole number */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** Milliseconds for people, without the unit: three digits at least, `0.47`, `18.3`, `40,952`. */
export function formatMs(ms: number): string {
  return ms >= 100 ? formatCount(ms) : ms.toFixed(ms >= 10 ? 1 : 2);
}
