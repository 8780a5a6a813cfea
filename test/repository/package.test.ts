import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";
import { publint } from "publint";
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT, readSources } from "./architecture.js";

const { bin, devDependencies, ...others } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  bin: { hubcast: string };
  devDependencies: Record<string, string>;
  dependencies?: unknown;
  overrides?: unknown;
  allowScripts?: unknown;
};

/** `import ... from "x"`, `import("x")` and `require("x")`, in a minified file: at the start of a statement. */
const IMPORTED =
  /(?:^|;)(?:import|export)\b[^;"'`()]*?from\s*["'`]([^"'`]+)["'`]|(?:^|;)import\s*["'`]([^"'`]+)["'`]|\bimport\(["'`]([^"'`]+)["'`]\)/gm;

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

  it("does not run the development tools of Ink, which dial port 8097", () => {
    const chunks = packed.filter((path) => path.startsWith("dist/chunks/"));
    expect(chunks).toContain("dist/chunks/ink.js");
    expect(chunks.filter((path) => readFileSync(join(ROOT, path), "utf8").includes("8097"))).toEqual([]);
  });

  it("has every command of the manifest", () => {
    const { commands } = JSON.parse(readFileSync(join(ROOT, "oclif.manifest.json"), "utf8")) as {
      commands: Record<string, { relativePath: string[] }>;
    };
    const paths = Object.values(commands).map(({ relativePath }) => relativePath.join("/"));
    expect(paths.filter((path) => !packed.includes(path))).toEqual([]);
  });

  it("brings no other package: it imports its own files and what Node has, and so do its types", () => {
    expect(others).toMatchObject({ allowScripts: { node: true } });
    expect([others.dependencies, others.overrides]).toEqual([undefined, undefined]);
    // Newer ones, such as node:sqlite, are listed with their prefix.
    const builtins = new Set(builtinModules.flatMap((name) => [name, name.replace(/^(?!node:)/, "node:")]));
    const files = packed.filter((path) => /^(bin|dist)\/.*\.(js|d\.ts)$/.test(path));
    expect(files.length).toBeGreaterThan(100);
    const outside = files.flatMap((path) =>
      [...readFileSync(join(ROOT, path), "utf8").matchAll(IMPORTED)]
        .map(([, ...names]) => names.find((name) => name !== undefined)!)
        .filter((name) => !name.startsWith(".") && !builtins.has(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(outside).toEqual([]);
  });

  it("has the licenses of the packages inside", () => {
    const text = readFileSync(join(ROOT, "dist", "licenses.txt"), "utf8");
    for (const name of [
      "@oclif/core",
      "fastify",
      "ink",
      "libp2p",
      "multicast-dns",
      "preact",
      "react",
      "undici",
    ])
      expect(text).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(.*(MIT|Apache-2.0).*\\)$`, "m"));
  });

  it("pins the packages of which it uses files that they do not export", () => {
    const texts = readSources(["src", "scripts"]).map(({ text }) => text);
    const inner = texts.flatMap((text) =>
      [...text.matchAll(/["'`]((?:@[\w.-]+\/)?[\w.-]+)\/([\w./-]+)["'`]/g)]
        .map(([, name, path]) => ({ name: name!, path: path! }))
        .filter(
          ({ name, path }) =>
            name !== "node" && devDependencies[name] !== undefined && !exportsOf(name).includes(`./${path}`),
        ),
    );
    // The binary of `node` is what it is for.
    const touched = [...new Set(inner.map(({ name }) => name))];
    expect(touched).toEqual(["undici"]);
    expect(touched.map((name) => devDependencies[name])).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
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
