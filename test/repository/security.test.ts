import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./architecture.js";

const page = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const rows = page.split("\n").filter((line) => /^\| [^-]/.test(line) && !line.startsWith("| attempt"));

test("every row of the threat model names a test that there is, or says why none does", () => {
  expect(rows.length).toBeGreaterThan(40);
  for (const row of rows) {
    const shownBy = row.split("|").at(-2)!.trim();
    const named = [...shownBy.matchAll(/`((?:test|bench)\/[^`]+)`/g)].map(([, path]) => path!);
    for (const path of named) expect(existsSync(join(ROOT, path)), path).toBe(true);
    if (named.length === 0) expect(shownBy, row).toMatch(/^(no test|by design)/);
  }
});

test("everything else that the page names is there", () => {
  for (const [, path] of page.matchAll(/`((?:test|bench|docs|src)\/[^`]+)`/g))
    expect(existsSync(join(ROOT, path!)), path).toBe(true);
});
