import type { HubClientStatus } from "../hub/index.js";
import type { Item } from "../node/broadcast.js";
import type { Screen, View } from "./screen.js";
import type { EventRow, HubRow, NodeRow, Snapshot } from "./snapshot.js";

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

/** By what the rows of each view can be sorted; the first is how they come. */
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

export function itemRows({ items }: Snapshot, screen: Screen): readonly Item[] {
  const kept = filtered(items, screen, (item) => [item.id, item.raw, item.digest]);
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
