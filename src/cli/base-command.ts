import type { Interfaces } from "@oclif/core";
import { Command } from "@oclif/core/command";
import * as Flags from "@oclif/core/flags";
import type { HubcastError } from "../core/errors.js";
import { checkSwitches, FALSE, TRUE } from "./flags.js";
import { Output } from "./output.js";
import { onInterrupt } from "./signals.js";

type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)["baseFlags"] & T["flags"]
>;
type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T["args"]>;

/**
 * Base of every command: the global flags, parsed flags and arguments, and its output. A command throws its errors;
 * main.ts prints them and sets the exit code.
 */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override baseFlags = {
    json: Flags.boolean({ description: "Print JSON instead of text.", helpGroup: "GLOBAL" }),
    quiet: Flags.boolean({ char: "q", description: "No progress and no warnings.", helpGroup: "GLOBAL" }),
    verbose: Flags.boolean({ char: "v", description: "Say more, on stderr.", helpGroup: "GLOBAL" }),
  };

  /** Whether its flags are also taken with one dash. */
  protected readonly takesOneDash: boolean = false;

  /** Whether it goes on when nobody reads its output: it changes something, or its exit code is an answer. */
  protected get outlivesReader(): boolean {
    return false;
  }

  protected flags!: FlagsOf<T>;
  protected args!: ArgsOf<T>;
  /** Absent until its flags are parsed. */
  output!: Output;

  /** From `init` to `finally`, as oclif does it once it has found the command and loaded its config. */
  async execute(): Promise<void> {
    await this._run();
  }

  override async init(): Promise<void> {
    await super.init();
    const { baseFlags } = this.ctor as unknown as typeof BaseCommand;
    checkSwitches(this.ctor.flags ?? {});
    if (this.takesOneDash) this.argv = withTwoDashes(this.argv, { ...baseFlags, ...this.ctor.flags });
    const { flags, args } = await this.parse({
      flags: this.ctor.flags,
      baseFlags,
      args: this.ctor.args,
      strict: this.ctor.strict,
    });
    this.flags = flags as FlagsOf<T>;
    this.args = args as ArgsOf<T>;
    // Every line is to be JSON then, those on stdout too.
    this.output = new Output({ ...flags, json: flags.json || flags["log-format"] === "json" });
  }

  /**
   * Does the work of a command that ends by itself. Ctrl-C ends it at once, and so does the end of who reads its output
   * unless the command outlives that.
   * @throws interrupted, and what the work throws
   */
  protected async untilInterrupted<Result>(
    work: (signal: AbortSignal) => Promise<Result>,
    { signal, interrupted } = onInterrupt(),
  ): Promise<Result> {
    this.output.survivesBrokenPipes(this.outlivesReader ? undefined : () => process.exit());
    return await Promise.race([work(signal), interrupted]);
  }

  /** Ends a command whose document, with --json, holds this failure: it prints no other. */
  protected failAfterDocument(failure: HubcastError): never {
    if (this.output.json) this.exit(failure.exitCode);
    throw failure;
  }

  override async catch(error: unknown): Promise<never> {
    throw error;
  }
}

/**
 * A command line as Go programs take it, `-size=1024 -stat=false`, with the two dashes that oclif wants. Both systems
 * that hubcast grew from are called so. Words that are no flag of the command in full, `-n5` and `-q`, stay as they are.
 * @param flags of the command, by their names
 */
export function withTwoDashes(argv: readonly string[], flags: Command.Class["flags"]): string[] {
  const known = new Map(
    Object.entries(flags).flatMap(([name, flag]) =>
      [name, ...(flag.aliases ?? [])].map((word) => [word, { name, flag }] as const),
    ),
  );
  const dashes = argv.indexOf("--");
  const end = dashes < 0 ? argv.length : dashes;
  return argv.flatMap((word, index) => {
    const [, flagWord, value] = /^-([a-z][\w-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const meant = index < end && flagWord !== undefined ? known.get(flagWord) : undefined;
    if (!meant) return [word];
    if (meant.flag.type !== "boolean" || value === undefined || TRUE.test(value)) {
      return meant.flag.type === "boolean" ? [`--${flagWord}`] : [`-${word}`];
    }
    if (!FALSE.test(value)) return [`-${word}`];
    return meant.flag.allowNo ? [`--no-${meant.name}`] : [];
  });
}
