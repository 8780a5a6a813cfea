import type { Interfaces } from "@oclif/core";
import { Command } from "@oclif/core/command";
import * as Flags from "@oclif/core/flags";
import { Output } from "./output.js";

type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)["baseFlags"] & T["flags"]
>;
type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T["args"]>;

/**
 * What every command shares: the global flags, parsed flags and arguments, and one place to write to. A command
 * throws what goes wrong; main.ts prints it and sets the exit code.
 */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override baseFlags = {
    json: Flags.boolean({ description: "Print JSON instead of text.", helpGroup: "GLOBAL" }),
    quiet: Flags.boolean({ char: "q", description: "No progress and no warnings.", helpGroup: "GLOBAL" }),
    verbose: Flags.boolean({ char: "v", description: "Say more, on stderr.", helpGroup: "GLOBAL" }),
  };

  protected flags!: FlagsOf<T>;
  protected args!: ArgsOf<T>;
  protected output!: Output;

  override async init(): Promise<void> {
    await super.init();
    const { flags, args } = await this.parse({
      flags: this.ctor.flags,
      baseFlags: (super.ctor as typeof BaseCommand).baseFlags,
      args: this.ctor.args,
      strict: this.ctor.strict,
    });
    this.flags = flags as FlagsOf<T>;
    this.args = args as ArgsOf<T>;
    this.output = new Output(flags);
  }

  override async catch(error: unknown): Promise<never> {
    throw error;
  }
}
