import type { Key } from "ink";
import { hasTopic, topicFault } from "../core/topic.js";
import type { HubClientStatus } from "../hub/index.js";
import type { Item } from "../node/broadcast.js";
import { answers, type EventRow, type HubRow, type NodeRow, type Snapshot } from "./snapshot.js";

export const VIEWS = ["cluster", "items", "hubs", "events"] as const;
export type View = (typeof VIEWS)[number];

/** The user's choices. */
export interface Screen {
  readonly view: View;
  /** Key of the row that is marked, by view; the first row when it is absent or gone. */
  readonly marked: Readonly<Partial<Record<View, string>>>;
  /** Key of the row that is shown in full. */
  readonly opened?: string | undefined;
  readonly filter: string;
  /** Only items of this topic and of all below it are shown; absent: all. */
  readonly topic?: string | undefined;
  /** Index of the column that rows are sorted by, and whether backwards. */
  readonly sorts: Readonly<Record<View, { readonly column: number; readonly reversed: boolean }>>;
  /** The snapshot is frozen. */
  readonly paused: boolean;
  readonly help: boolean;
  readonly typing?: Typing | undefined;
  /** Outcome of the last post. */
  readonly notice?: { readonly tone: "good" | "bad"; readonly text: string } | undefined;
}

/** A text being typed: a filter, a topic, or an item for the node that was marked when typing began. */
export type Typing =
  | { readonly into: "filter" | "topic"; readonly text: string }
  | { readonly into: "post"; readonly text: string; readonly to: Target };

/** A node that takes posts. */
export interface Target {
  readonly key: string;
  readonly name: string;
}

export function firstScreen(view: View = "cluster"): Screen {
  const sort = { column: 0, reversed: false };
  return {
    view,
    marked: {},
    filter: "",
    sorts: { cluster: sort, items: sort, hubs: sort, events: sort },
    paused: false,
    help: false,
  };
}

/** The state of the screen that the meaning of a key depends on. */
export interface Context {
  /** Keys of the rows that the view shows, in their order. */
  readonly rows: readonly string[];
  /** The node that would get an item. */
  readonly target: Target | undefined;
}

export type Action =
  | { readonly type: "quit" }
  | { readonly type: "post"; readonly raw: string; readonly to: Target };

export interface Pressed {
  readonly screen: Screen;
  readonly action?: Action;
}

/** Lines of the help; each is a case of `press`, of scrolling, or of the terminal's keys. */
export const KEY_HELP: readonly (readonly [keys: string, meaning: string])[] = [
  ["1 2 3 4", "cluster, items, hubs, events"],
  ["Tab", "next view"],
  ["Up Down j k", "mark another row; scroll what is open"],
  ["PgUp PgDn", "ten rows at once, or a page"],
  ["g G", "first, last"],
  ["Enter", "open the marked row"],
  ["Esc", "close, or drop filter and topic"],
  ["/", "filter by a part of a name, id or text"],
  ["t", "show items of one topic and all below it"],
  ["s", "sort by the next column"],
  ["r", "reverse the order"],
  ["Space", "pause and go on"],
  ["p", "post an item to the marked node"],
  ["Ctrl-L", "draw the screen anew"],
  ["Ctrl-Z", "suspend; fg goes on"],
  ["?", "this help"],
  ["q Ctrl-C", "quit"],
];

/** Keys named in the bottom line, as many as fit: the most useful first. */
export const KEY_HINTS: readonly string[] = [
  "? help",
  "q quit",
  "1-4 views",
  "/ filter",
  "t topic",
  "Enter open",
  "p post",
  "s sort",
  "r reverse",
  "Space pause",
];

const PAGE_ROWS = 10;

/**
 * Applies a key.
 * @param input characters that were typed; several when they came at once
 * @param contextOf state of the screen
 */
export function press(
  screen: Screen,
  input: string,
  key: Partial<Key>,
  contextOf: (screen: Screen) => Context,
): Pressed {
  if (key.ctrl || (key.meta && !key.escape)) return { screen };
  if (screen.typing) return typed(screen, screen.typing, input, key);
  const characters = [...input];
  if (characters.length > 1) {
    return characters.reduce<Pressed>(
      (last, character) =>
        last.action ? last : press(last.screen, character, { return: /[\r\n]/.test(character) }, contextOf),
      { screen },
    );
  }
  // Keys that move scroll it.
  if (screen.help) return { screen: { ...screen, help: stepOf(input, key, PAGE_ROWS) !== undefined } };
  const context = contextOf(screen);
  // Any key dismisses the notice.
  return lettered(moved({ ...screen, notice: undefined }, input, key, context.rows), input, context);
}

/** Takes typed or pasted text. */
function typed(screen: Screen, typing: Typing, input: string, key: Partial<Key>): Pressed {
  const isFilter = typing.into === "filter";
  const withText = (text: string): Screen => ({
    ...screen,
    typing: { ...typing, text },
    ...(isFilter && { filter: text }),
  });
  if (key.escape) {
    const dropped = typing.into === "topic" ? { topic: undefined } : isFilter ? { filter: "" } : {};
    return { screen: { ...screen, typing: undefined, ...dropped } };
  }
  if (key.backspace || key.delete) return { screen: withText([...typing.text].slice(0, -1).join("")) };
  if (key.upArrow || key.downArrow || key.leftArrow || key.rightArrow || key.tab) return { screen };
  // A terminal without bracketed paste sends a pasted text and the Enter behind it at once.
  const [line = "", ...more] = input.split(/[\r\n]/);
  const text = key.return ? typing.text : typing.text + line;
  if (!key.return && more.length === 0) return { screen: withText(text) };
  const done = { ...withText(text), typing: undefined };
  if (typing.into === "topic") return { screen: topicked(done, text) };
  if (typing.into !== "post" || text === "") return { screen: done };
  return { screen: done, action: { type: "post", raw: text, to: typing.to } };
}

/** With nothing typed all topics are shown again. */
function topicked(screen: Screen, text: string): Screen {
  const fault = text === "" ? undefined : topicFault(text);
  if (fault === undefined) return { ...screen, topic: text === "" ? undefined : text };
  return { ...screen, notice: { tone: "bad", text: `${JSON.stringify(text)} is no topic: ${fault}` } };
}

/** Inserts pasted text: it may have several lines, and none of it is a key. */
export function pasted(screen: Screen, text: string): Screen {
  const { typing } = screen;
  if (!typing) return screen;
  const all =
    typing.text + (typing.into === "post" ? text.replace(/\r\n?/g, "\n") : text.replace(/\s+/g, " "));
  return { ...screen, typing: { ...typing, text: all }, ...(typing.into === "filter" && { filter: all }) };
}

function moved(screen: Screen, input: string, key: Partial<Key>, rows: readonly string[]): Screen {
  if (key.tab) return viewed(screen, VIEWS[(VIEWS.indexOf(screen.view) + 1) % VIEWS.length]!);
  if (key.escape)
    return screen.opened === undefined ? { ...screen, filter: "", topic: undefined } : closed(screen);
  if (key.return) {
    return screen.opened === undefined ? { ...screen, opened: markedKey(screen, rows) } : screen;
  }
  const by = stepOf(input, key, PAGE_ROWS);
  if (by === undefined || rows.length === 0 || screen.opened !== undefined) return screen;
  const index = rows.indexOf(markedKey(screen, rows)!);
  const row = rows[Math.min(rows.length - 1, Math.max(0, index + by))]!;
  return { ...screen, marked: { ...screen.marked, [screen.view]: row } };
}

/** How far a key moves, downwards, in rows or lines; undefined when it does not. */
export function stepOf(input: string, key: Partial<Key>, page: number): number | undefined {
  if (key.upArrow || input === "k") return -1;
  if (key.downArrow || input === "j") return 1;
  if (key.pageUp) return -page;
  if (key.pageDown) return page;
  if (key.home || input === "g") return Number.NEGATIVE_INFINITY;
  if (key.end || input === "G") return Number.POSITIVE_INFINITY;
  return undefined;
}

function lettered(screen: Screen, input: string, { target }: Context): Pressed {
  const sort = screen.sorts[screen.view];
  const sorted = (change: Partial<typeof sort>): Pressed => ({
    screen: { ...screen, sorts: { ...screen.sorts, [screen.view]: { ...sort, ...change } } },
  });
  switch (input) {
    case "1":
    case "2":
    case "3":
    case "4":
      return { screen: viewed(screen, VIEWS[Number(input) - 1]!) };
    case "/":
      return { screen: { ...closed(screen), typing: { into: "filter", text: screen.filter } } };
    case "t":
      return { screen: { ...closed(screen), typing: { into: "topic", text: screen.topic ?? "" } } };
    case "s":
      return sorted({ column: (sort.column + 1) % SORTS[screen.view].length });
    case "r":
      return sorted({ reversed: !sort.reversed });
    case " ":
      return { screen: { ...screen, paused: !screen.paused } };
    case "p":
      return target
        ? { screen: { ...screen, typing: { into: "post", text: "", to: target } } }
        : { screen: { ...screen, notice: { tone: "bad", text: "no node answers that could take an item" } } };
    case "?":
      return { screen: { ...screen, help: true } };
    case "q":
      return { screen, action: { type: "quit" } };
    default:
      return { screen };
  }
}

/** The row that is marked now: the chosen one, else the first. */
export function markedKey({ marked, view }: Screen, rows: readonly string[]): string | undefined {
  const chosen = marked[view];
  return chosen !== undefined && rows.includes(chosen) ? chosen : rows[0];
}

function viewed(screen: Screen, view: View): Screen {
  return { ...closed(screen), view };
}

function closed(screen: Screen): Screen {
  return { ...screen, opened: undefined };
}

type Value = string | number | undefined;

interface Sort<Row> {
  readonly title: string;
  readonly value: (row: Row) => Value;
  /** The first look is from the largest down. */
  readonly largestFirst?: boolean;
}

const NODE_SORTS: readonly Sort<NodeRow>[] = [
  { title: "name", value: (row) => `${row.cluster}\0${row.name}` },
  { title: "state", value: (row) => row.state },
  { title: "items", value: (row) => row.items, largestFirst: true },
  { title: "posts/s", value: (row) => row.posts?.perSecond, largestFirst: true },
  { title: "in/s", value: (row) => row.gossipIn?.perSecond, largestFirst: true },
  { title: "memory", value: (row) => row.rssBytes, largestFirst: true },
  { title: "loop delay", value: (row) => row.eventLoopDelayMs, largestFirst: true },
];
const ITEM_SORTS: readonly Sort<Item>[] = [
  { title: "time", value: (item) => item.timestampMs, largestFirst: true },
  { title: "id", value: (item) => item.id },
  { title: "size", value: (item) => item.raw.length, largestFirst: true },
];
const HUB_SORTS: readonly Sort<HubRow>[] = [
  { title: "name", value: (row) => row.name },
  { title: "clients", value: (row) => row.clients, largestFirst: true },
  { title: "deliveries/s", value: (row) => row.deliveries?.perSecond, largestFirst: true },
  { title: "outboxes", value: (row) => row.outboxBytes, largestFirst: true },
];
const EVENT_SORTS: readonly Sort<EventRow>[] = [
  { title: "time", value: (row) => row.atMs, largestFirst: true },
  { title: "text", value: (row) => row.text },
];

/** Sort keys of each view; the first is the default. */
export const SORTS: Readonly<Record<View, readonly { readonly title: string }[]>> = {
  cluster: NODE_SORTS,
  items: ITEM_SORTS,
  hubs: HUB_SORTS,
  events: EVENT_SORTS,
};

/** The rows of a view that pass the filter, in the order that was chosen. */
export function nodeRows({ nodes }: Snapshot, screen: Screen): readonly NodeRow[] {
  const kept = filtered(nodes, screen, (row) => [row.name, row.cluster, row.key, row.url, row.state]);
  return sorted(kept, NODE_SORTS, screen, "cluster");
}

/** Items of the topic that is shown. The node gives no others once it is asked for that topic. */
export function itemsOfTopic({ items }: Pick<Snapshot, "items">, { topic }: Screen): readonly Item[] {
  return topic === undefined ? items : items.filter(({ id }) => hasTopic(id, topic));
}

export function itemRows(snapshot: Snapshot, screen: Screen): readonly Item[] {
  const kept = filtered(itemsOfTopic(snapshot, screen), screen, (item) => [item.id, item.raw, item.digest]);
  return sorted(kept, ITEM_SORTS, screen, "items");
}

export function hubRows({ hubs }: Snapshot, screen: Screen): readonly HubRow[] {
  const kept = filtered(hubs, screen, (row) => [row.name, row.address, row.state]);
  return sorted(kept, HUB_SORTS, screen, "hubs");
}

export function eventRows({ events }: Snapshot, screen: Screen): readonly EventRow[] {
  return sorted(
    filtered(events, screen, (row) => [row.text]),
    EVENT_SORTS,
    screen,
    "events",
  );
}

/** Clients of a hub, the slowest first: most queued, then longest held up. */
export function slowestFirst(clients: readonly HubClientStatus[]): readonly HubClientStatus[] {
  return [...clients].sort((a, b) => b.outboxBytes - a.outboxBytes || b.pausedMs - a.pausedMs || a.id - b.id);
}

export function itemKey(item: Item): string {
  return item.digest;
}

/** Keys of the rows that the view shows, in their order. */
export function rowKeys(snapshot: Snapshot, screen: Screen): readonly string[] {
  switch (screen.view) {
    case "cluster":
      return nodeRows(snapshot, screen).map(({ key }) => key);
    case "items":
      return itemRows(snapshot, screen).map(itemKey);
    case "hubs":
      return hubRows(snapshot, screen).map(({ key }) => key);
    case "events":
      return eventRows(snapshot, screen).map(({ key }) => key);
  }
}

/**
 * The node that gets a typed item: the one marked in the view of the cluster. Other views show no mark of a node; there it
 * is the first that answers.
 */
export function postTarget(snapshot: Snapshot, screen: Screen): Target | undefined {
  const chosen = snapshot.nodes.find(({ key }) => key === screen.marked.cluster);
  const seen = nodeRows(snapshot, screen.view === "cluster" ? screen : { ...screen, filter: "" });
  const row = chosen ?? (screen.view === "cluster" ? seen[0] : seen.find(answers));
  return row && { key: row.key, name: row.name };
}

function filtered<Row>(
  rows: readonly Row[],
  { filter }: Screen,
  texts: (row: Row) => readonly (string | undefined)[],
): readonly Row[] {
  if (filter === "") return rows;
  const wanted = filter.toLowerCase();
  return rows.filter((row) => texts(row).some((text) => text?.toLowerCase().includes(wanted)));
}

function sorted<Row>(
  rows: readonly Row[],
  sorts: readonly Sort<Row>[],
  screen: Screen,
  view: View,
): readonly Row[] {
  const { column, reversed } = screen.sorts[view];
  const { value, largestFirst = false } = sorts[column]!;
  const sign = largestFirst === reversed ? 1 : -1;
  // Rows without the figure come last either way.
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === undefined || right === undefined)
      return Number(left === undefined) - Number(right === undefined);
    return left < right ? -sign : left > right ? sign : 0;
  });
}
