import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import { ROOT, readSources } from "./architecture.js";

interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

const pages = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(read),
  ...["docs", "examples"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => read(join(folder, name))),
  ),
];
const readme = pages[0]!;
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
const { commands } = JSON.parse(readFileSync(join(ROOT, "oclif.manifest.json"), "utf8")) as {
  commands: Record<string, { flags: Record<string, unknown> }>;
};

describe("the documents", () => {
  it("were read, and have links", () => {
    expect(pages.length).toBeGreaterThan(8);
    expect(pages.flatMap(linksOf).length).toBeGreaterThan(40);
  });

  it("link to files and headings that are there", () => {
    expect(pages.flatMap((page) => linksOf(page).flatMap((link) => brokenLink(page, link)))).toEqual([]);
  });

  it("name files of the repository that are there", () => {
    const named = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/`((?:src|test|bench|scripts|docs|examples|bin)\/[\w./-]+\.\w+)`/g)].map(
        ([, name]) => `${path}: ${name}`,
      ),
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((line) => !existsSync(join(ROOT, line.split(": ")[1]!)))).toEqual([]);
  });

  it("give limits as the code has them", () => {
    const given = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/`(\w+)`\s\(([\d,]+)( MiB)?/g)]
        .filter(([, name]) => name! in LIMITS)
        .map(([, name, digits, unit]) => ({
          path,
          name: name!,
          value: Number(digits!.replaceAll(",", "")) * (unit ? 1_048_576 : 1),
        })),
    );
    expect(given.length).toBeGreaterThan(2);
    const actual = given.map((limit) => ({ ...limit, value: LIMITS[limit.name as keyof typeof LIMITS] }));
    expect(given).toEqual(actual);
  });

  it("are where the comments in the code say", () => {
    const named = readSources(["src", "bench"]).flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:(?!https?:).)*?\bdocs\/([\w-]+\.md(?:#[\w-]+)?)/gm)].map(([, target]) => ({
        path,
        target: target!,
      })),
    );
    expect(named.length).toBeGreaterThan(5);
    const broken = named.flatMap(({ path, target }) =>
      brokenLink({ path: "docs/x.md", text: "" }, target).map((what) => `${path}: ${what}`),
    );
    expect(broken).toEqual([]);
  });
});

describe("README.md", () => {
  it("begins with the two commands, and names only scripts of package.json", () => {
    const [first = ""] = readme.text.match(/```sh\n[\s\S]*?```/) ?? [];
    expect(first).toMatch(/^npm ci && npm run demo\b.*\nnpm ci && npm test\b/m);
    const named = [...readme.text.matchAll(/(?:^|`|&& )npm (?:run )?([a-z:]+)/gm)].map(
      ([, script]) => script!,
    );
    expect(named.filter((script) => !["ci", "install"].includes(script) && !scripts[script])).toEqual([]);
  });

  it("names only commands and flags that are there", () => {
    const lines = [...readme.text.matchAll(/(?:bin\/run\.js|\$ hubcast) ([a-z][^\n`|]*)/g)].map(
      ([, line]) => line!,
    );
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const words = line.replace(/"[^"]*"/g, "").split(/\s+/);
      const id = [words.slice(0, 2).join(":"), words[0]!].find((known) => commands[known]);
      const isTopic = Object.keys(commands).some((known) => known.startsWith(`${words[0]}:`));
      expect(id ?? (isTopic && words[1] === "--help"), line).toBeTruthy();
      const flags = words.filter((word) => word.startsWith("--") && word !== "--help");
      for (const flag of flags) expect(commands[id!]!.flags, line).toHaveProperty(flag.slice(2));
    }
  });

  it("names only variables and flags of broadcast start that are there", () => {
    const flags = Object.keys(commands["broadcast:start"]!.flags);
    const named = [...readme.text.matchAll(/`(--[a-z0-9-]+)/g)].map(([, flag]) => flag!.slice(2));
    const all = new Set([
      ...flags,
      ...Object.values(commands).flatMap((command) => Object.keys(command.flags)),
    ]);
    expect(named.filter((flag) => flag !== "help" && !all.has(flag))).toEqual([]);
  });
});

describe("the check of links sees", () => {
  const page = { path: "docs/http.md", text: "" };
  it.each(["none.md", "protocol.md#none", "../src/none.ts"])("a link to %s", (link) => {
    expect(brokenLink(page, link)).toHaveLength(1);
  });

  it.each(["protocol.md#items", "../README.md", "errors.md"])("nothing wrong with a link to %s", (link) => {
    expect(brokenLink(page, link)).toEqual([]);
  });
});

function read(path: string): Page {
  return { path: path.replaceAll("\\", "/"), text: readFileSync(join(ROOT, path), "utf8") };
}

/** Targets of the links of a page that lead into the repository. */
function linksOf({ text }: Page): string[] {
  const prose = text.replace(/```[\s\S]*?```/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((link) => !/^https?:/.test(link));
}

function brokenLink({ path, text }: Page, link: string): string[] {
  const [file = "", heading] = link.split("#");
  const target = file === "" ? join(ROOT, path) : join(ROOT, dirname(path), file);
  if (!existsSync(target)) return [`${path}: ${link} is not there`];
  if (heading === undefined) return [];
  const headings = headingsOf(file === "" ? text : readFileSync(target, "utf8"));
  return headings.has(heading) ? [] : [`${path}: ${relative(ROOT, target)} has no heading ${heading}`];
}

/** Names of headings as links have them: lower case, hyphens for spaces, no punctuation. */
function headingsOf(text: string): ReadonlySet<string> {
  const prose = text.replace(/```[\s\S]*?```/g, "");
  return new Set(
    [...prose.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-"),
    ),
  );
}
