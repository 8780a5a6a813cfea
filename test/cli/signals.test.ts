import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";

const SIGNALS = new URL("../../dist/cli/signals.js", import.meta.url).href;

/** A server that never finishes its shutdown. */
const STUBBORN = `
  import { onSignals } from ${JSON.stringify(SIGNALS)};
  onSignals(["SIGINT", "SIGTERM"], (signal) => console.log("stopping at " + signal));
  setInterval(() => {}, 1000);
  console.log("up");
`;

describe("a second Ctrl-C", () => {
  it("ends at once what does not stop, but one that comes twice is one", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", STUBBORN], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 15_000,
    });
    let stdout = "";
    const firstLine = once(child.stdout, "data");
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    await firstLine;
    const closed = once(child, "close");
    let sent = 0;
    const again = setInterval(() => {
      child.kill("SIGINT");
      sent++;
    }, 40);
    const [code] = await closed;
    clearInterval(again);
    expect([stdout, code]).toEqual(["up\nstopping at SIGINT\n", 130]);
    expect(sent).toBeGreaterThan(2);
  });
});
