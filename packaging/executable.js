// Makes build/hubcast, one executable: Node's single executable application with the built package and all packages that
// it uses inside, as bundles that are read when a command needs them. It runs on the kind of machine that made it.
//
//   npm run package:executable
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { ascii, builtinsWithoutFacade } from "../scripts/bundle.js";

process.chdir(fileURLToPath(new URL("../", import.meta.url)));
const BUNDLES = resolve("build", "bundles");
const EXECUTABLE = join("build", "hubcast");
/** The place of the package's root inside, see bootstrap.cjs. */
const INSIDE = "file:///hubcast";

/** What bundles in dist require by name at run time, where no bundler sees it: a module that exports the same. */
const REQUIRED = {
  "packages/string-width.js": 'export { default } from "string-width";',
  "packages/undici/lib/llhttp/llhttp-wasm.js":
    'export { default as "module.exports" } from "undici/lib/llhttp/llhttp-wasm.js";',
};

/** Imported by packages in an installation that has them: Ink does when it is debugged. */
const ABSENT = ["react-devtools-core"];

rmSync("build", { recursive: true, force: true });
mkdirSync("build");
await bundlePackage();
makeExecutable();
const packages = npm("ls", "--all", "--omit=dev", "--parseable").trim().split("\n").slice(1);
writeFileSync(join("build", "LICENSES"), licences());
report();

/** Joins dist with all that it imports. What is imported lazily stays apart, so that a command reads what it needs. */
async function bundlePackage() {
  const bundle = await rolldown({
    cwd: "dist",
    platform: "node",
    input: Object.fromEntries(entries().map((entry) => [entry.replace(/\.js$/, ""), resolve("dist", entry)])),
    external: ABSENT,
    plugins: [requiredByName(), threadsInside(), placesInside(), builtinsWithoutFacade(), ascii()],
  });
  await bundle.write({
    dir: join(BUNDLES, "dist"),
    format: "esm",
    minify: { compress: true, mangle: { keepNames: true }, codegen: true },
    entryFileNames: "[name].js",
    chunkFileNames: "inside/[name].js",
  });
}

/** Files of dist that are started or imported by their names at run time, and packages that are required so. */
function entries() {
  const commands = filesOf("dist/commands").filter((path) => path.endsWith(".js"));
  return [
    "cli/main.js",
    ...commands.map((path) => `commands/${path}`),
    ...["hub/simulate/hub-process.js", "hub/simulate/worker.js"],
    ...["node/storage/sqlite-thread.js", "node/storage/sqlite-file.js"],
    ...["node/verification/thread.js", "node/replica/ed25519.js"],
    ...Object.keys(REQUIRED),
  ];
}

function requiredByName() {
  const ids = new Map(Object.entries(REQUIRED).map(([name, text]) => [resolve("dist", name), text]));
  return {
    name: "required-by-name",
    resolveId: (id) => (ids.has(id) ? id : null),
    load: (id) => ids.get(id) ?? null,
  };
}

/** A thread has no modules of the package unless the script of the executable runs there first. */
function threadsInside() {
  const id = "\0threads";
  const text = `
    import * as threads from "node:worker_threads";
    import { getAsset } from "node:sea";
    import { fileURLToPath } from "node:url";
    export const { parentPort, workerData } = threads;
    export class Worker extends threads.Worker {
      constructor(entry, options) {
        super(getAsset("bootstrap.cjs", "utf8"), { ...options, eval: true, argv: [fileURLToPath(entry)] });
      }
    }`;
  return {
    name: "threads-inside",
    resolveId: (source, importer) =>
      source === "node:worker_threads" && importer?.startsWith(resolve("dist") + sep) ? id : null,
    load: (loaded) => (loaded === id ? text : null),
  };
}

/**
 * A bundle lies elsewhere than the files of dist that are joined in it, and some of them name files beside them. Those are
 * none of the bundler's business, so entries() must have them.
 */
function placesInside() {
  const known = new Set(entries().map((entry) => resolve("dist", entry)));
  return {
    name: "places-inside",
    transform(code, id) {
      if (!id.startsWith(resolve("dist") + sep)) return null;
      for (const [, name] of code.matchAll(/new URL\(["'`](\.[^"'`$]*)[^,]*, import\.meta\.url\)/g)) {
        const named = resolve(id, "..", name.replace(/\.js$/, ""));
        if (!known.has(`${named}.js`))
          throw new Error(`${id} names ${named}.js at run time: no bundle has it`);
      }
      const url = JSON.stringify(`${INSIDE}/${relative(".", id).replaceAll(sep, "/")}`);
      return code.replaceAll("import.meta.url", url);
    },
  };
}

function makeExecutable() {
  const bootstrap = "packaging/bootstrap.cjs";
  const bundles = filesOf(BUNDLES).map((path) => [path, join(BUNDLES, path)]);
  const files = ["bin/run.js", "package.json", "oclif.manifest.json"].map((path) => [path, path]);
  const blob = join("build", "hubcast.blob");
  const configuration = join("build", "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      main: bootstrap,
      output: blob,
      disableExperimentalSEAWarning: true,
      assets: Object.fromEntries([["bootstrap.cjs", bootstrap], ...files, ...bundles]),
    }),
  );
  execFileSync(process.execPath, ["--experimental-sea-config", configuration], { stdio: "pipe" });
  copyFileSync(process.execPath, EXECUTABLE);
  chmodSync(EXECUTABLE, 0o755);
  strip();
  // Node finds its resource by this name, and that it has one by the byte behind this mark. Piped: postject warns of each
  // note in Node that has no name.
  const mark = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
  const words = [EXECUTABLE, "NODE_SEA_BLOB", blob, "--sentinel-fuse", mark];
  const postject = fileURLToPath(import.meta.resolve("postject/dist/cli.js"));
  execFileSync(process.execPath, [postject, ...words], { stdio: "pipe" });
}

/** 18 MB less. Afterwards it would no longer run. */
function strip() {
  const { error, status } = spawnSync("strip", [EXECUTABLE], { stdio: "inherit" });
  if (error) console.log("there is no strip (Debian's package binutils): the symbols of Node stay in, 18 MB");
  else if (status !== 0) throw new Error(`strip ended with ${status}`);
}

/** Those of Node and of each package, which ask to be passed on with the executable. */
function licences() {
  const above = resolve(process.execPath, "..", "..");
  const places = [above, ...filesOf(above).map((path) => join(above, path, ".."))];
  const node = places.find((place) => existsSync(join(place, "LICENSE")));
  if (!node) throw new Error(`the licence of Node is nowhere below ${above}`);
  return ["hubcast", `Node.js ${process.version}`, ...packages]
    .map((of, index) => {
      if (index < 2)
        return `==== ${of}\n\n${readFileSync(join(index === 0 ? "." : node, "LICENSE"), "utf8")}`;
      const { name, version, license } = JSON.parse(readFileSync(join(of, "package.json"), "utf8"));
      const files = readdirSync(of).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
      const texts = files.map((file) => readFileSync(join(of, file), "utf8"));
      return [`==== ${name} ${version}, ${license}\n`, ...texts].join("\n");
    })
    .join("\n");
}

/** What it is beside the package of npm, which needs a Node. */
function report() {
  const [{ unpackedSize }] = JSON.parse(npm("pack", "--dry-run", "--ignore-scripts", "--json"));
  const installed = packages.reduce((sum, directory) => sum + bytesOf(directory), unpackedSize);
  const node = [process.execPath, "bin/run.js"];
  console.log(`
                          ${EXECUTABLE}   npm package
size                      ${[statSync(EXECUTABLE).size, installed].map(megabytes).join("        ")}, and a Node of ${megabytes(statSync(process.execPath).size).trim()}
--version                 ${[[EXECUTABLE], node].map((program) => startOf(program, "--version")).join("        ")}
broadcast list --help     ${[[EXECUTABLE], node].map((program) => startOf(program, "broadcast", "list", "--help")).join("        ")}`);
}

function npm(...args) {
  return execFileSync("npm", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

function bytesOf(directory) {
  const files = filesOf(directory).filter((path) => !path.startsWith("node_modules/"));
  return files.reduce((sum, path) => sum + statSync(join(directory, path)).size, 0);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1).padStart(6)} MB`;
}

/** The least of five: other work can only make a start longer. */
function startOf([file, ...before], ...args) {
  const times = [1, 2, 3, 4, 5].map(() => {
    const startMs = performance.now();
    execFileSync(file, [...before, ...args], { stdio: "ignore" });
    return performance.now() - startMs;
  });
  return `${Math.min(...times)
    .toFixed(0)
    .padStart(6)} ms`;
}

function filesOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .sort();
}
