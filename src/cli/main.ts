import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command, Config, Interfaces } from "@oclif/core";
import { setLogger } from "@oclif/core/logger";
import { asHubcastError } from "../core/errors.js";
import type { BaseCommand } from "./base-command.js";
import { asFailure } from "./failure.js";
import { Output } from "./output.js";
import { endProcess } from "./signals.js";

interface CommandClass {
  id: string;
  new (argv: string[], config: Config): BaseCommand<typeof Command>;
}

/**
 * Runs one command line to its end and leaves its exit code in `process.exitCode`.
 * @param root directory of the hubcast package: package.json, oclif.manifest.json
 */
export async function main(argv: readonly string[], root: URL): Promise<void> {
  const output = new Output({ json: wantsJson(argv), quiet: false, verbose: wantsVerbose(argv) });
  output.survivesBrokenPipes();
  // Uncaught errors are printed like all output: they too may hold text from remotes.
  process.on("uncaughtException", (error) => {
    output.failure(asHubcastError(error), error);
    endProcess(1);
  });
  try {
    await runCommand(argv, root);
  } catch (error) {
    if (isExit(error)) {
      process.exitCode = error.oclif.exit;
      return;
    }
    const failure = asFailure(error, argv, commandIds(root));
    output.failure(failure, error);
    // Something may still be open (a socket, a timer): a failed command ends now, not when that ends.
    await output.flushed();
    endProcess(failure.exitCode);
  }
}

/**
 * A plain call of a command goes to it at once, with the few fields of a config that it reads: oclif's `Config.load` looks
 * for plugins, shells and Windows, and costs a start as much as all else of oclif. Help, completion, and what names no
 * command are left to oclif's `run`, with all that it loads.
 */
async function runCommand(argv: readonly string[], root: URL): Promise<void> {
  const pjson = readJson("package.json", root) as Interfaces.PJSON;
  const isForPlugins = needsPlugins(argv);
  const found = isForPlugins || argv[0] === "completion" ? undefined : findCommand(argv, root);
  if (found) {
    const { default: Found } = (await import(found.file.href)) as { default: CommandClass };
    Found.id = found.id;
    if (process.env.DEBUG === undefined) setLogger({ root: fileURLToPath(root), logger: SILENT });
    await new Found([...found.rest], plainConfig(root, pjson)).execute();
    return;
  }
  if (!isForPlugins) pjson.oclif.plugins = [];
  const { run } = await import("@oclif/core/run");
  await run([...argv], { root: fileURLToPath(root), pjson, userPlugins: false, devPlugins: false });
}

/** The command that the first words name. */
function findCommand(argv: readonly string[], root: URL) {
  for (const count of [2, 1]) {
    const words = argv.slice(0, count);
    if (words.length < count || !words.every((word) => /^[a-z]+$/.test(word))) continue;
    const file = new URL(`dist/commands/${words.join("/")}.js`, root);
    if (existsSync(file)) return { file, id: words.join(":"), rest: argv.slice(count) };
  }
  return undefined;
}

/** In the place of oclif's own, which loads two packages to find out that nobody listens. */
const SILENT: Interfaces.Logger = {
  ...{ namespace: "oclif", child: () => SILENT },
  ...{ debug: () => {}, error: () => {}, info: () => {}, trace: () => {}, warn: () => {} },
};

/** The part of its config that a command reads. It has no plugin, so no hooks. */
function plainConfig(root: URL, pjson: Interfaces.PJSON): Config {
  const { name, version } = pjson;
  const config: Partial<Interfaces.Config> = {
    ...{ root: fileURLToPath(root), pjson, name, version, bin: name, topicSeparator: ":" },
    userAgent: `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`,
    scopedEnvVarKeys: () => [],
    runHook: async () => ({ successes: [], failures: [] }),
  };
  return config as Config;
}

function commandIds(root: URL): readonly string[] {
  return Object.keys((readJson("oclif.manifest.json", root) as { commands: object }).commands);
}

function readJson(name: string, root: URL): unknown {
  return JSON.parse(readFileSync(new URL(name, root), "utf8"));
}

function needsPlugins(argv: readonly string[]): boolean {
  const [first] = argv;
  if (first === undefined || first.startsWith("-") || first === "help") return true;
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

/** `this.exit(code)` of a command or plugin, which has printed its own message. */
function isExit(error: unknown): error is { oclif: { exit: number } } {
  return error instanceof Error && (error as { code?: unknown }).code === "EEXIT";
}
