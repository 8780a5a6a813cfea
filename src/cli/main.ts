import { fileURLToPath } from "node:url";
import type { Command, Config, Interfaces } from "@oclif/core";
import { setLogger } from "@oclif/core/logger";
import { asHubcastError, type HubcastError } from "../core/errors.js";
import type { BaseCommand } from "./base-command.js";
import { asFailure, HELP_COMMAND, isExit } from "./failure.js";
import { Output } from "./output.js";
import { endProcess } from "./signals.js";

interface CommandClass {
  id: string;
  new (argv: string[], config: Config): BaseCommand<typeof Command>;
}

/** The files of the hubcast package, on the disk or inside of the executable. Names are relative to its root. */
export interface PackageFiles {
  /** Modules of the package are imported by URLs below it. */
  readonly root: URL;
  has(name: string): boolean;
  /** @returns its text */
  read(name: string): string;
}

interface Manifest {
  readonly commands: Readonly<Record<string, Command.Cached & { readonly relativePath: readonly string[] }>>;
}

/** Runs one command line to its end and leaves its exit code in `process.exitCode`. */
export async function main(argv: readonly string[], files: PackageFiles): Promise<void> {
  const ownOutput = new Output({ json: wantsJson(argv), quiet: false, verbose: wantsVerbose(argv) });
  ownOutput.survivesBrokenPipes();
  // Once its flags are parsed, the command knows how it prints.
  let command: BaseCommand<typeof Command> | undefined;
  const fail = (failure: HubcastError, error: unknown) =>
    (command?.output ?? ownOutput).failure(failure, error);
  // Uncaught errors are printed like all output: they too may hold text from remotes.
  process.on("uncaughtException", (error) => {
    fail(asHubcastError(error), error);
    endProcess(1);
  });
  try {
    const words = argv[0] === HELP_COMMAND ? [...argv.slice(1), "--help"] : argv;
    command = await loadCommand(words, files);
    await (command ? command.execute() : runOclif(words, files));
  } catch (error) {
    let exitCode: number;
    if (isExit(error)) {
      exitCode = error.oclif.exit;
      if (exitCode === 0) return;
    } else {
      const failure = asFailure(error, argv, Object.keys(readManifest(files).commands));
      exitCode = failure.exitCode;
      fail(failure, error);
    }
    // Something may still be open (a socket, a timer): a failed command ends now, not when that ends.
    await ownOutput.flushed();
    endProcess(exitCode);
  }
}

/**
 * A plain call of a command goes to it at once, with the few fields of a config that it reads: oclif's `Config.load` looks
 * for shells and Windows, and costs a start as much as all else of oclif. Help, completion, and what names no command are
 * left to oclif's `run`, with all that it loads.
 */
async function loadCommand(
  argv: readonly string[],
  files: PackageFiles,
): Promise<BaseCommand<typeof Command> | undefined> {
  const found = needsHelp(argv) || argv[0] === "completion" ? undefined : findCommand(argv, files);
  if (!found) return undefined;
  const Found = await importCommand(found.path, found.id, files);
  const { root } = files;
  if (process.env.DEBUG === undefined) setLogger({ root: fileURLToPath(root), logger: SILENT });
  return new Found([...found.rest], plainConfig(root, packageJson(files)));
}

async function runOclif(argv: readonly string[], files: PackageFiles): Promise<void> {
  const { run } = await import("@oclif/core/run");
  const pjson = packageJson(files);
  const plugin = rootPlugin(pjson, files);
  await run([...argv], { root: plugin.root, pjson, plugins: new Map([[plugin.name, plugin]]) });
}

/** The command that the first words name. */
function findCommand(argv: readonly string[], files: PackageFiles) {
  for (const count of [2, 1]) {
    const words = argv.slice(0, count);
    if (words.length < count || !words.every((word) => /^[a-z]+$/.test(word))) continue;
    const path = `dist/commands/${words.join("/")}.js`;
    if (files.has(path)) return { path, id: words.join(":"), rest: argv.slice(count) };
  }
  return undefined;
}

async function importCommand(path: string, id: string, { root }: PackageFiles): Promise<CommandClass> {
  const { default: Found } = (await import(new URL(path, root).href)) as { default: CommandClass };
  Found.id = id;
  return Found;
}

/** This package as oclif keeps a plugin. Its own finds one on a disk only, and the executable has none. */
function rootPlugin(pjson: Interfaces.PJSON, files: PackageFiles): Interfaces.Plugin {
  const { name, version } = pjson;
  const root = fileURLToPath(files.root);
  const cached = readManifest(files).commands;
  const load = (id: string) =>
    importCommand(cached[id]!.relativePath.join("/"), id, files) as unknown as Promise<Command.Class>;
  const kind = { type: "core", moduleType: "module", isRoot: true, valid: true, hasManifest: true } as const;
  const absent = { _base: "", commandsDir: undefined, hooks: {}, load: async () => {} };
  return {
    ...kind,
    ...absent,
    ...{ name, version, pjson, root, alias: name, options: { root } },
    commandIDs: Object.keys(cached),
    commands: Object.values(cached).map((command) => ({ ...command, load: () => load(command.id) })),
    findCommand: load,
    topics: Object.entries(pjson.oclif.topics ?? {}).map(([topic, about]) => ({ ...about, name: topic })),
  };
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

function packageJson(files: PackageFiles): Interfaces.PJSON {
  return JSON.parse(files.read("package.json")) as Interfaces.PJSON;
}

function readManifest(files: PackageFiles): Manifest {
  return JSON.parse(files.read("oclif.manifest.json")) as Manifest;
}

function needsHelp(argv: readonly string[]): boolean {
  const [first] = argv;
  if (first === undefined || first.startsWith("-")) return true;
  return beforeDashes(argv).some((word) => word === "--help" || word === "-h");
}

/** As far as it can be told from words that may make no sense: servers also take one dash, and a variable. */
function wantsJson(argv: readonly string[]): boolean {
  if (/^--?(json|log-format[=\n]json)$/m.test(beforeDashes(argv).join("\n"))) return true;
  const variable = { broadcast: "HUBCAST_LOG_FORMAT", hub: "HUBCAST_HUB_LOG_FORMAT" }[argv[0] ?? ""];
  return argv[1] === "start" && variable !== undefined && process.env[variable] === "json";
}

function wantsVerbose(argv: readonly string[]): boolean {
  return beforeDashes(argv).some((word) => word === "-v" || word === "--verbose");
}

function beforeDashes(argv: readonly string[]): readonly string[] {
  const dashes = argv.indexOf("--");
  return dashes < 0 ? argv : argv.slice(0, dashes);
}
