import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Config } from "@oclif/core/config";
import type { PJSON } from "@oclif/core/interfaces";
import { run } from "@oclif/core/run";
import { asFailure } from "./failure.js";
import { Output } from "./output.js";

/**
 * Runs one command line to its end and leaves its exit code in `process.exitCode`.
 * @param root directory of the hubcast package: package.json, oclif.manifest.json
 */
export async function main(argv: readonly string[], root: URL): Promise<void> {
  const output = new Output({ json: wantsJson(argv), quiet: false, verbose: wantsVerbose(argv) });
  output.survivesBrokenPipes();
  let commandIds: readonly string[] = [];
  try {
    const config = await loadConfig(argv, root);
    commandIds = config.commandIDs;
    await run([...argv], config);
  } catch (error) {
    if (isExit(error)) {
      process.exitCode = error.oclif.exit;
      return;
    }
    const failure = asFailure(error, argv, commandIds);
    output.failure(failure, error);
    // Something may still be open (a socket, a timer): a failed command ends now, not when that ends.
    await output.flushed();
    process.exit(failure.exitCode);
  }
}

/** A plugin costs a start 10 ms of disk and JSON: they are loaded only for what they do. */
async function loadConfig(argv: readonly string[], root: URL): Promise<Config> {
  const pjson = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as PJSON;
  if (!needsPlugins(argv)) pjson.oclif.plugins = [];
  return await Config.load({ root: fileURLToPath(root), pjson, userPlugins: false, devPlugins: false });
}

function needsPlugins(argv: readonly string[]): boolean {
  const [first] = argv;
  if (first === undefined || first.startsWith("-") || first === "help" || first.startsWith("autocomplete")) {
    return true;
  }
  return beforeDashes(argv).some((word) => word === "--help" || word === "-h");
}

function wantsJson(argv: readonly string[]): boolean {
  return beforeDashes(argv).includes("--json");
}

function wantsVerbose(argv: readonly string[]): boolean {
  return beforeDashes(argv).some((word) => word === "-v" || word === "--verbose");
}

function beforeDashes(argv: readonly string[]): readonly string[] {
  const dashes = argv.indexOf("--");
  return dashes < 0 ? argv : argv.slice(0, dashes);
}

/** `this.exit(code)` of a command or plugin: it has said what it had to say. */
function isExit(error: unknown): error is { oclif: { exit: number } } {
  return error instanceof Error && (error as { code?: unknown }).code === "EEXIT";
}
