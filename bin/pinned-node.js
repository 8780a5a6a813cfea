// Plain JavaScript for old Nodes: loaded by run.js only when the running Node cannot run hubcast.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs this command again on the Node that npm installed as a package (node_modules/node/bin/node, in this
 * package or beside it), and ends as it ends: same code, or same signal. Without one: one line, exit code 2.
 * @param {URL} root directory of the hubcast package
 */
export function runOnPinnedNode(root) {
  const node = findPinnedNode(resolve(fileURLToPath(root)));
  if (!node || process.env.HUBCAST_PINNED_NODE) {
    const found = `this is Node.js ${process.versions.node}`;
    console.error(
      `hubcast needs Node.js 22.19 or newer; ${found}. Run npm rebuild node, or install a newer Node.js.`,
    );
    process.exitCode = 2;
    return;
  }
  const child = spawn(node, process.argv.slice(1), {
    // The channel carries nothing: it closes when this process is killed, and the child then dies too.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, HUBCAST_PINNED_NODE: "1" },
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`cannot run ${node}: ${error.message}. Run npm rebuild node.`);
    process.exitCode = 2;
  });
  child.on("exit", (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    for (const forwarded of FORWARDED) process.removeAllListeners(forwarded);
    process.kill(process.pid, signal);
  });
}

/** Nowhere further up: a directory that others can write to must not decide what is run. */
function findPinnedNode(directory) {
  const path = join("node", "bin", process.platform === "win32" ? "node.exe" : "node");
  const candidates = [join(directory, "node_modules", path)];
  if (basename(dirname(directory)) === "node_modules") candidates.push(join(dirname(directory), path));
  return candidates.find((candidate) => existsSync(candidate));
}
