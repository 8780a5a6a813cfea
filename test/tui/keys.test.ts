import { describe, expect, it } from "vitest";
import { KEY_HELP, type NamedKey, type Pressed, press } from "../../src/tui/keys.js";
import { eventRows, nodeRows, rowKeys } from "../../src/tui/rows.js";
import { firstScreen, type Screen } from "../../src/tui/screen.js";
import { SCENE } from "./scene.js";

const NAMED: Readonly<Record<string, NamedKey>> = {
  Up: "up",
  Down: "down",
  PgUp: "pageUp",
  PgDn: "pageDown",
  Enter: "enter",
  Esc: "escape",
  Tab: "tab",
  Back: "backspace",
  "Ctrl-L": "redraw",
};

/** Presses keys one after the other: names as in the help, `"text"` for what is typed. */
function pressed(keys: string, start: Screen = firstScreen()): Pressed {
  let last: Pressed = { screen: start };
  for (const word of keys.match(/"[^"]*"|\S+/g) ?? []) {
    const name = NAMED[word];
    const text = word === "Space" ? " " : word.replaceAll('"', "");
    const key = name ? ({ type: "named", name } as const) : ({ type: "text", text } as const);
    last = press(last.screen, key, rowKeys(SCENE, last.screen));
  }
  return last;
}

const names = (screen: Screen) => nodeRows(SCENE, screen).map(({ name }) => name);

describe("keys", () => {
  it("every key in the help does something", () => {
    const starts = [
      firstScreen(),
      pressed("/ k Enter").screen,
      { ...firstScreen("items"), marked: { items: SCENE.items[2]!.digest } },
    ];
    for (const key of KEY_HELP.flatMap(([keys]) => keys.split(" "))) {
      const changes = starts.filter((start) => {
        const { screen, order } = pressed(key, start);
        return order !== undefined || JSON.stringify(screen) !== JSON.stringify(start);
      });
      expect(changes.length, key).toBeGreaterThan(0);
    }
  });

  it("switch between views, and around", () => {
    expect(pressed("3").screen.view).toBe("hubs");
    expect(pressed("Tab Tab").screen.view).toBe("hubs");
    expect(pressed("4 Tab").screen.view).toBe("cluster");
  });

  it("mark a row, and stop at both ends", () => {
    const rows = rowKeys(SCENE, firstScreen());
    expect(pressed("j j").screen.marked.cluster).toBe(rows[2]);
    expect(pressed("j k k k").screen.marked.cluster).toBe(rows[0]);
    expect(pressed("G j").screen.marked.cluster).toBe(rows.at(-1));
    expect(pressed("PgDn g").screen.marked.cluster).toBe(rows[0]);
  });

  it("Enter opens the marked row, Esc closes it, another view too", () => {
    const opened = pressed("2 j Enter").screen;
    expect(opened.opened).toBe(SCENE.items[1]!.digest);
    expect(pressed("Esc", opened).screen.opened).toBeUndefined();
    expect(pressed("1", opened).screen.opened).toBeUndefined();
  });

  it("/ filters while it is typed; Enter keeps it, Esc drops it", () => {
    expect(names(pressed('/ "KIT"').screen)).toEqual(["kitchen"]);
    expect(names(pressed('/ "kitx" Back Enter').screen)).toEqual(["kitchen"]);
    expect(pressed('/ "kit" Enter q').order).toEqual({ type: "quit" });
    expect(pressed('/ "kit" Esc').screen.filter).toBe("");
    expect(pressed('/ "kit" Enter Esc').screen.filter).toBe("");
  });

  it("s sorts by the next column, r reverses, and rows without the figure come last", () => {
    expect(names(firstScreen()).at(0)).toBe("10.0.0.9:8080");
    const byItems = pressed("s s").screen;
    expect(nodeRows(SCENE, byItems).map(({ items }) => items)).toEqual([
      12_345,
      12_345,
      12_345,
      7,
      undefined,
    ]);
    expect(nodeRows(SCENE, pressed("r", byItems).screen).map(({ items }) => items)).toEqual([
      7,
      12_345,
      12_345,
      12_345,
      undefined,
    ]);
    expect(eventRows(SCENE, pressed("4 r").screen).map(({ key }) => key)).toEqual(["1", "2"]);
  });

  it("p posts what is typed, and nothing when it is empty or given up", () => {
    expect(pressed('p "doors open"').screen.typing?.text).toBe("doors open");
    expect(pressed('p "doors open" Enter').order).toEqual({ type: "post", raw: "doors open" });
    expect(pressed("p Enter").order).toBeUndefined();
    expect(pressed('p "x" Esc Enter').order).toBeUndefined();
    expect(pressed("p q").order).toBeUndefined();
  });

  it("Ctrl-C ends also while something is typed", () => {
    const { order } = press(pressed('p "x"').screen, { type: "named", name: "interrupt" }, []);
    expect(order).toEqual({ type: "interrupt" });
  });

  it("any key closes the help, and does nothing else", () => {
    expect(pressed("? q")).toEqual({ screen: firstScreen() });
  });
});
