// The cost of a start: CPU, user and system, of short commands, against `node -e 0` of the same Node. Runs take turns,
// so that whatever else the machine does meets all of them. Other work can only make a run dearer, so the least is the
// steadiest figure. Wanted: `list` and `post` at most 2.75 times `node -e 0`.
//
// Where `npm run package:executable` has made the executable, its commands take part as well.
//
//   npm run build && node bench/startup.ts [ROUNDS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const rounds = Number(process.argv[2] ?? 15);
const run = fileURLToPath(new URL("../bin/run.js", import.meta.url));
const executable = fileURLToPath(new URL("../build/hubcast", import.meta.url));

const ITEM = { id: "1", raw: "hello", signature: "sha256:00", timestampMs: Date.now(), digest: "00" };
const RESULT = { id: "1", digest: "00", visible: "00", timestampMs: Date.now(), status: "accepted" };

/** One item, and the result of a post: all that `list` and `post` ask for. */
const server = createServer((request, response) => {
  const body = request.method === "POST" ? RESULT : { items: [ITEM] };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "hubcast --version": ["--version"],
  "hubcast broadcast list, a node answers": ["broadcast", "list", "--url", url],
  "hubcast broadcast post": ["broadcast", "post", "x", "--url", url],
  "hubcast broadcast list, refused": ["broadcast", "list", "--url", "http://127.0.0.1:1"],
  "hubcast broadcast list --help": ["broadcast", "list", "--help"],
};

/** Command lines by what they are called here. */
const CASES: Record<string, readonly string[]> = { "node -e 0": [process.execPath, "-e", "0"] };
for (const [name, args] of Object.entries(COMMANDS)) CASES[name] = [process.execPath, run, ...args];
if (existsSync(executable)) {
  for (const [name, args] of Object.entries(COMMANDS)) CASES[`executable: ${name}`] = [executable, ...args];
}

/** CPU of one process, in ms, as bash reads it from the kernel. @throws when the process ends otherwise than its case must */
async function cpuMs(name: string, args: readonly string[]): Promise<number> {
  const script = 'TIMEFORMAT="%3U %3S"; { time "$0" "$@" >/dev/null 2>&1; } 2>&1';
  const child = spawn("bash", ["-c", script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const [user, system] = (await text(child.stdout)).trim().split(" ").map(Number);
  const [code] = await ended;
  if (code !== (name.endsWith("refused") ? 3 : 0)) throw new Error(`${name} ended with exit code ${code}`);
  return (user! + system!) * 1000;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

const measured = new Map(Object.keys(CASES).map((name) => [name, [] as number[]]));
for (const [name, args] of Object.entries(CASES)) await cpuMs(name, args); // fills the compile cache
for (let round = 0; round < rounds; round++) {
  for (const [name, args] of Object.entries(CASES)) measured.get(name)!.push(await cpuMs(name, args));
}
server.close();

const least = (name: string) => Math.min(...measured.get(name)!);
for (const [name, values] of measured) {
  const ratio = least(name) / least("node -e 0");
  console.log(
    `${name.padEnd(50)} least ${least(name).toFixed(0).padStart(4)} ms  median ${median(values).toFixed(0).padStart(4)} ms` +
      `  ${ratio.toFixed(2).padStart(5)} x`,
  );
}
