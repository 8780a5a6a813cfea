// Builds dist: compiles src, writes oclif.manifest.json, makes the page of the board, and joins what a command loads into
// few files.
// With --eager nothing of a package is loaded later than its authors meant: bench/startup.ts shows what that costs.
// `prepare` and `pretest` call it, so a fresh clone is built by `npm ci`.
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildBoard } from "./board.js";
import { bundleCommands } from "./bundle.js";
import { commandManifest } from "./manifest.js";

const root = fileURLToPath(new URL("../", import.meta.url));
process.chdir(root);
rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync("tsc", ["-p", "tsconfig.build.json"], {
  stdio: "inherit",
  shell: process.platform === "win32",
});
if (status !== 0) process.exit(status ?? 1);
writeFileSync("oclif.manifest.json", await commandManifest(root));
await buildBoard(root);
await bundleCommands(root, { eager: process.argv.includes("--eager") });
