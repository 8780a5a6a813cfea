import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { publint } from "publint";
import { beforeAll, describe, expect, it } from "vitest";
import { importsOf, ROOT, readSources } from "./architecture.js";

const { bin, dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  bin: { hubcast: string };
  dependencies: Record<string, string>;
};

describe("the published package", () => {
  let packed: string[];
  beforeAll(() => {
    const listing = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [{ files }] = JSON.parse(listing.toString()) as [{ files: { path: string }[] }];
    packed = files.map(({ path }) => path);
  });

  it("holds what runs and what describes it, and nothing else", () => {
    const needed = [
      "bin/run.js",
      "bin/pinned-node.js",
      "dist/cli/main.js",
      "dist/index.js",
      "dist/index.d.ts",
    ];
    expect(packed).toEqual(
      expect.arrayContaining([...needed, "oclif.manifest.json", "package.json", "LICENSE"]),
    );
    const allowed = /^(bin|dist|docs)\/|^(oclif\.manifest|package)\.json$|^(README|CHANGELOG)\.md$|^LICENSE$/;
    expect(packed.filter((path) => !allowed.test(path))).toEqual([]);
  });

  it("starts at a file that can be executed", () => {
    expect(packed).toContain(bin.hubcast);
    expect(readFileSync(join(ROOT, bin.hubcast), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it("has every command of the manifest", () => {
    const { commands } = JSON.parse(readFileSync(join(ROOT, "oclif.manifest.json"), "utf8")) as {
      commands: Record<string, { relativePath: string[] }>;
    };
    const paths = Object.values(commands).map(({ relativePath }) => relativePath.join("/"));
    expect(paths.filter((path) => !packed.includes(path))).toEqual([]);
  });

  it("imports only its dependencies, and its own files", () => {
    // Newer ones, such as node:sqlite, are listed with their prefix.
    const builtins = builtinModules.map((name) => (name.startsWith("node:") ? name : `node:${name}`));
    const allowed = new Set([...Object.keys(dependencies), ...builtins]);
    // In the bundles a name in quotes may be text; what our compiled files import is all that bundles can.
    const compiled = readSources(["dist"]).filter(({ path }) => !/^dist\/(chunks|commands|cli)\//.test(path));
    const bundled = readSources(["dist/chunks", "dist/commands", "dist/cli"]);
    expect(bundled.length).toBeGreaterThan(5);
    const outside = compiled.flatMap(({ path, text }) =>
      importsOf(text)
        .filter(({ specifier }) => !specifier.startsWith(".") && !allowed.has(packageOf(specifier)))
        .map(({ specifier }) => `${path}: ${specifier}`),
    );
    const chunkless = bundled.flatMap(({ path, text }) =>
      [...text.matchAll(/(?:^|;)(?:import|export)[^;"]*from\s*"([^"]+)"/gm)]
        .map((match) => match[1]!)
        .filter((name) => !name.startsWith(".") && !allowed.has(packageOf(name)))
        .map((name) => `${path}: ${name}`),
    );
    expect([...outside, ...chunkless]).toEqual([]);
  });

  it("resolves for its users", async () => {
    expect(existsSync(join(ROOT, "dist", "index.js"))).toBe(true);
    const { messages } = await publint({ pkgDir: ROOT, strict: true });
    expect(messages).toEqual([]);
  });
});

function packageOf(specifier: string): string {
  if (specifier.startsWith("node:")) return specifier;
  const [scope, name] = specifier.split("/");
  return specifier.startsWith("@") ? `${scope}/${name}` : scope!;
}
