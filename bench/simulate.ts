// Cost of worlds of many virtual nodes: each node joins by itself through an address that it is told, until all rosters are full
// (samples of 1,000 in larger worlds). The last row: 100 + 100 nodes that were apart for 30 minutes.
// npm run build && node bench/simulate.ts [--row 1000] [--json]; on a quiet machine some minutes for all rows
// Read: wanted are under 2 minutes and 2 GiB for 1,000 and for 10,000 nodes, and both halves one cluster again, with the same
// items, within 30 s of virtual time. "members" is from the end of the faults until all know all and one graph links them.
import { spawnSync } from "node:child_process";

const ROWS: Readonly<Record<string, readonly string[]>> = {
  "300": ["--nodes", "300"],
  "1000": ["--nodes", "1000"],
  "3000": ["--nodes", "3000"],
  "10000": ["--nodes", "10000"],
  apart: "--nodes 200 --items 100 --partition 2 --apart 30m --duration 31m".split(" "),
};
const ROW_MS_MAX = 1_800_000;

const args = process.argv.slice(2);
const only = args.includes("--row") ? args[args.indexOf("--row") + 1] : undefined;
const names = Object.keys(ROWS).filter((name) => only === undefined || name === only);

const rows = names.map((name) => {
  const command = ["bin/run.js", "broadcast", "simulate", ...ROWS[name]!, "--seed", "1", "--json"];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: "utf8",
    timeout: ROW_MS_MAX,
  });
  if (status !== 0)
    throw new Error(`hubcast ${command.slice(1).join(" ")} ended with ${status}: ${stdout}${stderr}`);
  const { tookMs, cpuMs, memoryBytes, membersMs, healingMs, redundancy, messagesPerNode } =
    JSON.parse(stdout);
  return {
    world: name,
    "wall s": round(tookMs / 1_000),
    "CPU s": round(cpuMs / 1_000),
    "peak MiB": round(memoryBytes / 1_024 ** 2),
    "members s": membersMs / 1_000,
    "items s": healingMs.max / 1_000,
    copies: Math.round(redundancy * 100) / 100,
    "messages/node": messagesPerNode.p50,
  };
});
if (args.includes("--json")) console.log(JSON.stringify(rows));
else console.table(rows);

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
