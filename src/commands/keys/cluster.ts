import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../../cli/base-command.js";
import { writeSecretFile } from "../../cli/flag-file.js";
import { newClusterKey } from "../../node/keys.js";

export default class Cluster extends BaseCommand<typeof Cluster> {
  static override summary = "Make a key that closes a cluster to all who lack it.";
  static override description =
    "Makes 32 random bytes, as 64 hex digits. Start every node of the cluster with the same key: nodes without it can neither connect nor learn an item. Without --out it is printed, and whoever sees the screen has it.";
  static override examples = [
    { description: "Make one:", command: "<%= config.bin %> <%= command.id %> --out cluster.key" },
    {
      description: "Use it, on each machine, with a copy of the file:",
      command: "<%= config.bin %> broadcast start --cluster-key-file cluster.key",
    },
  ];
  static override flags = {
    out: Flags.string({
      description: "File to write, mode 0600, instead of printing; one that exists is never written over.",
      helpValue: "FILE",
    }),
  };

  async run(): Promise<void> {
    const { out } = this.flags;
    const key = newClusterKey();
    if (out === undefined) {
      this.output.document({ clusterKey: key });
      this.output.text(key);
      return;
    }
    await writeSecretFile(out, `${key}\n`);
    this.output.document({ file: out });
    this.output.note(`the cluster key is in ${out}: copy it to each machine, and keep it secret`);
  }
}
