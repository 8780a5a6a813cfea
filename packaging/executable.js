// Makes build/hubcast, one executable: Node's single executable application with the built package inside, whose files are
// read when a command needs them. It runs on the kind of machine that made it.
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
  statSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../", import.meta.url)));
const EXECUTABLE = join("build", "hubcast");

mkdirSync("build", { recursive: true });
makeExecutable();
writeFileSync(join("build", "LICENSES"), licences());
report();

function makeExecutable() {
  const bootstrap = "packaging/bootstrap.cjs";
  const built = filesOf("dist").filter((path) => path.endsWith(".js"));
  const inside = [
    ...built.map((path) => `dist/${path}`),
    "bin/run.js",
    "package.json",
    "oclif.manifest.json",
  ];
  const blob = join("build", "hubcast.blob");
  const configuration = join("build", "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      main: bootstrap,
      output: blob,
      disableExperimentalSEAWarning: true,
      assets: Object.fromEntries([["bootstrap.cjs", bootstrap], ...inside.map((path) => [path, path])]),
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

/** Those of Node, of hubcast and of each package, which ask to be passed on with the executable. */
function licences() {
  const above = resolve(process.execPath, "..", "..");
  const places = [above, ...filesOf(above).map((path) => join(above, path, ".."))];
  const node = places.find((place) => existsSync(join(place, "LICENSE")));
  if (!node) throw new Error(`the licence of Node is nowhere below ${above}`);
  const texts = ["LICENSE", join(node, "LICENSE"), join("dist", "licenses.txt")];
  return texts.map((path) => readFileSync(path, "utf8")).join(`\n${"=".repeat(80)}\n\n`);
}

/** Its difference from the package of npm, which needs a Node. */
function report() {
  const [{ unpackedSize }] = JSON.parse(npm("pack", "--dry-run", "--ignore-scripts", "--json"));
  const node = [process.execPath, "bin/run.js"];
  console.log(`
                          ${EXECUTABLE}   npm package
size                      ${[statSync(EXECUTABLE).size, unpackedSize].map(megabytes).join("        ")}, and a Node of ${megabytes(statSync(process.execPath).size).trim()}
--version                 ${[[EXECUTABLE], node].map((program) => startOf(program, "--version")).join("        ")}
broadcast list --help     ${[[EXECUTABLE], node].map((program) => startOf(program, "broadcast", "list", "--help")).join("        ")}`);
}

function npm(...args) {
  return execFileSync("npm", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
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
