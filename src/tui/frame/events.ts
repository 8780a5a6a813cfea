import type { EventRow } from "../snapshot.js";
import { clock } from "./figures.js";
import { type Line, span } from "./line.js";
import type { Column } from "./table.js";
import { wrapped } from "./wrapped.js";

export const EVENT_COLUMNS: readonly Column<EventRow>[] = [
  { title: "TIME", columns: 8, rank: 1, text: (row) => clock(row.atMs), tone: () => "dim" },
  {
    title: "WHAT HAPPENED",
    columns: 20,
    rank: 0,
    grows: true,
    text: (row) => row.text,
    tone: (row) => (row.tone === "plain" ? undefined : row.tone),
  },
];

export function eventDetail({ atMs, text }: EventRow, columns: number): Line[] {
  const lines = wrapped(text, columns - 4).map((line): Line => [span(`  ${line}`)]);
  return [[span(`  ${new Date(atMs).toISOString()}`, "dim")], ...lines];
}
