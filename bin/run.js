#!/usr/bin/env node
// Finds a Node that is new enough, then hands over to dist/cli/main.js. It must parse on Node 18, and everything
// it loads is paid by every command: no static import, and `--version` is answered right here.
const [major, minor] = process.versions.node.split(".").map(Number);
const root = new URL("../", import.meta.url);
/** The executable has the files of the package inside of it: packaging/bootstrap.cjs says how to read them. */
const files = globalThis.hubcastFiles ?? {
  root,
  has: (name) => fs().existsSync(new URL(name, root)),
  read: (name) => fs().readFileSync(new URL(name, root), "utf8"),
};

if (major < 22 || (major === 22 && minor < 19)) {
  const { runOnPinnedNode } = await import("./pinned-node.js");
  runOnPinnedNode(root);
} else if (process.argv.length === 3 && process.argv[2] === "--version") {
  const { name, version } = JSON.parse(files.read("package.json"));
  process.stdout.on("error", ({ code, message }) => {
    if (code === "EPIPE") return;
    console.error(`error: cannot write: ${message}`);
    process.exitCode = 1;
  });
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
} else {
  if (process.env.HUBCAST_PINNED_NODE) dieWithParent();
  keepCompiledCode();
  if (files.has("dist/cli/main.js")) {
    const { main } = await import(new URL("dist/cli/main.js", root).href);
    await main(process.argv.slice(2), files);
  } else {
    console.error("hubcast is not built yet\n  Run npm run build in its directory.");
    process.exitCode = 1;
  }
}

function fs() {
  return process.getBuiltinModule("node:fs");
}

/** pinned-node.js waits for this process: when it is killed, nobody else could stop us. */
function dieWithParent() {
  delete process.env.HUBCAST_PINNED_NODE;
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.channel?.unref();
}

/**
 * Node keeps compiled code where we say, and believes what it finds there. Its own choice is one directory for all users
 * of the machine, where any of them could put code for another; ours is the user's. Without a home nothing is kept.
 */
function keepCompiledCode() {
  const { HOME, NODE_COMPILE_CACHE, XDG_CACHE_HOME = HOME && `${HOME}/.cache` } = process.env;
  const directory = NODE_COMPILE_CACHE ?? (XDG_CACHE_HOME && `${XDG_CACHE_HOME}/hubcast`);
  // Node makes directories below one that takes none, such as /proc, over and over, and does not return.
  if (/^\/(proc|sys)(\/|$)/.test(directory)) return;
  // On Windows the directory for temporary files is the user's.
  if (directory || process.platform === "win32")
    process.getBuiltinModule("node:module").enableCompileCache(directory);
}
