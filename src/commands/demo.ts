import { join } from "node:path";
import { BaseCommand } from "../cli/base-command.js";
import { runDemo } from "../cli/demo/story.js";
import { onSignals } from "../cli/signals.js";
import { HubcastError } from "../core/errors.js";

export default class Demo extends BaseCommand<typeof Demo> {
  static override summary =
    "Show it all on this machine: real nodes find each other, share, lose one, and agree; a hub relays, all to all.";
  static override description =
    "Starts three nodes on 127.0.0.1 in a cluster of their own, posts to one and lists from the others, kills the one that took the post, lets a fourth catch up, and compares fingerprints. Then a hub, and 20 clients that send to all others; every delivery is checked. Takes some seconds and leaves nothing behind. Exit code 1 when a step fails; the error says which.";
  static override examples = [
    { description: "With a transcript to read:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Only the figures:",
      command: "<%= config.bin %> <%= command.id %> --json | jq '.steps[] | .figures'",
    },
    { description: "With what the nodes say:", command: "<%= config.bin %> <%= command.id %> --verbose" },
  ];

  async run(): Promise<void> {
    const stopping = new AbortController();
    onSignals(["SIGINT", "SIGTERM", "SIGHUP"], (signal) => {
      stopping.abort(new HubcastError("interrupted", `stopped by ${signal}`));
    });
    // The reader of the transcript is gone. The children of this process are killed at its exit.
    this.output.survivesBrokenPipes(() => process.exit());
    const program = join(this.config.root, "bin", "run.js");
    this.output.document(await runDemo({ program, output: this.output, signal: stopping.signal }));
  }
}
