import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";
import { publint } from "publint";
import { beforeAll, describe, expect, it } from "vitest";
import { importsOf, ROOT, readSources } from "./architecture.js";

const { bin, dependencies, overrides, allowScripts } = JSON.parse(
  readFileSync(join(ROOT, "package.json"), "utf8"),
) as {
  bin: { hubcast: string };
  dependencies: Record<string, string>;
  overrides?: unknown;
  allowScripts?: unknown;
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
    const allowed =
      /^(bin|dist|docs|examples)\/|^(oclif\.manifest|package)\.json$|^([A-Z]+|bench\/README)\.md$|^LICENSE$/;
    expect(packed.filter((path) => !allowed.test(path))).toEqual([]);
  });

  it("holds what its README links to", () => {
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const links = [...readme.matchAll(/(?:\]\(|src(?:set)?=")(?!https?:|#)([^)"#]+)/g)].map(
      ([, link]) => link!,
    );
    expect(links.length).toBeGreaterThan(20);
    expect(
      links.filter((link) => !packed.some((path) => path === link || path.startsWith(`${link}/`))),
    ).toEqual([]);
  });

  it("has no document with a link to a file that it does not hold", () => {
    const documents = packed.filter((path) => path.endsWith(".md"));
    const links = documents.flatMap((path) => {
      const prose = readFileSync(join(ROOT, path), "utf8").replace(/```[\s\S]*?```/g, "");
      return [...prose.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => ({
        path,
        target: posix.join(posix.dirname(path), link!).replace(/\/$/, ""),
      }));
    });
    expect(documents.length).toBeGreaterThan(30);
    expect(links.length).toBeGreaterThan(100);
    const isHeld = (target: string) =>
      packed.some((path) => path === target || path.startsWith(`${target}/`));
    expect(links.filter(({ target }) => !isHeld(target))).toEqual([]);
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

  it("installs without a script: no dependency of its users has one", () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean; hasInstallScript?: boolean; integrity?: string }>;
    };
    const installed = Object.entries(packages).filter(([path, { dev }]) => path !== "" && !dev);
    expect(installed.length).toBeGreaterThan(100);
    // 267 with lmdb and before parts of libp2p were left out; scripts/check-package.sh prints count and size.
    expect(installed.length).toBeLessThan(260);
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual(
      [],
    );
    expect(installed.filter(([, { integrity }]) => !integrity).map(([path]) => path)).toEqual([]);
    // In a checkout the pinned Node brings its binary by one.
    expect({ overrides, allowScripts }).toEqual({ overrides: undefined, allowScripts: { node: true } });
  });

  it("pins the packages of which it uses files that they do not export", () => {
    const texts = readSources(["src", "scripts"]).map(({ text }) => text);
    const inner = texts.flatMap((text) =>
      [...text.matchAll(/["'`]((?:@[\w.-]+\/)?[\w.-]+)\/([\w./-]+)["'`]/g)]
        .map(([, name, path]) => ({ name: name!, path: path! }))
        .filter(
          ({ name, path }) => dependencies[name] !== undefined && !exportsOf(name).includes(`./${path}`),
        ),
    );
    const touched = [...new Set(inner.map(({ name }) => name))];
    expect(touched).toEqual(["undici"]);
    expect(touched.map((name) => dependencies[name])).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
  });

  it("resolves for its users", async () => {
    expect(existsSync(join(ROOT, "dist", "index.js"))).toBe(true);
    const { messages } = await publint({ pkgDir: ROOT, strict: true });
    expect(messages).toEqual([]);
  });
});

describe("package-lock.json", () => {
  type Locked = { integrity?: string; resolved?: string; link?: boolean };
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked>;
  };
  const installed = Object.entries(lock.packages).filter(([path, { link }]) => path !== "" && !link);

  it("has the hash of every package, so that nobody can put another one in its place", () => {
    expect(installed.length).toBeGreaterThan(300);
    const without = installed.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ""));
    expect(without.map(([path]) => path)).toEqual([]);
  });

  it("names no other place than the public registry", () => {
    const places = installed.flatMap(([, { resolved }]) => (resolved === undefined ? [] : [resolved]));
    expect(places.filter((url) => !url.startsWith("https://registry.npmjs.org/"))).toEqual([]);
    expect(readFileSync(join(ROOT, ".npmrc"), "utf8")).not.toMatch(/^(.*:)?registry\s*=|_auth/m);
  });
});

function exportsOf(name: string): string[] {
  const path = join(ROOT, "node_modules", name, "package.json");
  return Object.keys((JSON.parse(readFileSync(path, "utf8")) as { exports?: object }).exports ?? {});
}

function packageOf(specifier: string): string {
  if (specifier.startsWith("node:")) return specifier;
  const [scope, name] = specifier.split("/");
  return specifier.startsWith("@") ? `${scope}/${name}` : scope!;
}
