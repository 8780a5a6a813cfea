// What it costs to start: user CPU of `hubcast --version` and `hubcast broadcast list`, against `node -e 0` of the
// same Node. Runs take turns, so that whatever else the machine does meets all of them; medians are compared.
//
//   npm run build && node bench/startup.ts [ROUNDS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2] ?? 15);
const run = fileURLToPath(new URL("../bin/run.js", import.meta.url));

/** One item, and a status: all that `list` asks for. */
const server = createServer((request, response) => {
  const item = { id: "1", raw: "hello", signature: "sha256:00", timestampMs: Date.now(), digest: "00" };
  const page = { items: [item] };
  const lines = request.headers.accept?.includes("ndjson");
  response.setHeader("content-type", lines ? "application/x-ndjson" : "application/json");
  response.end(lines ? `${JSON.stringify(item)}\n` : JSON.stringify(page));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const CASES: Readonly<Record<string, readonly string[]>> = {
  "node -e 0": ["-e", "0"],
  "hubcast --version": [run, "--version"],
  "hubcast broadcast list, a node answers": [run, "broadcast", "list", "--url", url],
  "hubcast broadcast list, refused": [run, "broadcast", "list", "--url", "http://127.0.0.1:1"],
  "hubcast broadcast list --help": [run, "broadcast", "list", "--help"],
};

/** User CPU of one process, in ms, as bash reads it from the kernel. */
async function userMs(args: readonly string[]): Promise<number> {
  const script = 'TIMEFORMAT=%3U; { time "$0" "$@" >/dev/null 2>&1; } 2>&1';
  const child = spawn("bash", ["-c", script, process.execPath, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return Number((await text(child.stdout)).trim()) * 1000;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const measured = new Map(Object.keys(CASES).map((name) => [name, [] as number[]]));
for (const args of Object.values(CASES)) await userMs(args); // fills the compile cache
for (let round = 0; round < rounds; round++) {
  for (const [name, args] of Object.entries(CASES)) measured.get(name)!.push(await userMs(args));
}
server.close();

const base = median(measured.get("node -e 0")!);
for (const [name, values] of measured) {
  const ms = median(values);
  console.log(
    `${name.padEnd(42)} ${ms.toFixed(0).padStart(5)} ms user CPU  ${(ms / base).toFixed(2).padStart(5)} x`,
  );
}
