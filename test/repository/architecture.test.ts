import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  breaches,
  importsOf,
  LINES_MAX,
  ROOT,
  readSources,
  TEST_LINES_MAX,
  tooLong,
} from "./architecture.js";

const FOLDERS = ["src", "test", "bench", "scripts", "bin", "examples"].filter((name) =>
  existsSync(join(ROOT, name)),
);
const files = readSources(FOLDERS);

describe("the sources", () => {
  it("were read, with their imports", () => {
    for (const folder of ["src/core/", "src/node/", "src/cli/", "src/commands/", "test/", "bin/"]) {
      expect(files.filter(({ path }) => path.startsWith(folder)).length, folder).toBeGreaterThan(0);
    }
    expect(files.flatMap(({ text }) => importsOf(text)).length).toBeGreaterThan(100);
  });

  it("keep their layers, and pure parts are pure", () => {
    expect(breaches(files)).toEqual([]);
  });

  it(`have at most ${LINES_MAX} lines each, tests ${TEST_LINES_MAX}`, () => {
    expect(tooLong(files)).toEqual([]);
  });
});

describe("the check itself sees", () => {
  it.each([
    ["src/core/units.ts", 'import { x } from "../node/node.js";', "core must not import src/node/node.js"],
    [
      "src/node/node.ts",
      'import type { Hub } from "../hub/index.js";',
      "node must not import src/hub/index.js",
    ],
    [
      "src/hub/hub.ts",
      'import { x } from "../node/protocol/item.js";',
      "hub must not import src/node/protocol/item.js",
    ],
    [
      "src/node/protocol/item.ts",
      'import { x } from "../node.js";',
      "node protocol must not import src/node/node.js",
    ],
    [
      "src/node/protocol/item.ts",
      'import { x } from "../../net/dnssd/index.js";',
      "node protocol must not import",
    ],
    ["src/node/protocol/item.ts", 'const fs = await import("node:fs");', "is pure, but imports node:fs"],
    ["src/node/protocol/item.ts", 'import net from "node:net";', "is pure, but imports node:net"],
    ["src/hub/protocol/a/b.ts", "const t = Date.now();", "is pure, but uses Date.now"],
    ["src/sim/world.ts", "setTimeout(next, 1);", "is pure, but uses setTimeout"],
    ["src/core/random.ts", "export const r = Math.random;", "is pure, but uses Math.random"],
    ["src/core/random.ts", 'import { randomBytes } from "node:crypto";', "is pure, but uses randomBytes"],
    ["src/core/env.ts", "export const home = process.env.HOME;", "is pure, but uses process."],
    ["src/commands/hub/x.ts", 'import { x } from "../../hub/protocol/frame.js";', "commands must not import"],
    ["src/commands/hub/x.ts", 'import { x } from "../../hub/server.js";', "commands must not import"],
    ["src/cli/output.ts", 'import x from "../commands/demo.js";', "cli must not import src/commands/demo.js"],
    ["src/utils/x.ts", "export {};", "src/utils is no part of design section 3"],
  ])("%s with %s", (path, text, said) => {
    expect(breaches([{ path, text }])).toEqual([expect.stringContaining(said)]);
  });

  it.each([
    ["src/core/machine.ts", "/** `Math.random` in a shell */ // Date.now()"],
    ["src/sim/world.ts", 'import { x } from "../node/protocol/replica.js";'],
    ["src/node/node.ts", 'import { x } from "../net/dnssd/index.js"; setTimeout(f, 1);'],
    ["src/commands/broadcast/x.ts", 'import { x } from "../../node/client.js";'],
  ])("nothing wrong in %s with %s", (path, text) => {
    expect(breaches([{ path, text }])).toEqual([]);
  });

  it("a file that is too long", () => {
    const text = "line\n".repeat(LINES_MAX);
    expect(tooLong([{ path: "a.ts", text }])).toEqual([]);
    expect(tooLong([{ path: "a.ts", text: `${text}one more\n` }])).toEqual(["a.ts: 251 lines"]);
  });
});
