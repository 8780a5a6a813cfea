// Memory of a hub at rest, as it is started by its command, beside that of Node alone.
// npm run build && node bench/hub-memory.ts        (Linux: it reads /proc)
// Read: 55 MiB resident with mDNS. `files` are pages of Node itself, which all of its processes share.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

/** A hub collects what its start left behind 3 s after it. */
const SETTLED_MS = 5_000;

const HUB = ["bin/run.js", "hub", "start", "--port", "0"];
const PROCESSES: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["Node that does nothing", ["--eval", "setInterval(() => {}, 1e6)"]],
  ["Node with net, tls and http", ["--eval", 'require("tls"); require("http").createServer().listen(0)']],
  ["hub", [...HUB, "--no-mdns"]],
  ["hub with mDNS", [...HUB, "--mdns-interface", "127.0.0.1"]],
  ["hub with mDNS and monitoring", [...HUB, "--mdns-interface", "127.0.0.1", "--monitor-port", "0"]],
];

for (const [name, args] of PROCESSES) {
  const child = spawn(process.execPath, args, { cwd: new URL("../", import.meta.url), stdio: "ignore" });
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const mib = (field: string): string =>
    (Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) / 1_024).toFixed(1);
  console.log(`${name}: ${mib("VmRSS")} MiB resident, ${mib("RssAnon")} of its own, ${mib("RssFile")} files`);
  child.kill();
  await once(child, "exit");
}
