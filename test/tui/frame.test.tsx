// Before Ink: it decides when it is loaded whether there are colours.
import "./scene.js";
import { EventEmitter } from "node:events";
import { render, renderToString } from "ink";
import { describe, expect, it } from "vitest";
import { columnsOf } from "../../src/core/text.js";
import { Dashboard } from "../../src/tui/app.js";
import { firstScreen, type Screen, VIEWS } from "../../src/tui/screen.js";
import type { Snapshot } from "../../src/tui/snapshot.js";
import { HasColour, type Size } from "../../src/tui/table.js";
import { SCENE } from "./scene.js";

const SIZES = [
  { columns: 40, rows: 12 },
  { columns: 80, rows: 24 },
  { columns: 120, rows: 40 },
  { columns: 200, rows: 50 },
];
const EMPTY: Snapshot = { atMs: SCENE.atMs, nodes: [], hubs: [], items: [], events: [] };
const TO = { key: SCENE.nodes[0]!.key, name: "kitchen" };
const SCREENS: Readonly<Record<string, Screen>> = {
  ...Object.fromEntries(VIEWS.map((view) => [view, firstScreen(view)])),
  help: { ...firstScreen(), help: true },
  "an open node": { ...firstScreen(), opened: SCENE.nodes[0]!.key },
  "an open item": { ...firstScreen("items"), opened: SCENE.items[1]!.digest },
  "an open hub": { ...firstScreen("hubs"), opened: "hub" },
  typing: { ...firstScreen(), typing: { into: "post", text: `${"x".repeat(200)} end`, to: TO } },
  filtered: { ...firstScreen(), filter: "kitchen", paused: true },
};

function frameOf(screen: Screen, size: Size, snapshot = SCENE, colour = false): string {
  const app = (
    <HasColour value={colour}>
      <Dashboard snapshot={snapshot} screen={screen} size={size} />
    </HasColour>
  );
  return renderToString(app, { columns: size.columns });
}

describe.each(SIZES)("at $columns x $rows", (size) => {
  it.each(Object.entries(SCREENS))("%s fills the screen, and no line is too long", (_name, screen) => {
    for (const snapshot of [SCENE, EMPTY]) {
      const lines = frameOf(screen, size, snapshot).split("\n");
      expect(lines.length).toBe(size.rows);
      expect(Math.max(...lines.map(columnsOf))).toBeLessThanOrEqual(size.columns);
    }
  });

  it.each(Object.entries(SCREENS))("%s looks as it did", (_name, screen) => {
    expect(frameOf(screen, size)).toMatchSnapshot();
  });

  it("colour changes no character", () => {
    for (const screen of Object.values(SCREENS)) {
      const plain = frameOf(screen, size);
      const coloured = frameOf(screen, size, SCENE, true).replace(/\u001b\[\d+m/g, "");
      expect(coloured.replace(/ +$/gm, "")).toBe(plain);
      expect(plain).not.toContain("\u001b");
    }
  });
});

it("uses the 16 colours that every terminal has", () => {
  for (const screen of Object.values(SCREENS)) {
    const codes = [...frameOf(screen, SIZES[2]!, SCENE, true).matchAll(/\u001b\[([^m]*)m/g)].map(
      ([, code]) => code!,
    );
    expect(codes.length).toBeGreaterThan(1);
    expect(codes.filter((code) => !/^([0-9]|2[1-9]|3[0-79]|4[0-79])$/.test(code))).toEqual([]);
  }
});

it("says whether sets agree by a sign, not by colour alone", () => {
  const frame = frameOf(firstScreen(), SIZES[1]!);
  expect(frame).toMatch(/kitchen .* = 0cb7/);
  expect(frame).toMatch(/hall .* ≠ 0cb7/);
});

it("shows control characters of an item as pictures", () => {
  const frame = frameOf({ ...firstScreen("items"), opened: SCENE.items[4]!.digest }, SIZES[1]!);
  expect(frame).toContain("an escape ␛[2J and a bell ␇");
});

it.each([
  ["👩‍🚀👍🏽❤️1️⃣ x", "👩👍❤1 x"],
  ["日本語ノード", "日本語ノード"],
  ["\u0928\u093f\u200d x", "\u0928\u093f\u200d x"],
])("of %j shows what all terminals give the same width", (name, shown) => {
  const nodes = [{ ...SCENE.nodes[0]!, name }];
  expect(frameOf(firstScreen(), SIZES[1]!, { ...SCENE, nodes })).toContain(`▸ ${shown} `);
});

it("draws all rates on one scale", () => {
  const rate = (perSecond: number) => ({ perSecond, history: [perSecond] });
  const [node] = SCENE.nodes;
  const nodes = [
    { ...node!, key: "a", name: "few", posts: rate(10), gossipIn: rate(0) },
    { ...node!, key: "b", name: "many", posts: rate(700), gossipIn: rate(1_000) },
  ];
  const frame = frameOf(firstScreen(), SIZES[1]!, { ...SCENE, nodes });
  expect(frame).toMatch(/POST\/S, to 1000 +IN\/S, to 1000/);
  expect(frame).toMatch(/^ {2}few +▁ *$/m);
  expect(frame).toMatch(/^ {2}many +▆ +█ *$/m);
});

it("never says 1 items", () => {
  const nodes = [{ ...SCENE.nodes[0]!, items: 1 }];
  expect(frameOf(firstScreen(), SIZES[1]!, { ...SCENE, nodes }).split("\n")[0]).toContain("1 node  1 item  ");
});

/** A terminal that counts what is written to it. */
class Terminal extends EventEmitter {
  readonly isTTY = true;
  readonly columns = 120;
  readonly rows = 40;
  written = "";

  write(text: string, done?: () => void): boolean {
    this.written += text;
    done?.();
    return true;
  }
}

describe("a refresh", () => {
  // Ten nodes, every figure of which moves, and a list of which no line stays.
  it.each([
    { view: "cluster", bytesMax: 5_000 },
    { view: "items", bytesMax: 9_000 },
    { view: "hubs", bytesMax: 700 },
    { view: "events", bytesMax: 4_500 },
  ] as const)(
    "of $view writes only lines that changed, and nothing when none did",
    async ({ view, bytesMax }) => {
      const stdout = new Terminal();
      const size = { columns: stdout.columns, rows: stdout.rows };
      const options = {
        stdout: stdout as unknown as NodeJS.WriteStream,
        incrementalRendering: true,
        maxFps: 1e9,
      };
      const app = (refresh: number) => (
        <Dashboard snapshot={busySnapshot(refresh)} screen={firstScreen(view)} size={size} />
      );
      const { rerender, unmount, waitUntilRenderFlush } = render(app(0), {
        ...options,
        interactive: true,
        patchConsole: false,
      });
      let written = 0;
      for (let refresh = 1; refresh < 20; refresh++) {
        await waitUntilRenderFlush();
        stdout.written = "";
        rerender(app(refresh));
        await waitUntilRenderFlush();
        written += stdout.written.length;
        expect(Buffer.byteLength(stdout.written)).toBeLessThan(bytesMax);
        expect(stdout.written).not.toContain("\u001b[2J");
        stdout.written = "";
        rerender(app(refresh));
        await waitUntilRenderFlush();
        expect(stdout.written).toBe("");
      }
      expect(written).toBeGreaterThan(0);
      unmount();
    },
  );
});

/** The scene a quarter of a second later, under 1,000 posts a second. */
function busySnapshot(refresh: number): Snapshot {
  const posted = 100_000 + refresh * 250;
  const rate = (perSecond: number) => ({
    perSecond,
    history: Array.from({ length: 20 }, (_, index) => (((refresh >> 2) + index) * perSecond) % 997),
  });
  const nodes = Array.from({ length: 10 }, (_, index) => ({
    ...SCENE.nodes[0]!,
    key: `node-${index}`,
    name: `node-${index}`,
    items: posted + index,
    fingerprint: (posted * 7919 + index).toString(16).padStart(32, "0").slice(-4).padEnd(32, "0"),
    posts: rate(900 + ((refresh * 13 + index) % 200)),
    gossipIn: rate(900 + ((refresh * 17 + index) % 200)),
    gossipOut: rate(90 + ((refresh * 7 + index) % 20)),
    rssBytes: 150_000_000 + posted * 100,
    eventLoopDelayMs: (refresh * 3 + index) % 50,
  }));
  const items = Array.from({ length: 60 }, (_, index) => ({
    ...SCENE.items[0]!,
    id: `item-${posted - index}`,
    raw: `item ${posted - index} `.repeat(10),
    digest: String(posted - index).padStart(64, "0"),
    timestampMs: SCENE.atMs + refresh * 250 - index,
  }));
  const events = Array.from({ length: 60 }, (_, index) => ({
    key: String(posted - index),
    atMs: SCENE.atMs + refresh * 250 - index * 500,
    tone: "good" as const,
    text: `node node-${(posted - index) % 10} is connected`,
  }));
  const hubs = SCENE.hubs.map((hub) => ({ ...hub, deliveries: rate(900_000 + ((refresh * 911) % 90_000)) }));
  return { atMs: SCENE.atMs + refresh * 250, nodes, hubs, items, events };
}
