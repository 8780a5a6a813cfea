import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERRORS } from "../../src/core/errors.js";
import { ROOT } from "./architecture.js";

interface Row {
  readonly exitCode: number;
  readonly httpStatus: number | undefined;
  readonly meaning: string;
}

/** Rows of the table in docs/errors.md: | `code` | exit | status | meaning | what to do | */
function documented(markdown: string): Record<string, Row> {
  const rows = [...markdown.matchAll(/^\| `(\w+)` \| (\d+) \| (\d+|-) \| (.+?) \| (.+?) \|$/gm)];
  return Object.fromEntries(
    rows.map(([, code, exit, status, meaning]) => [
      code!,
      { exitCode: Number(exit), httpStatus: status === "-" ? undefined : Number(status), meaning: meaning! },
    ]),
  );
}

describe("docs/errors.md", () => {
  const markdown = readFileSync(join(ROOT, "docs", "errors.md"), "utf8");
  const table = Object.fromEntries(
    Object.entries<{ exitCode: number; httpStatus?: number; meaning: string }>(ERRORS).map(([code, kind]) => [
      code,
      { exitCode: kind.exitCode, httpStatus: kind.httpStatus, meaning: kind.meaning },
    ]),
  );

  it("has a row for every code, and no other, with its exit code, status and meaning", () => {
    const rows = documented(markdown);
    expect(Object.keys(rows).length).toBeGreaterThan(20);
    expect(rows).toEqual(table);
  });

  it("has no line in its table that the check does not read", () => {
    const lines = markdown.split("\n").filter((line) => line.startsWith("| `"));
    expect(lines.length).toBe(Object.keys(documented(markdown)).length);
  });
});
