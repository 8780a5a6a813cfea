import { renderToString } from "ink";
import { describe, expect, it } from "vitest";
import { columnsOfText } from "../../src/core/text.js";
import { Frame } from "../../src/tui/ink/dashboard.js";
import { firstScreen, type Screen, VIEWS } from "../../src/tui/screen.js";
import type { Snapshot } from "../../src/tui/snapshot.js";
import { SCENE } from "./scene.js";

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
): string {
  return renderToString(<Frame {...{ snapshot, screen, colour, ...size }} />, { columns: size.columns });
}

function withoutColour(text: string): string {
  return text.replace(/\u001b\[[\d;]*m/g, "");
}

describe.each(SIZES)("at $columns x $rows", (size) => {
  it.each(Object.entries(SCREENS))("%s fills the screen, and no line is too long", (_name, screen) => {
    for (const snapshot of [SCENE, EMPTY]) {
      for (const colour of [false, true]) {
        const lines = withoutColour(drawn(screen, size, colour, snapshot)).split("\n");
        expect(lines.length).toBe(size.rows);
        expect(Math.max(...lines.map(columnsOfText))).toBeLessThanOrEqual(size.columns);
      }
    }
  });

  it.each(Object.entries(SCREENS))("%s looks as it did", (_name, screen) => {
    expect(drawn(screen, size)).toMatchSnapshot();
  });

  it("colour changes no character", () => {
    for (const screen of Object.values(SCREENS)) {
      expect(trimmed(withoutColour(drawn(screen, size, true)))).toBe(trimmed(drawn(screen, size)));
    }
  });
});

it("uses the 16 colours that every terminal has, and none without colour", () => {
  for (const screen of Object.values(SCREENS)) {
    const codes = [...drawn(screen, SIZES[2]!, true).matchAll(/\u001b\[([\d;]*)m/g)].map(
      (match) => match[1]!,
    );
    expect(codes.filter((code) => !/^([0-9]|2[1-9]|3[0-79]|4[0-79])$/.test(code))).toEqual([]);
    expect(drawn(screen, SIZES[2]!)).not.toContain("\u001b");
  }
});

it("says whether sets agree by a sign, not by colour alone", () => {
  const text = drawn(firstScreen(), SIZES[1]!);
  expect(text).toMatch(/kitchen .* = 0cb7/);
  expect(text).toMatch(/hall .* ≠ 0cb7/);
});

it("shows control characters of an item as pictures", () => {
  const text = drawn({ ...firstScreen("items"), opened: SCENE.items[4]!.digest }, SIZES[1]!);
  expect(text).toContain("an escape ␛[2J and a bell ␇");
});

function trimmed(text: string): string {
  return text.replace(/ +$/gm, "");
}
