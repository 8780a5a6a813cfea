import { describe, expect, it } from "vitest";
import { readSources, type SourceFile } from "./architecture.js";

/** Ways to write past the Output of a command: streams, the console, and methods of oclif. */
const WRITES =
  /\bconsole\s*\.|\b(stdout|stderr|stream|terminal)!?\s*\.\s*(write|end)\b|\bwriteSync\(|\bthis\.(log|logToStderr|logJson|warn|error)\(|\bux\b/g;

/** Each with a reason why no text from elsewhere gets by it as it is. */
const MAY_WRITE = new Set([
  // Makes every line visible text.
  "src/cli/output.ts",
  // Shows its line by shown(); what it passes on was written by others of this list.
  "src/cli/live-status.ts",
  // Write to files: what a command reads on its standard input, and what is finished.
  "src/cli/exec/watch-exec.ts",
  "src/cli/exec/state-file.ts",
  // Writes sequences of its own, which give a terminal back and take it again.
  "src/tui/suspension.ts",
]);

function writers(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => !MAY_WRITE.has(path))
    .flatMap(({ path, text }) => [...text.matchAll(WRITES)].map(([found]) => `${path}: ${found}`));
}

describe("commands write by way of Output, which makes what acts on a terminal visible:", () => {
  it("none of them, nor what they share, writes to a stream by itself", () => {
    const files = readSources(["src/cli", "src/commands", "src/tui"]);
    expect(files.length).toBeGreaterThan(50);
    expect(files.map(({ path }) => path)).toContain("src/cli/output.ts");
    expect(writers(files)).toEqual([]);
  });

  it.each([
    "console.log(status.name);",
    "process.stdout.write(item.id);",
    "this.process.stderr!.write(text)",
    "const { stdout } = process; stdout.write(name)",
    "writeSync(1, name);",
    "this.log(peer.name);",
    "this.warn(peer.name);",
    "ux.stdout(peer.name);",
  ])("%s would be seen", (text) => {
    expect(writers([{ path: "src/commands/new.ts", text }])).toHaveLength(1);
  });
});
