import type { Key } from "ink";
import { describe, expect, it } from "vitest";
import {
  eventRows,
  firstScreen,
  itemRows,
  KEY_HELP,
  nodeRows,
  type Pressed,
  pasted,
  postTarget,
  press,
  rowKeys,
  type Screen,
  stepOf,
} from "../../src/tui/screen.js";
import { SCENE } from "./scene.js";

const NAMED: Readonly<Record<string, keyof Key>> = {
  Up: "upArrow",
  Down: "downArrow",
  PgUp: "pageUp",
  PgDn: "pageDown",
  Enter: "return",
  Esc: "escape",
  Tab: "tab",
  Back: "backspace",
};
/** Keys of the terminal's owner, not of the screen. */
const NOT_OF_THE_SCREEN = ["Ctrl-L", "Ctrl-Z", "Ctrl-C"];

const contextOf = (screen: Screen) => ({ rows: rowKeys(SCENE, screen), target: postTarget(SCENE, screen) });

/** Presses keys one after the other: names as in the help, `"text"` for what is typed. */
function pressed(keys: string, start: Screen = firstScreen()): Pressed {
  let last: Pressed = { screen: start };
  for (const word of keys.match(/"[^"]*"|\S+/g) ?? []) {
    const name = NAMED[word];
    const text = word === "Space" ? " " : word.replaceAll('"', "");
    last = press(last.screen, name ? "" : text, name ? { [name]: true } : {}, contextOf);
  }
  return last;
}

const names = (screen: Screen) => nodeRows(SCENE, screen).map(({ name }) => name);
const keyOf = (name: string) => SCENE.nodes.find((node) => node.name === name)!.key;

describe("keys", () => {
  it("every key in the help does something", () => {
    const starts = [
      firstScreen(),
      pressed("/ k Enter").screen,
      { ...firstScreen("items"), marked: { items: SCENE.items[2]!.digest } },
    ];
    const keys = KEY_HELP.flatMap(([words]) => words.split(" ")).filter(
      (key) => !NOT_OF_THE_SCREEN.includes(key),
    );
    for (const key of keys) {
      const changes = starts.filter((start) => {
        const { screen, action } = pressed(key, start);
        return action !== undefined || JSON.stringify(screen) !== JSON.stringify(start);
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
    expect(pressed("j Down").screen.marked.cluster).toBe(rows[2]);
    expect(pressed("j k Up k").screen.marked.cluster).toBe(rows[0]);
    expect(pressed("G j").screen.marked.cluster).toBe(rows.at(-1));
    expect(pressed("PgDn g").screen.marked.cluster).toBe(rows[0]);
  });

  it("keys that come at once are taken one after the other", () => {
    expect(pressed('"2j"').screen.marked.items).toBe(SCENE.items[1]!.digest);
    expect(pressed('"2q1"').action).toEqual({ type: "quit" });
  });

  it("Enter opens the marked row, Esc closes it, another view too", () => {
    const opened = pressed("2 j Enter").screen;
    expect(opened.opened).toBe(SCENE.items[1]!.digest);
    expect(pressed("j", opened).screen.marked).toEqual(opened.marked);
    expect(pressed("Esc", opened).screen.opened).toBeUndefined();
    expect(pressed("1", opened).screen.opened).toBeUndefined();
  });

  it("/ filters while it is typed; Enter keeps it, Esc drops it", () => {
    expect(names(pressed('/ "KIT"').screen)).toEqual(["kitchen"]);
    expect(names(pressed('/ "kitx" Back Enter').screen)).toEqual(["kitchen"]);
    expect(pressed('/ "kit" Enter q').action).toEqual({ type: "quit" });
    expect(pressed('/ "kit" Esc').screen.filter).toBe("");
    expect(pressed('/ "kit" Enter Esc').screen.filter).toBe("");
  });

  it("t shows one topic and all below it once Enter ends it; nothing typed, or Esc, shows all", () => {
    const items = ["alerts/disk/1", "alerts/2", "deploy/1", "alerts-2/1", "plain"].map((id) => ({
      ...SCENE.items[0]!,
      id,
    }));
    const ids = (screen: Screen) => itemRows({ ...SCENE, items }, screen).map(({ id }) => id);
    expect(ids(pressed('2 t "alerts"').screen)).toEqual(items.map(({ id }) => id));
    const alerts = pressed('2 t "alerts" Enter').screen;
    expect(ids(alerts)).toEqual(["alerts/disk/1", "alerts/2"]);
    expect(ids(pressed('t "/disk" Enter', alerts).screen)).toEqual(["alerts/disk/1"]);
    expect(ids(pressed('/ "disk" Enter', alerts).screen)).toEqual(["alerts/disk/1"]);
    const bad = pressed('t "/" Enter', alerts).screen;
    expect([bad.topic, bad.notice?.text]).toEqual([
      "alerts",
      expect.stringMatching(/^"alerts\/" is no topic/),
    ]);
    expect(pressed("t Back Back Back Back Back Back Enter", alerts).screen.topic).toBeUndefined();
    expect(pressed("t Esc", alerts).screen.topic).toBeUndefined();
    expect(pressed("Esc", alerts).screen.topic).toBeUndefined();
  });

  it("s sorts by the next column, r reverses, and rows without the figure come last", () => {
    expect(names(firstScreen()).at(0)).toBe("10.0.0.9:8080");
    const byItems = pressed("s s").screen;
    const items = [12_345, 12_345, 12_345, 7];
    expect(nodeRows(SCENE, byItems).map((row) => row.items)).toEqual([...items, undefined]);
    const reversed = pressed("r", byItems).screen;
    expect(nodeRows(SCENE, reversed).map((row) => row.items)).toEqual([...items.toReversed(), undefined]);
    expect(eventRows(SCENE, pressed("4 r").screen).map(({ key }) => key)).toEqual(["1", "2"]);
  });

  it("any key closes the help, and does nothing else, but for those that scroll it", () => {
    expect(pressed("? q")).toEqual({ screen: firstScreen() });
    expect(pressed("? j Down PgDn G").screen).toEqual({ ...firstScreen(), help: true });
  });

  it("a step is one line, a page, or all", () => {
    expect([stepOf("k", {}, 9), stepOf("", { pageDown: true }, 9), stepOf("G", {}, 9)]).toEqual([
      -1,
      9,
      Number.POSITIVE_INFINITY,
    ]);
    expect(stepOf("x", {}, 9)).toBeUndefined();
  });
});

describe("p", () => {
  const marked = { ...firstScreen(), marked: { cluster: keyOf("kitchen") } };
  const to = { key: keyOf("kitchen"), name: "kitchen" };

  it("posts what is typed, and nothing when it is empty or given up", () => {
    expect(pressed('p "doors open"', marked).screen.typing?.text).toBe("doors open");
    expect(pressed('p "doors open" Enter', marked).action).toEqual({ type: "post", raw: "doors open", to });
    expect(press(pressed("p", marked).screen, "at nine\r", {}, contextOf).action).toEqual({
      type: "post",
      raw: "at nine",
      to,
    });
    expect(pressed("p Enter", marked).action).toBeUndefined();
    expect(pressed('p "x" Esc Enter', marked).action).toBeUndefined();
    expect(pressed("p q", marked).action).toBeUndefined();
  });

  it("goes to the marked node, also from another view, whatever the filter there", () => {
    expect(pressed('2 / "doors" Enter p', marked).screen.typing).toMatchObject({ to });
    expect(pressed("G p").screen.typing).toMatchObject({ to: { name: names(firstScreen()).at(-1) } });
  });

  it("goes to the first that answers where no mark is seen and none was chosen", () => {
    expect(pressed("p").screen.typing).toMatchObject({ to: { name: "10.0.0.9:8080" } });
    expect(pressed("2 p").screen.typing).toMatchObject({ to: { name: names(firstScreen())[1] } });
  });

  it("stays with the node that was marked when typing began", () => {
    const typing = pressed('p "x"', marked).screen;
    const other = () => ({ rows: [], target: { key: "other", name: "other" } });
    expect(press(typing, "", { return: true }, other).action).toMatchObject({ to });
  });

  it("takes a paste as it is, and no paste is taken for keys", () => {
    const { screen } = pressed("p", marked);
    expect(pasted(screen, "one\r\ntwo").typing?.text).toBe("one\ntwo");
    expect(pasted(firstScreen(), "q")).toEqual(firstScreen());
  });
});
