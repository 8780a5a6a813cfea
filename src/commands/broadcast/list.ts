import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { countFlag, defined, instantFlag } from "../../cli/flags.js";
import { itemLine } from "../../cli/output.js";
import type { Broadcast } from "../../node/broadcast.js";

export default class List extends ClientCommand<typeof List> {
  static override summary = "List the items that a node holds, oldest first.";
  static override description =
    "Prints a line an item: local time, id, the key of who signed it (its first 12 digits), first line of raw. With --json, one object a line as they arrive, so any number of items needs no memory.";
  static override examples = [
    { description: "Everything that is held:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "The last ten minutes:", command: "<%= config.bin %> <%= command.id %> --since 10m" },
    {
      description: "The raw of every item:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r .raw",
    },
  ];
  static override flags = {
    since: instantFlag({
      description: "Only items stamped at or after it: 10m (ago), ISO 8601, or epoch ms.",
    }),
    until: instantFlag({ description: "Only items stamped before it." }),
    limit: countFlag({ description: "At most so many items.", min: 1, max: Number.MAX_SAFE_INTEGER }),
    ...NODE_URL_FLAGS,
  };

  protected async ask(node: Broadcast, signal: AbortSignal): Promise<void> {
    const { since: sinceMs, until: untilMs, limit } = this.flags;
    let listed = 0;
    for await (const item of node.list({ ...defined({ sinceMs, untilMs, limit }), signal })) {
      this.output.document({ type: "item", ...item });
      if (!this.output.json) this.output.text(itemLine(item, this.output));
      await this.output.drained();
      listed++;
    }
    if (listed === 0) this.output.note("no items");
  }
}
