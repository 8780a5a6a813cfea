import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { whyNoLan } from "../fixtures/lan.js";

const reason = whyNoLan();
const DAY = fileURLToPath(new URL("../../bench/day.ts", import.meta.url));

test.skipIf(reason)(
  `a hub, three nodes and their clients live through an operator's day; nothing is lost, every event is told once${reason ? ` (skipped: ${reason})` : ""}`,
  { timeout: 240_000 },
  async () => {
    const running = promisify(execFile)(process.execPath, [DAY, "--minutes", "0"]);
    const { stdout, stderr } = await running.catch((failed: { stdout: string; stderr: string }) => failed);
    expect(stdout.split("\n").filter((line) => line.startsWith("BAD"))).toEqual([]);
    expect(stdout + stderr).toContain("all held");
  },
);
