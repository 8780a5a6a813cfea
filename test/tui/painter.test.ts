import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameOf } from "../../src/tui/frame/frame.js";
import { cell, fitted, type Line, span, type Tone } from "../../src/tui/frame/line.js";
import { Painter } from "../../src/tui/frame/painter.js";
import { firstScreen, type Screen, VIEWS } from "../../src/tui/screen.js";
import type { Snapshot } from "../../src/tui/snapshot.js";
import { SCENE } from "./scene.js";
import { FakeTerminal } from "./terminal.js";

const TONES: readonly (Tone | undefined)[] = [undefined, "dim", "good", "marked"];
const SIZE = { columns: 24, rows: 5 };

/** Lines as views make them: cells of fixed widths, and texts as long as they are. */
const lineArbitrary = fc
  .array(
    fc.record({
      text: fc.oneof(
        fc.constantFrom("", " ", "a", "12.3k", "kitchen", "火災", "▁▂▃█", "e\u0301té", "two words"),
        fc.constantFrom("ready", "lost", "火").map((text) => cell(text, 8)),
      ),
      tone: fc.constantFrom(...TONES),
    }),
    { maxLength: 6 },
  )
  .map((spans) =>
    fitted(
      spans.map(({ text, tone }) => span(text, tone)),
      SIZE.columns,
    ),
  );
const frames = fc.array(fc.array(lineArbitrary, { minLength: 1, maxLength: SIZE.rows }), { maxLength: 6 });

describe("a painter", () => {
  it("leaves what a first painting of the last frame would show, whatever was there before", () => {
    fc.assert(
      fc.property(frames, fc.boolean(), (course, colour) => {
        const painter = new Painter(colour);
        const terminal = new FakeTerminal(SIZE);
        for (const lines of course) {
          terminal.write(painter.paint(lines));
          expect(terminal.cells).toEqual(cellsOf(lines, colour));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("writes nothing when nothing differs, and all after it forgot", () => {
    const lines = frameOf(SCENE, firstScreen(), { columns: 80, rows: 24 });
    const painter = new Painter(true);
    const first = painter.paint(lines);
    expect(painter.paint(frameOf(SCENE, firstScreen(), { columns: 80, rows: 24 }))).toBe("");
    painter.forget();
    expect(painter.paint(lines)).toBe(first);
  });

  it("writes one figure in its place when one figure changes", () => {
    const before = [[span("  "), span("kitchen ", "accent"), span("   1"), span(" "), span("ready", "good")]];
    const after = [before[0]!.with(2, span("   2"))];
    const painter = new Painter(true);
    painter.paint(before);
    expect(painter.paint(after)).toContain("\u001b[1;11H   2\u001b[?7h");
  });
});

describe("a refresh", () => {
  // Ten nodes, every figure of which moves, and a list of which no line stays.
  it.each([
    { view: "cluster", bytesMax: 1_700 },
    { view: "items", bytesMax: 5_200 },
    { view: "hubs", bytesMax: 200 },
    { view: "events", bytesMax: 600 },
  ] as const)(
    "of $view writes at most $bytesMax bytes, and never erases the screen",
    ({ view, bytesMax }) => {
      const size = { columns: 120, rows: 40 };
      const terminal = new FakeTerminal(size);
      const painter = new Painter(true);
      for (let refresh = 0; refresh < 40; refresh++) {
        const before = terminal.bytes;
        terminal.write(painter.paint(frameOf(busySnapshot(refresh), firstScreen(view), size)));
        if (refresh > 0) expect(terminal.bytes - before).toBeLessThan(bytesMax);
      }
      expect(terminal.clears).toBe(0);
    },
  );

  it("erases nothing when the view changes", () => {
    const size = { columns: 80, rows: 24 };
    const terminal = new FakeTerminal(size);
    const painter = new Painter(true);
    const screens: Screen[] = [...VIEWS.map(firstScreen), { ...firstScreen(), help: true }];
    for (const screen of screens) terminal.write(painter.paint(frameOf(SCENE, screen, size)));
    expect(terminal.clears).toBe(0);
  });
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

function cellsOf(lines: readonly Line[], colour: boolean): string[] {
  const terminal = new FakeTerminal(SIZE);
  terminal.write(new Painter(colour).paint(lines));
  return terminal.cells;
}
