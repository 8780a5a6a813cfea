import { Box } from "ink";
import { memo, useMemo, useRef } from "react";
import { firstLine, fitting } from "../core/text.js";
import { formatDuration } from "../core/units.js";
import type { Item } from "../node/broadcast.js";
import { size as bytes, clock, count, milliseconds, perSecond, sparkline, topOf } from "./figures.js";
import { eventRows, itemKey, itemRows, itemsOfTopic, markedKey, nodeRows, type Screen } from "./screen.js";
import { type EventRow, isPresent, type NodeRow, type Snapshot } from "./snapshot.js";
import { type Column, Detail, type DetailLine, type Size, Table, type Tone } from "./table.js";

const SIGNS = { agrees: "=", differs: "≠", differsByPolicy: "~", unknown: "?" } as const;
const WORDS = {
  agrees: "agrees",
  differs: "differs",
  differsByPolicy: "differs by policy",
  unknown: "not known",
} as const;
const GRAPH_COLUMNS = 16;
/** Ink takes long for each bar (bench/top.ts). */
const GRAPH_COLUMNS_MAX = 30;
/** Smaller panels tell too little. */
const PANEL_ROWS_MIN = 4;
const PANEL_COLUMNS_MIN = 50;
const PANEL_GAP = 2;

export interface ViewProps {
  readonly snapshot: Snapshot;
  readonly screen: Screen;
  readonly size: Size;
}

/** All nodes; below them, as far as there is room, their rates of the last minute, the latest items and events. */
export function NodesView({ snapshot, screen, size }: ViewProps) {
  const rows = nodeRows(snapshot, screen);
  const opened = rows.find(({ key }) => key === screen.opened);
  if (opened) {
    const isActive = !screen.typing && !screen.help;
    return <Detail key={opened.key} lines={nodeDetail(opened)} size={size} isActive={isActive} />;
  }
  const tableRows = Math.min(size.rows, rows.length + 1);
  const below = size.rows - tableRows - 1;
  const ratesRows = rows.length > 0 && tableRows <= below ? tableRows : 0;
  const left = ratesRows > 0 ? below - ratesRows - 1 : below;
  return (
    <Box flexDirection="column" gap={1}>
      <Table
        columns={NODE_COLUMNS}
        rows={rows}
        keyOf={rowKey}
        marked={markedKey(screen, rows.map(rowKey))}
        size={{ columns: size.columns, rows: tableRows }}
        empty={screen.filter ? "nothing matches the filter" : "no node yet: hubcast broadcast start"}
      />
      {ratesRows > 0 && <Rates rows={rows} size={{ columns: size.columns, rows: ratesRows }} />}
      {rows.length > 0 && (
        <Latest
          items={itemsOfTopic(snapshot, screen)}
          events={snapshot.events}
          noItem={noItem(snapshot, screen)}
          columns={size.columns}
          rows={left}
        />
      )}
    </Box>
  );
}

interface RatesProps {
  readonly rows: readonly NodeRow[];
  readonly size: Size;
}

/** Graphs on lines of their own: lines that change less often, and Ink's work on a changed line with bars is large. */
function Rates({ rows, size }: RatesProps) {
  const top = topOf(rows.flatMap(({ posts, gossipIn }) => [posts, gossipIn]));
  const columns = useMemo(() => rateColumns(top), [top]);
  return <Table columns={columns} rows={rows} keyOf={rowKey} size={size} />;
}

interface LatestProps extends Pick<Snapshot, "items" | "events">, Size {
  readonly noItem: string;
}

/** The latest items and events: beside each other, or below, or the events alone. */
const Latest = memo(function Latest({ items, events, noItem: empty, columns, rows }: LatestProps) {
  const isWide = columns >= 2 * PANEL_COLUMNS_MIN + PANEL_GAP;
  const half = Math.floor((rows - 1) / 2);
  const hasItems = isWide || half >= PANEL_ROWS_MIN;
  const panel = {
    columns: isWide ? Math.floor((columns - PANEL_GAP) / 2) : columns,
    rows: isWide || !hasItems ? rows : half,
  };
  if (panel.rows < PANEL_ROWS_MIN) return null;
  return (
    <Box flexDirection={isWide ? "row" : "column"} gap={isWide ? PANEL_GAP : 1}>
      {hasItems && (
        <Box width={panel.columns} height={panel.rows} flexShrink={0}>
          <Table columns={ITEM_PANEL_COLUMNS} rows={items} keyOf={itemKey} size={panel} empty={empty} />
        </Box>
      )}
      <Table columns={EVENT_COLUMNS} rows={events} keyOf={rowKey} size={panel} />
    </Box>
  );
});

function stateTone({ state }: Pick<NodeRow, "state">): Tone {
  if (state === "ready" || state === "connected") return "good";
  return state === "starting" || state === "degraded" || state === "stopping" ? "warn" : "bad";
}

function stateOf({ state }: NodeRow): string {
  return state === "notHubcast" ? "not hubcast" : state;
}

function agreementTone({ agreement }: NodeRow): Tone {
  if (agreement === "agrees") return "good";
  return agreement === "differs" ? "bad" : "warn";
}

const RIGHT = { align: "right" } as const;
const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  { title: "NODE", columns: 14, columnsMax: 24, rank: 0, text: (row) => row.name },
  { title: "STATE", columns: 11, rank: 1, text: stateOf, tone: stateTone },
  { title: "ITEMS", columns: 6, ...RIGHT, rank: 2, text: (row) => count(row.items) },
  {
    title: "SET",
    columns: 6,
    rank: 3,
    text: (row) => `${SIGNS[row.agreement]} ${row.fingerprint?.slice(0, 4) ?? "-"}`,
    tone: agreementTone,
  },
  { title: "PEERS", columns: 5, ...RIGHT, rank: 6, text: (row) => count(row.peers) },
  { title: "POST/S", columns: 6, ...RIGHT, rank: 4, text: (row) => perSecond(row.posts) },
  { title: "IN/S", columns: 6, ...RIGHT, rank: 5, text: (row) => perSecond(row.gossipIn) },
  { title: "OUT/S", columns: 6, ...RIGHT, rank: 9, text: (row) => perSecond(row.gossipOut) },
  { title: "SYNCS", columns: 6, ...RIGHT, rank: 10, text: (row) => count(row.syncRounds) },
  { title: "MEMORY", columns: 6, ...RIGHT, rank: 7, text: (row) => bytes(row.rssBytes) },
  { title: "LOOP", columns: 6, ...RIGHT, rank: 8, text: (row) => milliseconds(row.eventLoopDelayMs) },
  { title: "RTT", columns: 6, ...RIGHT, rank: 12, text: (row) => milliseconds(row.roundTripMs) },
  { title: "ADDRESS", columns: 21, columnsMax: 28, rank: 13, text: (row) => row.url ?? row.address ?? "" },
  { title: "WHY", columns: 12, columnsMax: 60, rank: 11, text: (row) => row.detail ?? "", tone: stateTone },
];

/** @param top value of the highest bar, equal for all nodes so that they compare */
function rateColumns(top: number): readonly Column<NodeRow>[] {
  const graph = (
    title: string,
    rank: number,
    rateOf: (row: NodeRow) => NodeRow["posts"],
  ): Column<NodeRow> => ({
    title: `${title}, to ${count(top)}`,
    isGraph: true,
    columns: GRAPH_COLUMNS,
    columnsMax: GRAPH_COLUMNS_MAX,
    rank,
    text: (row, columns) => sparkline(rateOf(row)?.history ?? [], columns, top),
  });
  return [
    { title: "RATES", columns: 14, columnsMax: 24, rank: 0, text: (row) => row.name },
    graph("POST/S", 2, (row) => row.posts),
    graph("IN/S", 1, (row) => row.gossipIn),
  ];
}

/** All figures of one node. */
function nodeDetail(row: NodeRow): readonly DetailLine[] {
  const top = topOf([row.posts, row.gossipIn, row.gossipOut]);
  const rate = (name: string, value: NodeRow["posts"]): DetailLine => ({
    name,
    text: `${perSecond(value)}/s  ${sparkline(value?.history ?? [], 30, top).trimStart()}`,
  });
  const up = row.uptimeMs === undefined ? "" : `, up ${formatDuration(row.uptimeMs)}`;
  const kept = row.retentionMs === undefined ? "" : `, kept ${formatDuration(row.retentionMs)}`;
  const hidden = row.hidden ? `, ${row.hidden} hidden behind another of the same id` : "";
  const state = row.detail ? `${stateOf(row)}: ${row.detail}` : stateOf(row);
  const since = row.sinceMs === undefined ? "" : `, since ${new Date(row.sinceMs).toISOString()}`;
  return [
    { name: "name", text: `${row.name}, in cluster ${row.cluster}` },
    { name: "id", text: row.key },
    { name: "state", text: state + since, tone: stateTone(row) },
    { name: "asked at", text: row.url ?? `not asked itself: a peer tells of it, at ${row.address ?? "-"}` },
    { name: "version", text: `${row.version ?? "-"}${row.engine ? ` on ${row.engine}` : ""}${up}` },
    { name: "items", text: `${row.items ?? "-"}${hidden}${kept}` },
    { name: "set", text: `${SIGNS[row.agreement]} ${WORDS[row.agreement]}`, tone: agreementTone(row) },
    { name: "fingerprint", text: row.fingerprint ?? "-" },
    { name: "peers", text: `${row.peers ?? "-"}, round trip ${milliseconds(row.roundTripMs)}` },
    rate("posts", row.posts),
    rate("gossip in", row.gossipIn),
    rate("messages out", row.gossipOut),
    { name: "sync rounds", text: `${row.syncRounds ?? "-"} (${row.syncRoundsFailed ?? "-"} failed)` },
    {
      name: "process",
      text: `${bytes(row.rssBytes)} of memory, loop delay ${milliseconds(row.eventLoopDelayMs)}`,
    },
  ];
}

const COLUMNS: readonly Column<Item>[] = [
  { title: "TIME", columns: 8, rank: 1, text: (item) => clock(item.timestampMs), tone: () => "dim" },
  {
    title: "ID",
    columns: 13,
    rank: 2,
    text: (item, columns) => shortId(item.id, columns),
    tone: () => "accent",
  },
  {
    title: "SIZE",
    columns: 6,
    align: "right",
    rank: 3,
    text: (item) => bytes(Buffer.byteLength(item.raw)),
  },
  {
    title: "RAW",
    columns: 10,
    columnsMax: Number.POSITIVE_INFINITY,
    rank: 0,
    // Cut without a sign, so that most lines are ASCII (see `pieces`); Enter shows all.
    text: (item, columns) => {
      const line = firstLine(item.raw.slice(0, columns * 2));
      return line.slice(0, fitting(line, columns));
    },
  },
];
/** Columns with room for whole ids. */
const WIDE_COLUMNS = COLUMNS.map((column) => (column.title === "ID" ? { ...column, columns: 36 } : column));
const WIDE_FROM_COLUMNS = 110;
/** Columns beside another table. */
const ITEM_PANEL_COLUMNS = COLUMNS.filter(({ title }) => title === "TIME" || title === "RAW");

/** The newest items. An opened one stays open, also when newer ones have pushed it out of the list. */
export function ItemsView({ snapshot, screen, size }: ViewProps) {
  const rows = itemRows(snapshot, screen);
  const opened = useRef<Item>(undefined);
  if (itemKeyOf(opened.current) !== screen.opened) {
    opened.current = snapshot.items.find((item) => itemKey(item) === screen.opened);
  }
  if (screen.opened !== undefined && opened.current) {
    return <ItemDetail item={opened.current} size={size} isActive={!screen.typing && !screen.help} />;
  }
  const marked = markedKey(screen, rows.map(itemKey));
  const empty = screen.filter ? "nothing matches the filter" : noItem(snapshot, screen);
  const columns = size.columns < WIDE_FROM_COLUMNS ? COLUMNS : WIDE_COLUMNS;
  return <Table columns={columns} rows={rows} keyOf={itemKey} marked={marked} size={size} empty={empty} />;
}

function itemKeyOf(item: Item | undefined): string | undefined {
  return item && itemKey(item);
}

/** The end of an id: UUIDv7s of one moment begin alike. */
function shortId(id: string, columns: number): string {
  return id.length === 36 ? id.slice(-columns) : id;
}

interface ItemDetailProps {
  readonly item: Item;
  readonly size: Size;
  readonly isActive: boolean;
}

/** One item, with its signature and digest. */
function ItemDetail({ item, size, isActive }: ItemDetailProps) {
  const lines = useMemo(
    (): readonly DetailLine[] => [
      { name: "id", text: item.id },
      { name: "stamped", text: new Date(item.timestampMs).toISOString() },
      { name: "digest", text: item.digest },
      { name: "signature", text: item.signature },
      { name: "bytes", text: String(Buffer.byteLength(item.raw)) },
      { text: "" },
      { text: item.raw },
    ],
    [item],
  );
  return <Detail key={item.digest} lines={lines} size={size} isActive={isActive} />;
}

function noItem({ nodes, isListing, isTooFast }: Snapshot, { topic }: Screen): string {
  if (isTooFast) return "items come too fast to be read here: 2 shows them";
  if (isListing) return "asking for the items…";
  if (!nodes.some(isPresent)) return "no node answers";
  return topic === undefined ? "no item yet: p posts one" : `no item under ${topic}`;
}

const EVENT_COLUMNS: readonly Column<EventRow>[] = [
  { title: "TIME", columns: 8, rank: 1, text: (row) => clock(row.atMs), tone: () => "dim" },
  {
    title: "WHAT HAPPENED",
    columns: 20,
    columnsMax: Number.POSITIVE_INFINITY,
    rank: 0,
    text: (row) => row.text,
    tone: (row) => (row.tone === "plain" ? undefined : row.tone),
  },
];

/** Events of nodes and hubs since the dashboard was started. */
export function EventsView({ snapshot, screen, size }: ViewProps) {
  const rows = eventRows(snapshot, screen);
  const opened = rows.find(({ key }) => key === screen.opened);
  if (opened) {
    const lines = [
      { text: new Date(opened.atMs).toISOString(), tone: "dim" as const },
      { text: opened.text },
    ];
    return <Detail key={opened.key} lines={lines} size={size} isActive={!screen.typing && !screen.help} />;
  }
  const marked = markedKey(screen, rows.map(rowKey));
  const empty = screen.filter ? "nothing matches the filter" : "nothing has happened yet";
  return (
    <Table columns={EVENT_COLUMNS} rows={rows} keyOf={rowKey} marked={marked} size={size} empty={empty} />
  );
}

function rowKey({ key }: { readonly key: string }): string {
  return key;
}
