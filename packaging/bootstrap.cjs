// The script of the executable. The package lies inside of it as assets, and the modules of the package are loaded from
// there under URLs of their own: /hubcast/bin/run.js is to this executable what bin/run.js is to Node. Nothing is
// extracted. The same file starts threads, which have no modules of the package either.
const { registerHooks } = require("node:module");
const { getAsset, getRawAsset } = require("node:sea");
const { fileURLToPath, pathToFileURL } = require("node:url");
const threads = require("node:worker_threads");

const ROOT = "file:///hubcast/";

registerHooks({
  resolve(specifier, context, next) {
    const url = specifier.startsWith(".") ? new URL(specifier, context.parentURL).href : specifier;
    if (url.startsWith(ROOT)) return { url, format: "module", shortCircuit: true };
    return next(specifier, context);
  },
  load(url, context, next) {
    if (!url.startsWith(ROOT)) return next(url, context);
    return {
      source: new Uint8Array(getRawAsset(url.slice(ROOT.length))),
      format: "module",
      shortCircuit: true,
    };
  },
});

// A module of the package as a thread: this script, which then loads it.
threads.Worker = class Worker extends threads.Worker {
  constructor(entry, options) {
    if (!String(entry).startsWith(ROOT)) super(entry, options);
    else super(getAsset("bootstrap.cjs", "utf8"), { ...options, eval: true, argv: [fileURLToPath(entry)] });
  }
};

// Node puts the executable's name, as typed, where a script's path stands. Whoever starts a script of this package
// (fork, the demo) names it in front of its arguments; a user does not.
if (threads.isMainThread) {
  if (process.argv[2]?.startsWith("/hubcast/")) process.argv.splice(1, 1);
  else process.argv[1] = "/hubcast/bin/run.js";
  globalThis.hubcastFiles = { root: new URL(ROOT), has, read: (name) => getAsset(name, "utf8") };
}
import(pathToFileURL(process.argv[threads.isMainThread ? 1 : 2]).href);

function has(name) {
  try {
    getRawAsset(name);
    return true;
  } catch {
    return false;
  }
}
