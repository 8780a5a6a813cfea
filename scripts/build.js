// Builds dist: compiles src into build/src, makes the page of the board, joins what is used together into few files, with
// the packages that they need, and writes oclif.manifest.json.
// With --eager nothing of a package is loaded later than its authors meant: bench/startup.ts shows what that costs.
// `prepare` and `pretest` call it, so a fresh clone is built by `npm ci`.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBoard } from "./board.js";
import { bundle } from "./bundle.js";
import { commandManifest } from "./manifest.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const compiled = join(root, "build", "src");
process.chdir(root);
for (const made of ["dist", compiled]) rmSync(made, { recursive: true, force: true });
const { status } = spawnSync("tsc", ["-p", "tsconfig.build.json"], {
  stdio: "inherit",
  shell: process.platform === "win32",
});
if (status !== 0) process.exit(status ?? 1);
await buildBoard(root, compiled);
await bundle(compiled, join(root, "dist"), { eager: process.argv.includes("--eager") });
writeFileSync("oclif.manifest.json", await commandManifest(root));
