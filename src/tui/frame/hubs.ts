import type { HubClientStatus } from "../../hub/index.js";
import type { HubRow } from "../snapshot.js";
import { count, milliseconds, perSecond, size, sparkline } from "./figures.js";
import { type Line, span, type Tone } from "./line.js";
import { type Column, tableLines } from "./table.js";

const SPARK_COLUMNS = 10;

function stateTone({ state }: HubRow): Tone {
  if (state === "ready") return "good";
  return state === "stopping" || state === "unmonitored" ? "warn" : "bad";
}

export const HUB_COLUMNS: readonly Column<HubRow>[] = [
  { title: "HUB", columns: 10, rank: 0, grows: true, text: (row) => row.name },
  { title: "STATE", columns: 11, rank: 1, text: (row) => row.state, tone: stateTone },
  { title: "CLIENTS", columns: 7, align: "right", rank: 2, text: (row) => count(row.clients) },
  { title: "DELIV/S", columns: 7, align: "right", rank: 3, text: (row) => perSecond(row.deliveries) },
  {
    title: "",
    columns: SPARK_COLUMNS,
    rank: 9,
    text: (row) => sparkline(row.deliveries?.history ?? [], SPARK_COLUMNS),
    tone: () => "accent",
  },
  { title: "OUT B/S", columns: 7, align: "right", rank: 4, text: (row) => size(row.bytesOut?.perSecond) },
  { title: "OUTBOX", columns: 6, align: "right", rank: 5, text: (row) => size(row.outboxBytes) },
  {
    title: "PAUSED",
    columns: 6,
    align: "right",
    rank: 7,
    text: (row) => count(row.paused),
    tone: (row) => (row.paused ? "warn" : undefined),
  },
  {
    title: "EVICTED",
    columns: 7,
    align: "right",
    rank: 6,
    text: (row) => count(row.evicted),
    tone: (row) => (row.evicted ? "bad" : undefined),
  },
  { title: "MEMORY", columns: 6, align: "right", rank: 8, text: (row) => size(row.memoryBytes) },
  { title: "ADDRESS", columns: 21, rank: 10, text: (row) => row.address },
];

const CLIENT_COLUMNS: readonly Column<HubClientStatus>[] = [
  { title: "ID", columns: 6, align: "right", rank: 0, text: (row) => String(row.id) },
  { title: "CLIENT", columns: 12, rank: 1, grows: true, text: (row) => row.name || row.address },
  { title: "OUTBOX", columns: 6, align: "right", rank: 2, text: (row) => size(row.outboxBytes) },
  { title: "PIECES", columns: 6, align: "right", rank: 7, text: (row) => count(row.outboxPieces) },
  { title: "PAUSED", columns: 7, align: "right", rank: 3, text: (row) => milliseconds(row.pausedMs) },
  { title: "IN", columns: 6, align: "right", rank: 5, text: (row) => count(row.messagesIn) },
  { title: "OUT", columns: 6, align: "right", rank: 4, text: (row) => count(row.messagesOut) },
  { title: "RTT", columns: 7, align: "right", rank: 6, text: (row) => milliseconds(row.roundTripMs) },
];

/** What is below the table of hubs: why clients were closed, and the slowest of them. */
export function hubDetail(row: HubRow, columns: number, lines: number): Line[] {
  const closed = Object.entries(row.closed ?? {}).map(([reason, times]) => `${reason} ${times}`);
  const head: Line[] = [
    [span(`  ${row.name}  `, "title"), span(row.address, "dim")],
    [span("  closed   ", "dim"), span(closed.join(", ") || "none")],
    [
      span("  memory   ", "dim"),
      span(`${size(row.memoryBytes)} of ${size(row.memoryMaxBytes)}`),
      span("   in  ", "dim"),
      span(`${size(row.bytesIn?.perSecond)}/s`),
      span("   out  ", "dim"),
      span(`${size(row.bytesOut?.perSecond)}/s`),
    ],
  ];
  if (row.state === "unmonitored") {
    return [head[0]!, [span("  no figures: start it with --monitor-port, on this machine", "warn")]];
  }
  if (row.slowest.length === 0) return [...head, [], [span("  no client is connected", "dim")]];
  head.push([span("  clients  ", "dim"), span("the slowest first")]);
  return [...head, ...tableLines(CLIENT_COLUMNS, row.slowest, -1, columns, Math.max(0, lines - head.length))];
}
