// Builds dist: compiles src, writes oclif.manifest.json, and joins what a command loads into few files.
// With --eager nothing of a package is loaded later than its authors meant: bench/startup.ts shows what that costs.
// `prepare` and `pretest` call it, so a fresh clone is built by `npm ci`.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.js";
import { commandManifest } from "./manifest.js";

const root = fileURLToPath(new URL("../", import.meta.url));
process.chdir(root);
for (const made of ["dist", "build/src"]) rmSync(made, { recursive: true, force: true });
const { status } = spawnSync("tsc", ["-p", "tsconfig.build.json"], {
  stdio: "inherit",
  shell: process.platform === "win32",
});
if (status !== 0) process.exit(status ?? 1);
await bundle(join(root, "build", "src"), join(root, "dist"), { eager: process.argv.includes("--eager") });
writeFileSync("oclif.manifest.json", await commandManifest(root));
