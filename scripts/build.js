// Compiles src to dist. `prepare` and `pretest` call it, so a fresh clone is built by `npm ci`.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

rmSync("dist", { recursive: true, force: true });
execFileSync("tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
