import { formatDuration } from "../core/units.js";
import type { Seen } from "./network.js";
import { shown } from "./text.js";

/** Lines come one by one, so their columns are of fixed width. */
const WIDTHS = [4, 20, 26, 16, 10] as const;

export function seenHead(): string {
  return inColumns(["KIND", "NAME", "ADDRESS", "CLUSTER", "VERSION", "ROUND TRIP"]);
}

/** A node or hub for people. @param tripMs undefined when it did not answer */
export function seenLine(seen: Seen, tripMs: number | undefined): string {
  return inColumns([
    seen.type,
    shown(seen.name, 40),
    (seen.type === "node" ? seen.url : undefined) ?? seen.addresses[0] ?? "-",
    seen.type === "node" ? shown(seen.cluster ?? "-", 63) : detailsOf(seen.tls, seen.needsToken),
    shown(seen.version ?? "-", 16),
    tripMs === undefined ? "no answer" : formatDuration(tripMs),
  ]);
}

function detailsOf(tls: boolean, needsToken: boolean): string {
  return [tls && "tls", needsToken && "token"].filter(Boolean).join(" ") || "-";
}

function inColumns(cells: readonly string[]): string {
  return cells.map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0)).join("  ");
}
