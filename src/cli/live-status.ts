import type { Output } from "./output.js";
import { StatusLine } from "./status-line.js";

const ON_TERMINAL_MS = 500;
const LINE_MS = 1_000;

/**
 * Shows what a server does while it runs: on a terminal one line that stays below what else it says, otherwise a line a
 * second on stderr.
 * @param asLines a line a second on a terminal too
 * @returns stops it
 */
export function showLive(line: () => string | Promise<string>, output: Output, asLines = false): () => void {
  const { stderr, stdout } = process;
  const screen =
    stderr.isTTY && process.env.TERM !== "dumb" && !output.quiet && !asLines
      ? new StatusLine(stderr, [stdout])
      : undefined;
  let stopped = false;
  const show = async () => {
    const text = await line();
    if (stopped) return;
    if (screen) screen.show(text);
    else output.note(text);
  };
  const timer = setInterval(show, screen ? ON_TERMINAL_MS : LINE_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
    screen?.close();
  };
}
