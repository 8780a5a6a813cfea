import { firstLine } from "../../core/text.js";
import type { Item } from "../../node/broadcast.js";
import type { Size } from "../screen.js";
import { clock, size } from "./figures.js";
import { type Line, span } from "./line.js";
import type { Column } from "./table.js";
import { chopped, wrapped } from "./wrapped.js";

export const ITEM_COLUMNS: readonly Column<Item>[] = [
  { title: "TIME", columns: 8, rank: 1, text: (item) => clock(item.timestampMs), tone: () => "dim" },
  { title: "ID", columns: 13, rank: 2, text: (item) => shortId(item.id), tone: () => "accent" },
  { title: "SIZE", columns: 6, align: "right", rank: 3, text: (item) => size(Buffer.byteLength(item.raw)) },
  { title: "RAW", columns: 10, rank: 0, grows: true, text: (item) => firstLine(item.raw.slice(0, 400)) },
];

/** A UUIDv7 begins with the time, which all of one moment share: its end tells them apart. */
function shortId(id: string): string {
  return id.length === 36 ? `…${id.slice(-12)}` : id;
}

/** One item with everything that proves it. Its text is cut into lines, and where they end it says how many are left. */
export function itemDetail(item: Item, { columns, rows }: Size): Line[] {
  const pairs = [
    ["id", item.id],
    ["stamped", new Date(item.timestampMs).toISOString()],
    ["digest", item.digest],
    ["signature", item.signature],
    ["bytes", String(Buffer.byteLength(item.raw))],
  ] as const;
  const room = Math.max(10, columns - 15);
  const head = pairs.flatMap(([name, text]) =>
    chopped(text, room).map(
      (piece, index): Line => [span(`  ${(index === 0 ? name : "").padEnd(11)}`, "dim"), span(piece)],
    ),
  );
  const raw = item.raw.slice(0, 20_000).split(/\r?\n/);
  const lines = [
    ...head,
    [],
    ...raw.flatMap((text) => wrapped(text, columns - 4).map((piece): Line => [span(`  ${piece}`)])),
  ];
  if (lines.length <= rows) return lines;
  const kept = lines.slice(0, rows - 1);
  return [...kept, [span(`  … ${lines.length - kept.length} lines more: hubcast broadcast list`, "dim")]];
}
