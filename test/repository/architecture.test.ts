import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { breaches, importCircles, importsOf, ROOT, readSources } from "./architecture.js";

const FOLDERS = ["src", "test", "bench", "scripts", "bin", "examples"].filter((name) =>
  existsSync(join(ROOT, name)),
);
const files = readSources(FOLDERS);

describe("the sources", () => {
  it("were read, with their imports", () => {
    for (const folder of [
      "src/core/",
      "src/node/",
      "src/discovery/",
      "src/cli/",
      "src/commands/",
      "test/",
      "bin/",
    ]) {
      expect(files.filter(({ path }) => path.startsWith(folder)).length, folder).toBeGreaterThan(0);
    }
    expect(files.flatMap(({ text }) => importsOf(text)).length).toBeGreaterThan(100);
  });

  it("keep their layers, and pure parts are pure", () => {
    expect(breaches(files)).toEqual([]);
  });
});

describe("modules of src", () => {
  it("do not import each other in circles, not even for types", () => {
    const sources = files.filter(({ path }) => path.startsWith("src/"));
    expect(sources.length).toBeGreaterThan(100);
    expect(importCircles(sources)).toEqual([]);
  });

  it("leave writing the sessions of a hub to its machine", () => {
    const shells = files.filter(({ path }) => /^src\/hub\/(?!machine\/)/.test(path));
    const writers = shells.filter(({ text }) =>
      /import (type )?\{[^}]*\b(Session|RemoteHub|RemoteClient)\b[^}]*\} from "[^"]*session\.js"/.test(text),
    );
    expect(shells.length).toBeGreaterThan(10);
    expect(writers.map(({ path }) => path)).toEqual([]);
  });
});

describe("the check itself sees", () => {
  it("a circle of imports, with its members alone", () => {
    const text = (specifier: string) => `import type { x } from "${specifier}";`;
    const circle = importCircles([
      { path: "src/a.ts", text: text("./b.js") },
      { path: "src/b.tsx", text: text("./c/d.js") },
      { path: "src/c/d.ts", text: text("../a.js") },
      { path: "src/e.ts", text: text("./a.js") },
    ]);
    expect(circle).toEqual([["src/a.ts", "src/b.tsx", "src/c/d.ts"]]);
  });

  it.each([
    ["src/core/units.ts", 'import { x } from "../node/node.js";', "core must not import src/node/node.js"],
    [
      "src/node/node.ts",
      'import type { Hub } from "../hub/index.js";',
      "node must not import src/hub/index.js",
    ],
    [
      "src/hub/hub.ts",
      'import { x } from "../node/replica/item.js";',
      "hub must not import src/node/replica/item.js",
    ],
    [
      "src/node/replica/item.ts",
      'import { x } from "../node.js";',
      "node pure must not import src/node/node.js",
    ],
    [
      "src/node/replica/item.ts",
      'import { x } from "../../discovery/index.js";',
      "node pure must not import",
    ],
    ["src/node/replica/item.ts", 'const fs = await import("node:fs");', "is pure, but imports node:fs"],
    ["src/node/replica/item.ts", 'import net from "node:net";', "is pure, but imports node:net"],
    ["src/discovery/cache.ts", 'import { x } from "./links.js";', "must not import src/discovery/links.js"],
    ["src/node/discovery.ts", 'import { x } from "../discovery/cache.js";', "node must not import"],
    ["src/hub/machine/a/b.ts", "const t = Date.now();", "is pure, but uses Date.now"],
    ["src/sim/world.ts", "setTimeout(next, 1);", "is pure, but uses setTimeout"],
    ["src/core/rates.ts", "export const r = Math.random;", "is pure, but uses Math.random"],
    ["src/core/rates.ts", 'import { randomBytes } from "node:crypto";', "is pure, but uses randomBytes"],
    ["src/core/env.ts", "export const home = process.env.HOME;", "is pure, but uses process."],
    ["src/commands/hub/x.ts", 'import { x } from "../../hub/machine/frame.js";', "commands must not import"],
    ["src/commands/hub/x.ts", 'import { x } from "../../hub/server.js";', "commands must not import"],
    ["src/cli/output.ts", 'import x from "../commands/demo.js";', "cli must not import src/commands/demo.js"],
    ["src/node/board/x.tsx", 'import { x } from "../client.js";', "board must not import src/node/client.js"],
    [
      "src/node/board/x.tsx",
      'import type { X } from "../node.js";',
      "board must not import src/node/node.js",
    ],
    ["src/node/node.ts", 'import { x } from "./board/board.js";', "node must not import src/node/board/"],
    ["src/utils/x.ts", "export {};", "src/utils is in no layer of docs/architecture.md"],
  ])("%s with %s", (path, text, said) => {
    expect(breaches([{ path, text }])).toEqual([expect.stringContaining(said)]);
  });

  it.each([
    ["src/core/machine.ts", "/** `Math.random` in a shell */ // Date.now()"],
    ["src/sim/world.ts", 'import { x } from "../node/replica/replica.js";'],
    ["src/node/node.ts", 'import { x } from "../discovery/index.js"; setTimeout(f, 1);'],
    ["src/commands/broadcast/x.ts", 'import { x } from "../../node/client.js";'],
    [
      "src/node/board/x.tsx",
      'import type { X } from "../broadcast.js"; import { x } from "../../core/x.js";',
    ],
  ])("nothing wrong in %s with %s", (path, text) => {
    expect(breaches([{ path, text }])).toEqual([]);
  });
});
