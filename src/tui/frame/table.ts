import { cell, type Line, type Span, span, type Tone } from "./line.js";

export interface Column<Row> {
  readonly title: string;
  readonly columns: number;
  readonly align?: "left" | "right";
  /** The column with the highest rank goes first when the terminal is too narrow. */
  readonly rank: number;
  /** Takes the room that is left. */
  readonly grows?: boolean;
  readonly text: (row: Row) => string;
  readonly tone?: (row: Row) => Tone | undefined;
}

const GAP = 1;
/** In front of every row: which one is marked, without colour too. */
const MARK_COLUMNS = 2;

/**
 * Head and rows of a table that fit a screen. When there are more rows than lines, those around the marked one are
 * shown.
 * @param marked index of the marked row; -1 for none
 */
export function tableLines<Row>(
  all: readonly Column<Row>[],
  rows: readonly Row[],
  marked: number,
  columns: number,
  lines: number,
): Line[] {
  const kept = fitting(all, columns - MARK_COLUMNS);
  const head = kept.map((column) => cell(column.title, column.columns, column.align)).join(" ".repeat(GAP));
  const room = Math.max(0, lines - 1);
  const first = Math.min(Math.max(0, marked - Math.floor(room / 2)), Math.max(0, rows.length - room));
  const body = rows.slice(first, first + room).map((row, place): Line => {
    const isMarked = first + place === marked;
    const cells = kept.flatMap((column, index): Span[] => {
      const text = cell(column.text(row), column.columns, column.align);
      const gap = index === 0 ? [] : [span(" ".repeat(GAP))];
      return [...gap, span(text, column.tone?.(row))];
    });
    return [span(isMarked ? "▸ " : "  ", isMarked ? "accent" : undefined), ...cells];
  });
  return [[span("  "), span(head, "dim")], ...body];
}

function fitting<Row>(all: readonly Column<Row>[], columns: number): readonly Column<Row>[] {
  let kept = [...all];
  const taken = () => kept.reduce((sum, column) => sum + column.columns + GAP, -GAP);
  while (kept.length > 1 && taken() > columns) {
    const rank = Math.max(...kept.map((column) => column.rank));
    kept = kept.filter((column) => column.rank !== rank);
  }
  const left = columns - taken();
  return kept.map((column) => (column.grows ? { ...column, columns: column.columns + left } : column));
}
