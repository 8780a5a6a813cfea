// Before Ink: it decides when it is loaded whether there are colours.
import "./scene.js";
import { render } from "ink-testing-library";
import { afterEach, describe, expect, it, vi } from "vitest";
import { App, type DashboardOptions } from "../../src/tui/app.js";
import type { Snapshot } from "../../src/tui/snapshot.js";
import { HasColour } from "../../src/tui/table.js";
import { SCENE } from "./scene.js";

const LONG = Array.from({ length: 100 }, (_, line) => `line ${line}`).join("\n");
const DOWN = "\u001b[B";
const ESCAPE_WAIT_MS = 2_000;

let close = () => {};
afterEach(() => close());

/** The app with a collector that has this to tell. */
function started(snapshot: Snapshot = SCENE) {
  const posts: [raw: string, to: string][] = [];
  const collector: DashboardOptions["collector"] & { snapshot: () => Snapshot } = {
    ask: async () => {},
    snapshot: () => snapshot,
    post: async (raw, to) => {
      posts.push([raw, to.name]);
      return "an-id";
    },
  };
  const app = render(
    <HasColour value={false}>
      <App collector={collector} />
    </HasColour>,
  );
  close = app.unmount;
  const shows = (text: string) =>
    vi.waitFor(() => expect(app.lastFrame()).toContain(text), { timeout: ESCAPE_WAIT_MS });
  const type = async (keys: string, text: string) => {
    app.stdin.write(keys);
    await shows(text);
  };
  return { ...app, collector, posts, shows, type };
}

describe("the dashboard", () => {
  it("posts what is typed to the marked node, and says so", async () => {
    const { posts, type, shows } = started();
    await shows("▸ 10.0.0.9:8080");
    await type("G", "▸ kitchen");
    await type("p", "post to kitchen> ");
    await type("doors open", "doors open▏");
    await type("\r", "posted an-id to kitchen");
    expect(posts).toEqual([["doors open", "kitchen"]]);
  });

  it("shows all of a long item, line by line, by pages, and its end", async () => {
    const item = { ...SCENE.items[0]!, raw: LONG };
    const { type, shows, lastFrame } = started({ ...SCENE, items: [item] });
    await type("2", "[2 items]");
    await type("\r", "lines 1 to ");
    expect(lastFrame()).not.toContain("line 99");
    await type(DOWN, "lines 2 to ");
    await type("G", "line 99");
    await type("g", "lines 1 to ");
    await shows("signature");
  });

  it("keeps an opened item that newer ones have pushed out of the list", async () => {
    const item = { ...SCENE.items[0]!, raw: "read me" };
    const { type, shows, collector, lastFrame } = started({ ...SCENE, items: [item] });
    await type("2", "[2 items]");
    await type("\r", item.digest);
    collector.snapshot = () => ({ ...SCENE, atMs: SCENE.atMs + 60_000 });
    await shows("14:06:09");
    expect(lastFrame()).toContain(item.digest);
  });

  it("shows control characters that are typed or pasted as pictures", async () => {
    const { type, stdin, shows } = started();
    await type("p", "post to ");
    stdin.write("\u001b[200~a\u0007b\nc\u001b[201~");
    await shows("a␇b␊c▏");
  });
});
