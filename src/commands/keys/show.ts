import * as Args from "@oclif/core/args";
import { BaseCommand } from "../../cli/base-command.js";

export default class Show extends BaseCommand<typeof Show> {
  static override summary = "Print the public key of a key file.";
  static override description =
    "Prints 64 hex digits, as a --trust file takes them and as signatures of items carry them. FILE is a private or a public Ed25519 key (PEM); nothing secret is printed.";
  static override examples = [
    { description: "The public key:", command: "<%= config.bin %> <%= command.id %> author.pem" },
    {
      description: "Trust it from now on; a running node takes the change:",
      command: "<%= config.bin %> <%= command.id %> author.pem >> trusted.txt",
    },
  ];
  static override args = {
    file: Args.string({ name: "FILE", description: "Key file (PEM).", required: true, ignoreStdin: true }),
  };

  async run(): Promise<void> {
    const key = await (await import("../../cli/flag-file.js")).publicKey(this.args.file);
    this.output.document({ publicKey: key });
    this.output.text(key);
  }
}
