import { spawnSync } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { loopbackFlags, NodeProcess } from "../fixtures/node-process.js";
import { hasScript, RUN, Terminal } from "./terminal.js";

const ENTER_SCREEN = "\u001b[?1049h";
const LEAVE_SCREEN = "\u001b[?1049l";
const SHOW_CURSOR = "\u001b[?25h";
const HIDE_CURSOR = "\u001b[?25l";

/** The output since the screen was given back last. */
function isRestored(output: string): boolean {
  const left = output.lastIndexOf(LEAVE_SCREEN);
  return left > output.lastIndexOf(ENTER_SCREEN) && output.lastIndexOf(SHOW_CURSOR) > 0;
}

describe.skipIf(!hasScript)("top on a terminal (needs script of util-linux)", () => {
  let node: NodeProcess;
  beforeAll(async () => {
    node = await NodeProcess.start({ flags: [...loopbackFlags("terminal-test"), "--name", "kitchen"] });
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  it("draws the node, posts what is typed, and gives the screen back at q", async () => {
    await using top = Terminal.top(["--url", node.url]);
    await top.says("kitchen");
    top.types("p");
    await top.says("post to kitchen> ");
    top.types("doors open at nine\r");
    await top.says("posted ");
    expect((await node.status()).items).toBe(1);
    top.types("2");
    await top.says("doors open at nine");
    top.types("q");
    expect(await top.ended()).toBe(0);
    expect(isRestored(top.output)).toBe(true);
  });

  it("Ctrl-C ends it with 130", async () => {
    await using top = Terminal.top(["--url", node.url]);
    await top.says("kitchen");
    top.types("\u0003");
    expect(await top.ended()).toBe(130);
    expect(isRestored(top.output)).toBe(true);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s gives the screen back", async (signal) => {
    await using top = Terminal.top(["--url", node.url]);
    await top.says("kitchen");
    top.kill(signal);
    expect(await top.ended()).not.toBe(0);
    expect(isRestored(top.output)).toBe(true);
  });

  it("an error that nobody caught gives the screen back, and can be read", async () => {
    const fault = "data:text/javascript,setTimeout(() => { throw new Error(`planted`) }, 3000)";
    await using top = Terminal.top(["--url", node.url], ["--import", fault]);
    await top.says(ENTER_SCREEN);
    expect(await top.ended()).not.toBe(0);
    expect(isRestored(top.output)).toBe(true);
    expect(top.output.slice(top.output.lastIndexOf(LEAVE_SCREEN))).toContain("planted");
  });

  it("uses no colour with NO_COLOR", async () => {
    await using top = Terminal.top(["--url", node.url], [], { NO_COLOR: "1" });
    await top.says("kitchen");
    top.types("q");
    await top.ended();
    expect(top.output).not.toMatch(/\u001b\[[\d;]*m/);
  });
});

const hasBash = spawnSync("bash", ["--version"]).status === 0;

describe.skipIf(!hasScript || !hasBash)("a suspended command (needs script and bash)", () => {
  let node: NodeProcess;
  beforeAll(async () => {
    node = await NodeProcess.start({ flags: [...loopbackFlags("suspension-test"), "--name", "kitchen"] });
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  it.each([
    ["Ctrl-Z", (shell: Terminal) => shell.types("\u001a")],
    [
      "SIGTSTP",
      (shell: Terminal) => {
        const before = shell.output.length;
        shell.kill("SIGTSTP");
        return before;
      },
    ],
  ])("top at %s gives the terminal back, and fg goes on", async (_how, suspend) => {
    await using shell = Terminal.shell();
    shell.types(
      `stty cols 80 rows 24; sh -c 'echo pid=$$; exec ${process.execPath} ${RUN} top --url ${node.url}'\r`,
    );
    await shell.says("kitchen");
    const stopped = suspend(shell);
    await shell.saysNow("Stopped", stopped);
    expect(isRestored(shell.output)).toBe(true);
    expect(shell.output.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(shell.output.lastIndexOf(HIDE_CURSOR));
    const asked = shell.types("stty -a | grep -c -- -icanon; echo done-$?\r");
    await shell.saysNow("done-1", asked);
    const continued = shell.types("fg\r");
    await shell.saysNow(ENTER_SCREEN, continued);
    await shell.saysNow("kitchen", continued);
    const pressed = shell.types("2");
    await shell.saysNow("[2 items]", pressed);
    const quit = shell.types("q");
    await shell.saysNow(LEAVE_SCREEN, quit);
    await shell.saysNow("$ ", quit);
    const ended = shell.types("echo ended-$?\r");
    await shell.saysNow("ended-0", ended);
    expect(isRestored(shell.output)).toBe(true);
  });

  it("hub simulate leaves its last figures on the screen at Ctrl-C", async () => {
    await using shell = Terminal.shell();
    shell.types(`${process.execPath} ${RUN} hub simulate -c 2 -n 100000 -i 100ms; echo code=$?\r`);
    await shell.says("deliveries");
    shell.types("\u0003");
    await shell.says("code=130");
    // Behind the last figures no line is erased.
    expect(shell.output.slice(shell.output.lastIndexOf("deliveries"))).not.toContain("\u001b[2K");
  });

  it.each([
    ["Ctrl-Z", "\u001a"],
    ["Ctrl-C", "\u0003"],
    ["Ctrl-\\", "\u001c"],
    ["SIGTSTP", "SIGTSTP"],
    ["SIGTERM", "SIGTERM"],
    ["SIGHUP", "SIGHUP"],
  ])("hub simulate shows the cursor again at %s", async (_how, keys) => {
    await using shell = Terminal.shell();
    const command = `${process.execPath} ${RUN} hub simulate -c 2 -n 100000 -i 100ms`;
    shell.types(`sh -c 'echo pid=$$; exec ${command}'\r`);
    await shell.says("deliveries");
    const before = shell.output.length;
    if (keys.startsWith("SIG")) shell.kill(keys as NodeJS.Signals);
    else shell.types(keys);
    await shell.saysNow("$ ", before);
    expect(shell.output.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(shell.output.lastIndexOf(HIDE_CURSOR));
    // A shell that still takes the job for stopped wants to be told twice.
    shell.types("kill %1; wait; exit\rexit\r");
    await shell.ended();
  });
});

describe.skipIf(!hasScript)("a server whose terminal is closed (needs script of util-linux)", () => {
  it.each([
    ["node", ["broadcast", "start", "--port", "0", "--p2p-host", "127.0.0.1"]],
    ["hub", ["hub", "start", "--port", "0"]],
  ])("a %s stops cleanly", async (_, words) => {
    const dir = await mkdtemp(join(tmpdir(), "hubcast-terminal-"));
    const codeFile = join(dir, "code");
    await using terminal = Terminal.server(words, codeFile);
    await terminal.says("is up");
    terminal.close();
    await eventually(async () => (await readFile(codeFile, "utf8").catch(() => "")).trim() === "0", 15_000);
  });
});
