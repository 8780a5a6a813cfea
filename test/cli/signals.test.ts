import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SIGNALS = new URL("../../build/src/cli/signals.js", import.meta.url).href;
const OUTPUT = new URL("../../build/src/cli/output.js", import.meta.url).href;

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
    let repeats = 0;
    const repeating = setInterval(() => {
      child.kill("SIGINT");
      if (++repeats === 5) clearInterval(repeating);
    }, 40);
    // Seldom enough that none meets a process that ends, which has no handler any more.
    const again = setInterval(() => child.kill("SIGINT"), 1_000);
    const [code] = await closed;
    clearInterval(again);
    clearInterval(repeating);
    expect([stdout, code]).toEqual(["up\nstopping at SIGINT\n", 130]);
    expect(repeats).toBe(5);
  });
});

describe("a process with a thread inside a system call that never returns", () => {
  const directory = mkdtempSync(join(tmpdir(), "hubcast-stuck-"));
  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  const stuck = `
    import { open } from "node:fs/promises";
    import { Output } from ${JSON.stringify(OUTPUT)};
    import { Stopping } from ${JSON.stringify(SIGNALS)};
    import { onSignals } from ${JSON.stringify(SIGNALS)};
    void open(${JSON.stringify(pipe)}, "r");
    process.on("exit", (code) => console.log("exit " + code));
  `;

  async function run(script: string, onUp: (kill: () => void) => void) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", stuck + script], { timeout: 15_000 });
    let [stdout, stderr] = ["", ""];
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (text.includes("up\n")) onUp(() => child.kill("SIGTERM"));
    });
    const [code] = await once(child, "close");
    return { stdout, stderr, code };
  }

  it("ends at the second signal", async () => {
    let again: NodeJS.Timeout | undefined;
    const ended = await run(`onSignals(["SIGTERM"], () => {}); console.log("up");`, (kill) => {
      // The program that takes its place has no handler while it starts.
      again = setInterval(kill, 1_000);
    });
    clearInterval(again);
    expect(ended).toEqual({ stdout: "up\nexit 130\n", stderr: "", code: 130 });
  });

  it("ends at the deadline after the first, and says so", async () => {
    const script = `
      new Stopping(new Output({ json: false, quiet: false, verbose: false }), ["SIGTERM"], 200);
      console.log("up");
    `;
    const ended = await run(script, (kill) => kill());
    expect(ended).toEqual({
      stdout: "up\nexit 5\n",
      stderr:
        "SIGTERM: stopping; Ctrl-C again ends at once\nerror: not stopped 200 ms after SIGTERM: it ends as it is\n",
      code: 5,
    });
  });
});
