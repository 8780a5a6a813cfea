import * as Args from "@oclif/core/args";
import { BaseCommand } from "../cli/base-command.js";
import { completionScript } from "../cli/completion.js";

const SHELLS = ["bash", "zsh"] as const;

export default class Completion extends BaseCommand<typeof Completion> {
  static override summary = "Print a script that completes commands, flags and their values in a shell.";
  static override examples = [
    { description: "In this bash:", command: "source <(<%= config.bin %> <%= command.id %> bash)" },
    {
      description: "In each zsh from now on:",
      command: "echo 'source <(<%= config.bin %> <%= command.id %> zsh)' >> ~/.zshrc",
    },
  ];
  static override args = {
    shell: Args.string({ description: "The shell.", required: true, options: [...SHELLS] }),
  };

  async run(): Promise<void> {
    const shell = this.args.shell as (typeof SHELLS)[number];
    this.output.bytes(Buffer.from(completionScript(this.config.bin, this.config.commands, shell)));
  }
}
