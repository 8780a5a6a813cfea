import { describe, expect, it } from "vitest";
import { columnsOfText } from "../../src/core/text.js";
import { frameOf } from "../../src/tui/frame/frame.js";
import { Painter } from "../../src/tui/frame/painter.js";
import { firstScreen, type Screen, VIEWS } from "../../src/tui/screen.js";
import type { Snapshot } from "../../src/tui/snapshot.js";
import { SCENE } from "./scene.js";
import { FakeTerminal } from "./terminal.js";

const SIZES = [
  { columns: 60, rows: 20 },
  { columns: 80, rows: 24 },
  { columns: 120, rows: 40 },
];
const EMPTY: Snapshot = { atMs: SCENE.atMs, nodes: [], hubs: [], items: [], events: [] };
const SCREENS: Readonly<Record<string, Screen>> = {
  ...Object.fromEntries(VIEWS.map((view) => [view, firstScreen(view)])),
  help: { ...firstScreen(), help: true },
  "an open node": { ...firstScreen(), opened: SCENE.nodes[0]!.key },
  "an open item": { ...firstScreen("items"), opened: SCENE.items[1]!.digest },
  "an open hub": { ...firstScreen("hubs"), opened: "hub" },
  typing: { ...firstScreen(), typing: { into: "post", text: "x".repeat(200) } },
  filtered: { ...firstScreen(), filter: "kitchen", paused: true },
};

function drawn(
  screen: Screen,
  size: { columns: number; rows: number },
  colour = false,
  snapshot = SCENE,
): FakeTerminal {
  const terminal = new FakeTerminal(size);
  terminal.write(new Painter(colour).paint(frameOf(snapshot, screen, size)));
  return terminal;
}

describe.each(SIZES)("at $columns x $rows", (size) => {
  it.each(Object.entries(SCREENS))("%s fills the screen, and no line is too long", (_name, screen) => {
    for (const snapshot of [SCENE, EMPTY]) {
      const lines = frameOf(snapshot, screen, size).map((line) => line.map(({ text }) => text).join(""));
      expect(lines.length).toBe(size.rows);
      expect(Math.max(...lines.map(columnsOfText))).toBeLessThanOrEqual(size.columns);
    }
  });

  it.each(Object.entries(SCREENS))("%s looks as it did", (_name, screen) => {
    expect(drawn(screen, size).text).toMatchSnapshot();
  });

  it("colour changes no character", () => {
    for (const screen of Object.values(SCREENS)) {
      expect(drawn(screen, size, true).text).toBe(drawn(screen, size).text);
    }
  });
});

it("uses the 16 colours that every terminal has, and none without colour", () => {
  for (const screen of Object.values(SCREENS)) {
    const styles = drawn(screen, SIZES[2]!, true).styles;
    expect(styles.size).toBeGreaterThan(1);
    expect([...styles].filter((style) => !/^([0-9]|2[1-9]|3[0-79]|4[0-79])?$/.test(style))).toEqual([]);
    expect([...drawn(screen, SIZES[2]!).styles]).toEqual([""]);
  }
});

it("says whether sets agree by a sign, not by colour alone", () => {
  const { text } = drawn(firstScreen(), SIZES[1]!);
  expect(text).toMatch(/kitchen .* = 0cb7/);
  expect(text).toMatch(/hall .* ≠ 0cb7/);
});

it("shows control characters of an item as pictures", () => {
  const { text } = drawn({ ...firstScreen("items"), opened: SCENE.items[4]!.digest }, SIZES[1]!);
  expect(text).toContain("an escape ␛[2J and a bell ␇");
});
