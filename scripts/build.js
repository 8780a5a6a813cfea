// Builds dist: compiles src, writes oclif.manifest.json, and joins what a command loads into few files.
// `prepare` and `pretest` call it, so a fresh clone is built by `npm ci`.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { bundleCommands } from "./bundle.js";
import { commandManifest } from "./manifest.js";

const root = fileURLToPath(new URL("../", import.meta.url));
process.chdir(root);
rmSync("dist", { recursive: true, force: true });
const tsc = createRequire(import.meta.url)
  .resolve("typescript/package.json")
  .replace("package.json", "bin/tsc");
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { stdio: "inherit" });
writeFileSync("oclif.manifest.json", await commandManifest(root));
await bundleCommands(root);
