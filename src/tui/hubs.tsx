import { Box } from "ink";
import { useMemo } from "react";
import type { HubClientStatus } from "../hub/index.js";
import { size as bytes, count, milliseconds, perSecond, sparkline, topOf } from "./figures.js";
import type { ViewProps } from "./nodes.js";
import { hubRows, markedKey } from "./screen.js";
import type { HubRow } from "./snapshot.js";
import { type Column, Line, type Size, Span, Table, type Tone } from "./table.js";

/** All hubs above, and the marked one below; opened, it has the whole screen. */
export function HubsView({ snapshot, screen, size }: ViewProps) {
  const rows = hubRows(snapshot, screen);
  const top = topOf(rows.map(({ deliveries }) => deliveries));
  const columns = useMemo(() => hubColumns(top), [top]);
  const opened = rows.find(({ key }) => key === screen.opened);
  if (opened) return <HubDetail row={opened} size={size} />;
  const tableRows = Math.min(rows.length + 1, Math.ceil(size.rows / 2));
  const key = markedKey(
    screen,
    rows.map((row) => row.key),
  );
  const marked = rows.find((row) => row.key === key);
  return (
    <Box flexDirection="column" gap={1}>
      <Table
        columns={columns}
        rows={rows}
        keyOf={(row) => row.key}
        marked={key}
        size={{ columns: size.columns, rows: tableRows }}
        empty={
          screen.filter ? "nothing matches the filter" : "no hub heard: hubcast hub start --monitor-port 0"
        }
      />
      {marked && <HubDetail row={marked} size={{ columns: size.columns, rows: size.rows - tableRows - 1 }} />}
    </Box>
  );
}

function stateTone({ state }: HubRow): Tone {
  if (state === "ready") return "good";
  return state === "stopping" || state === "degraded" || state === "unmonitored" ? "warn" : "bad";
}

/** @param top value of the highest bar of all sparklines */
function hubColumns(top: number): readonly Column<HubRow>[] {
  const right = { align: "right" } as const;
  return [
    { title: "HUB", columns: 10, columnsMax: 32, rank: 0, text: (row) => row.name },
    { title: "STATE", columns: 11, rank: 1, text: (row) => row.state, tone: stateTone },
    { title: "CLIENTS", columns: 7, ...right, rank: 2, text: (row) => count(row.clients) },
    { title: "DELIV/S", columns: 7, ...right, rank: 3, text: (row) => perSecond(row.deliveries) },
    { title: "OUT B/S", columns: 7, ...right, rank: 4, text: (row) => bytes(row.bytesOut?.perSecond) },
    { title: "IN B/S", columns: 7, ...right, rank: 11, text: (row) => bytes(row.bytesIn?.perSecond) },
    { title: "OUTBOX", columns: 6, ...right, rank: 5, text: (row) => bytes(row.outboxBytes) },
    {
      title: "PAUSED",
      columns: 6,
      ...right,
      rank: 7,
      text: (row) => count(row.paused),
      tone: (row) => (row.paused ? "warn" : undefined),
    },
    {
      title: "EVICTED",
      columns: 7,
      ...right,
      rank: 6,
      text: (row) => count(row.evicted),
      tone: (row) => (row.evicted ? "bad" : undefined),
    },
    { title: "MEMORY", columns: 6, ...right, rank: 8, text: (row) => bytes(row.memoryBytes) },
    { title: "ADDRESS", columns: 21, rank: 10, text: (row) => row.address },
    {
      title: `DELIV/S to ${count(top)}`,
      columns: 15,
      columnsMax: 60,
      isGraph: true,
      rank: 9,
      text: (row, columns) => sparkline(row.deliveries?.history ?? [], columns, top),
    },
  ];
}

const CLIENT_COLUMNS: readonly Column<HubClientStatus>[] = [
  { title: "ID", columns: 6, align: "right", rank: 0, text: (row) => String(row.id) },
  {
    title: "CLIENT",
    columns: 12,
    columnsMax: Number.POSITIVE_INFINITY,
    rank: 1,
    text: (row) => row.name || row.address,
  },
  { title: "OUTBOX", columns: 6, align: "right", rank: 2, text: (row) => bytes(row.outboxBytes) },
  { title: "PIECES", columns: 6, align: "right", rank: 7, text: (row) => count(row.outboxPieces) },
  { title: "PAUSED", columns: 7, align: "right", rank: 3, text: (row) => milliseconds(row.pausedMs) },
  { title: "IN", columns: 6, align: "right", rank: 5, text: (row) => count(row.messagesIn) },
  { title: "OUT", columns: 6, align: "right", rank: 4, text: (row) => count(row.messagesOut) },
  { title: "RTT", columns: 7, align: "right", rank: 6, text: (row) => milliseconds(row.roundTripMs) },
];

/** Below the table of hubs: reasons why clients were closed, and the slowest clients. */
function HubDetail({ row, size }: { readonly row: HubRow; readonly size: Size }) {
  const closed = Object.entries(row.closed ?? {}).map(([reason, times]) => `${reason} ${times}`);
  const { deliveries, bytesIn, bytesOut, memoryBytes, memoryMaxBytes, slowest } = row;
  return (
    <Box flexDirection="column">
      <Line>
        <Span tone="title">{`  ${row.name}  `}</Span>
        <Span tone="dim">{row.address}</Span>
        {row.detail && <Span tone="warn">{`  ${row.state}: ${row.detail}`}</Span>}
      </Line>
      {row.state === "unmonitored" ? (
        <Span tone="warn">{"  no figures: start it with --monitor-port, on this machine"}</Span>
      ) : (
        <>
          <Line>
            <Span tone="dim">{"  closed   "}</Span>
            <Span>{closed.join(", ") || "none"}</Span>
          </Line>
          <Line>
            <Span tone="dim">{"  memory   "}</Span>
            <Span>{`${bytes(memoryBytes)} of ${bytes(memoryMaxBytes)}`}</Span>
            <Span tone="dim">{"   in  "}</Span>
            <Span>{`${bytes(bytesIn?.perSecond)}/s`}</Span>
            <Span tone="dim">{"   out  "}</Span>
            <Span>{`${bytes(bytesOut?.perSecond)}/s, ${perSecond(deliveries)} deliveries/s`}</Span>
          </Line>
          <Line>
            <Span tone="dim">{"  clients  "}</Span>
            <Span>{slowest.length > 0 ? "the slowest first" : "none is connected"}</Span>
          </Line>
          {slowest.length > 0 && (
            <Table
              columns={CLIENT_COLUMNS}
              rows={slowest}
              keyOf={({ id }) => String(id)}
              size={{ columns: size.columns, rows: size.rows - 4 }}
            />
          )}
        </>
      )}
    </Box>
  );
}
