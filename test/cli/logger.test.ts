import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

const LOGGER = new URL("../../build/src/cli/logger.js", import.meta.url).href;
const HOSTILE = "\u001b]52;c;ZXZpbA==\u0007\r\n[FORGED\u009b31m\u202e\u2028\\\u007f";

/** The log of a process about a peer whose every text acts on terminals. */
function logged(format: "json" | "pretty"): string {
  const script = `
    import { openLogger } from ${JSON.stringify(LOGGER)};
    const hostile = ${JSON.stringify(HOSTILE)};
    const logger = await openLogger("info", ${JSON.stringify(format)});
    logger.warn({ peer: hostile, [hostile]: 1, deep: [{ name: hostile }], err: new Error(hostile) }, hostile);
  `;
  return spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }).stderr;
}

describe("the log", () => {
  it("as JSON has the same texts, with escapes for what acts on a terminal", () => {
    const text = logged("json");
    expect(text.match(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)).toBeNull();
    expect(JSON.parse(text)).toMatchObject({ peer: HOSTILE, [HOSTILE]: 1, msg: HOSTILE });
  });

  it("for people shows them in signs, on lines that nobody else began", () => {
    const text = logged("pretty");
    expect(text).toContain("␛]52;c;ZXZpbA==␇␍␊[FORGED");
    expect(text.match(/(?!\n)[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u)).toBeNull();
    expect(text).not.toMatch(/^\[FORGED/m);
    expect(text).toMatch(/^ +at /m);
  });
});
