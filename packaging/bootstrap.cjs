// The script of the executable. The package lies inside of it as assets, and the modules of the package are loaded from
// there under URLs of their own: /hubcast/bin/run.js is to this executable what bin/run.js is to Node. Nothing is
// extracted. The same file starts threads (packaging/executable.js), which have no modules of the package either.
const { registerHooks } = require("node:module");
const { getAsset, getRawAsset } = require("node:sea");
const { pathToFileURL } = require("node:url");
const { isMainThread } = require("node:worker_threads");

const ROOT = "file:///hubcast/";
/** What bundles require by name: an asset of that name under packages. */
const PACKAGES = `${ROOT}dist/packages/`;

registerHooks({
  resolve(specifier, context, next) {
    const url = specifier.startsWith(".") ? new URL(specifier, context.parentURL).href : specifier;
    if (url.startsWith(ROOT)) return { url, format: "module", shortCircuit: true };
    const inside = `${PACKAGES}${url.replace(/\.js$/, "")}.js`;
    if (context.parentURL?.startsWith(ROOT) && has(inside.slice(ROOT.length)))
      return { url: inside, format: "module", shortCircuit: true };
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

// Node puts the executable's name, as typed, where a script's path stands. Whoever starts a script of this package
// (fork, the demo) names it in front of its arguments; a user does not.
if (isMainThread) {
  if (process.argv[2]?.startsWith("/hubcast/")) process.argv.splice(1, 1);
  else process.argv[1] = "/hubcast/bin/run.js";
  globalThis.hubcastFiles = { root: new URL(ROOT), has, read: (name) => getAsset(name, "utf8") };
}
import(pathToFileURL(process.argv[isMainThread ? 1 : 2]).href);

function has(name) {
  try {
    getRawAsset(name);
    return true;
  } catch {
    return false;
  }
}
