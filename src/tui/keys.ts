import { SORTS } from "./rows.js";
import { type Screen, VIEWS, type View } from "./screen.js";

/** A key that has no character, or the characters that were typed or pasted. */
export type Key =
  | { readonly type: "named"; readonly name: NamedKey }
  | { readonly type: "text"; readonly text: string };

export type NamedKey =
  | "up"
  | "down"
  | "pageUp"
  | "pageDown"
  | "home"
  | "end"
  | "enter"
  | "escape"
  | "tab"
  | "backspace"
  | "redraw"
  | "interrupt";

export type Order =
  | { readonly type: "quit" }
  | { readonly type: "interrupt" }
  | { readonly type: "redraw" }
  | { readonly type: "post"; readonly raw: string };

export interface Pressed {
  readonly screen: Screen;
  readonly order?: Order;
}

/** What the help shows; every line is a case of `press`. */
export const KEY_HELP: readonly (readonly [keys: string, meaning: string])[] = [
  ["1 2 3 4", "cluster, items, hubs, events"],
  ["Tab", "next view"],
  ["Up Down j k", "mark another row"],
  ["PgUp PgDn", "ten rows at once"],
  ["g G", "first row, last row"],
  ["Enter", "open the marked row"],
  ["Esc", "close, or drop the filter"],
  ["/", "filter by a part of a name, id or text"],
  ["s", "sort by the next column"],
  ["r", "reverse the order"],
  ["Space", "pause and go on"],
  ["p", "post an item"],
  ["Ctrl-L", "draw the screen anew"],
  ["?", "this help"],
  ["q", "quit"],
];

/** What the line at the bottom shows, as many as fit: what is needed most comes first. */
export const KEY_HINTS: readonly string[] = [
  "? help",
  "q quit",
  "1-4 views",
  "/ filter",
  "Enter open",
  "p post",
  "s sort",
  "r reverse",
  "Space pause",
];

const PAGE_ROWS = 10;

/**
 * What a key does.
 * @param keys of the rows that the view shows, in their order
 */
export function press(screen: Screen, key: Key, keys: readonly string[]): Pressed {
  if (key.type === "named" && key.name === "interrupt") return { screen, order: { type: "interrupt" } };
  if (key.type === "named" && key.name === "redraw") return { screen, order: { type: "redraw" } };
  if (screen.typing) return typed(screen, screen.typing, key);
  if (screen.help) return { screen: { ...screen, help: false } };
  // What was said was read by whoever goes on.
  const read = { ...screen, notice: undefined };
  return key.type === "named" ? { screen: named(read, key.name, keys) } : lettered(read, key.text, keys);
}

function typed(screen: Screen, typing: NonNullable<Screen["typing"]>, key: Key): Pressed {
  const isFilter = typing.into === "filter";
  const withText = (text: string): Pressed => ({
    screen: { ...screen, typing: { ...typing, text }, ...(isFilter && { filter: text }) },
  });
  if (key.type === "text") return withText(typing.text + key.text);
  switch (key.name) {
    case "backspace":
      return withText([...typing.text].slice(0, -1).join(""));
    case "escape":
      return { screen: { ...screen, typing: undefined, ...(isFilter && { filter: "" }) } };
    case "enter": {
      const done = { ...screen, typing: undefined };
      const posts = !isFilter && typing.text !== "";
      return posts ? { screen: done, order: { type: "post", raw: typing.text } } : { screen: done };
    }
    default:
      return { screen };
  }
}

function named(screen: Screen, name: NamedKey, keys: readonly string[]): Screen {
  switch (name) {
    case "up":
      return moved(screen, keys, -1);
    case "down":
      return moved(screen, keys, 1);
    case "pageUp":
      return moved(screen, keys, -PAGE_ROWS);
    case "pageDown":
      return moved(screen, keys, PAGE_ROWS);
    case "home":
      return moved(screen, keys, Number.NEGATIVE_INFINITY);
    case "end":
      return moved(screen, keys, Number.POSITIVE_INFINITY);
    case "tab":
      return viewed(screen, VIEWS[(VIEWS.indexOf(screen.view) + 1) % VIEWS.length]!);
    case "enter":
      return screen.opened === undefined ? { ...screen, opened: markedKey(screen, keys) } : screen;
    case "escape":
      return screen.opened === undefined ? { ...screen, filter: "" } : closed(screen);
    default:
      return screen;
  }
}

function lettered(screen: Screen, text: string, keys: readonly string[]): Pressed {
  const sort = screen.sorts[screen.view];
  const sorted = (change: Partial<typeof sort>): Pressed => ({
    screen: { ...screen, sorts: { ...screen.sorts, [screen.view]: { ...sort, ...change } } },
  });
  switch (text) {
    case "1":
    case "2":
    case "3":
    case "4":
      return { screen: viewed(screen, VIEWS[Number(text) - 1]!) };
    case "j":
      return { screen: moved(screen, keys, 1) };
    case "k":
      return { screen: moved(screen, keys, -1) };
    case "g":
      return { screen: moved(screen, keys, Number.NEGATIVE_INFINITY) };
    case "G":
      return { screen: moved(screen, keys, Number.POSITIVE_INFINITY) };
    case "/":
      return { screen: { ...closed(screen), typing: { into: "filter", text: screen.filter } } };
    case "s":
      return sorted({ column: (sort.column + 1) % SORTS[screen.view].length });
    case "r":
      return sorted({ reversed: !sort.reversed });
    case " ":
      return { screen: { ...screen, paused: !screen.paused } };
    case "p":
      return { screen: { ...screen, typing: { into: "post", text: "" } } };
    case "?":
      return { screen: { ...screen, help: true } };
    case "q":
      return { screen, order: { type: "quit" } };
    default:
      return { screen };
  }
}

/** The row that is marked now: the chosen one, else the first. */
export function markedKey({ marked, view }: Screen, keys: readonly string[]): string | undefined {
  const chosen = marked[view];
  return chosen !== undefined && keys.includes(chosen) ? chosen : keys[0];
}

function moved(screen: Screen, keys: readonly string[], by: number): Screen {
  if (keys.length === 0 || screen.opened !== undefined) return screen;
  const index = keys.indexOf(markedKey(screen, keys)!);
  const key = keys[Math.min(keys.length - 1, Math.max(0, index + by))]!;
  return { ...screen, marked: { ...screen.marked, [screen.view]: key } };
}

function viewed(screen: Screen, view: View): Screen {
  return { ...closed(screen), view };
}

function closed(screen: Screen): Screen {
  return { ...screen, opened: undefined };
}
