import { counted } from "../../core/text.js";
import { KEY_HELP, KEY_HINTS, markedKey } from "../keys.js";
import { eventRows, hubRows, itemKey, itemRows, nodeRows, SORTS } from "../rows.js";
import { type Screen, type Size, VIEWS } from "../screen.js";
import type { Snapshot } from "../snapshot.js";
import { NODE_COLUMNS, nodeDetail } from "./cluster.js";
import { EVENT_COLUMNS, eventDetail } from "./events.js";
import { clock, count } from "./figures.js";
import { HUB_COLUMNS, hubDetail } from "./hubs.js";
import { ITEM_COLUMNS, itemDetail } from "./items.js";
import { fitted, type Line, span } from "./line.js";
import { type Column, tableLines } from "./table.js";

/** Lines that are there in every view: title, views, what is typed or was said, keys. */
const FRAME_LINES = 4;
/** What is in the list and no node, or none any more. */
const ABSENT: ReadonlySet<string> = new Set(["left", "lost", "unreachable", "notHubcast", "unauthorized"]);
/** A title of fewer columns has no room for the time. */
const CLOCK_COLUMNS = 72;

/** The whole screen: exactly `size.rows` lines, none wider than `size.columns`. */
export function frameOf(snapshot: Snapshot, screen: Screen, size: Size): readonly Line[] {
  const room = Math.max(1, size.rows - FRAME_LINES);
  const body = bodyOf(snapshot, screen, { columns: size.columns, rows: room }).slice(0, room);
  while (body.length < room) body.push([]);
  const lines = [
    titleLine(snapshot, screen, size),
    viewLine(screen),
    ...body,
    saidLine(screen),
    keyLine(screen, size),
  ];
  return lines.slice(0, size.rows).map((line) => fitted(line, size.columns));
}

function titleLine({ atMs, nodes, hubs }: Snapshot, { paused }: Screen, { columns }: Size): Line {
  const reachable = nodes.filter(({ state }) => !ABSENT.has(state));
  const odd = reachable.filter(({ agreement }) => agreement === "differs").length;
  const known = reachable.filter(({ agreement }) => agreement !== "unknown").length;
  const items = Math.max(0, ...reachable.map((row) => row.items ?? 0));
  return [
    span("hubcast top", "title"),
    span(columns < CLOCK_COLUMNS ? "  " : `  ${clock(atMs)}  `, "dim"),
    span(`${counted(reachable.length, "node")}  `),
    span(`${count(items)} items  `),
    odd > 0 ? span(`≠ ${odd} differ  `, "bad") : known > 0 ? span("= agree  ", "good") : span(""),
    span(counted(hubs.length, "hub")),
    ...(paused ? [span("  PAUSED", "warn")] : []),
  ];
}

function viewLine({ view, sorts, filter, typing }: Screen): Line {
  const { column, reversed } = sorts[view];
  const tabs = VIEWS.map((name, index) =>
    name === view ? span(`[${index + 1} ${name}]`, "marked") : span(` ${index + 1} ${name} `, "dim"),
  );
  const isFiltered = filter !== "" && typing?.into !== "filter";
  return [
    ...tabs,
    span(`  by ${SORTS[view][column]!.title}${reversed ? ", reversed" : ""}`, "dim"),
    ...(isFiltered ? [span(`  filter: ${filter}`, "warn")] : []),
  ];
}

function bodyOf(snapshot: Snapshot, screen: Screen, size: Size): Line[] {
  if (screen.help) return helpLines();
  switch (screen.view) {
    case "cluster": {
      const rows = nodeRows(snapshot, screen);
      const opened = rows.find(({ key }) => key === screen.opened);
      if (opened) return nodeDetail(opened, size.columns);
      return list(NODE_COLUMNS, rows, ({ key }) => key, screen, size, "no node yet: hubcast broadcast start");
    }
    case "items": {
      const rows = itemRows(snapshot, screen);
      const opened = snapshot.items.find((item) => itemKey(item) === screen.opened);
      if (opened) return itemDetail(opened, size);
      return list(ITEM_COLUMNS, rows, itemKey, screen, size, noItem(snapshot));
    }
    case "hubs":
      return hubLines(snapshot, screen, size);
    case "events": {
      const rows = eventRows(snapshot, screen);
      const opened = rows.find(({ key }) => key === screen.opened);
      if (opened) return eventDetail(opened, size.columns);
      return list(EVENT_COLUMNS, rows, ({ key }) => key, screen, size, "nothing has happened yet");
    }
  }
}

function noItem({ nodes, isListing }: Snapshot): string {
  if (isListing) return "asking for the items…";
  return nodes.every(({ state }) => ABSENT.has(state)) ? "no node answers" : "no item yet: p posts one";
}

/** All hubs above, and the marked one below; opened, it has the whole screen. */
function hubLines(snapshot: Snapshot, screen: Screen, size: Size): Line[] {
  const rows = hubRows(snapshot, screen);
  const opened = rows.find(({ key }) => key === screen.opened);
  if (opened) return hubDetail(opened, size.columns, size.rows);
  const above = Math.min(rows.length + 1, Math.ceil(size.rows / 2));
  const table = list(
    HUB_COLUMNS,
    rows,
    ({ key }) => key,
    screen,
    { ...size, rows: above },
    "no hub heard: hubcast hub start --monitor-port 0",
  );
  const key = markedKey(
    screen,
    rows.map((row) => row.key),
  );
  const marked = rows.find((row) => row.key === key);
  return marked ? [...table, [], ...hubDetail(marked, size.columns, size.rows - table.length - 1)] : table;
}

function list<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  screen: Screen,
  size: Size,
  whenEmpty: string,
): Line[] {
  if (rows.length === 0)
    return [[], [span(`  ${screen.filter ? "nothing matches the filter" : whenEmpty}`, "dim")]];
  const keys = rows.map(keyOf);
  return tableLines(columns, rows, keys.indexOf(markedKey(screen, keys)!), size.columns, size.rows);
}

function helpLines(): Line[] {
  return KEY_HELP.map(([keys, meaning]) => [span(`  ${keys.padEnd(12)}`, "accent"), span(meaning)]);
}

function saidLine({ typing, notice }: Screen): Line {
  if (typing) {
    const name = typing.into === "filter" ? "filter" : "post";
    return [span(`${name}> `, "accent"), span(typing.text), span("▏", "accent")];
  }
  return notice ? [span(notice.text, notice.tone)] : [];
}

function keyLine({ typing, help }: Screen, { columns }: Size): Line {
  if (typing) return [span(`Enter ${typing.into === "filter" ? "keeps" : "posts"}  Esc gives up`, "dim")];
  if (help) return [span("any key closes the help", "dim")];
  const fitting = (text: string, hint: string) =>
    text.length + hint.length + 2 <= columns ? `${text}  ${hint}` : text;
  return [span(KEY_HINTS.reduce(fitting), "dim")];
}
