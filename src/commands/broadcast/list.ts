import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { countFlag, defined, instantFlag, topicFlag } from "../../cli/flags.js";
import { itemLine } from "../../cli/output.js";
import { shown } from "../../core/text.js";
import type { Broadcast } from "../../node/broadcast.js";

export default class List extends ClientCommand<typeof List> {
  static override summary = "List the items that a node holds, oldest first.";
  static override description =
    "Prints a line an item: local time, id, the key of who signed it (its first 12 digits), first line of raw. With --json, one object a line as they arrive, so any number of items needs no memory.";
  static override examples = [
    { description: "Everything that is held:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "The last ten minutes:", command: "<%= config.bin %> <%= command.id %> --since 10m" },
    {
      description: "What is posted under alerts, such as alerts/disk/4711:",
      command: "<%= config.bin %> <%= command.id %> --topic alerts",
    },
    {
      description: "The raw of every item:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r .raw",
    },
  ];
  static override flags = {
    topic: topicFlag({
      description:
        "Only items of this topic and of all below it; the topic of an id is what stands before its last /.",
    }),
    since: instantFlag({
      description: "Only items stamped at or after it: 10m (ago), ISO 8601, or epoch ms.",
    }),
    until: instantFlag({ description: "Only items stamped before it." }),
    limit: countFlag({ description: "At most so many items.", min: 1, max: Number.MAX_SAFE_INTEGER }),
    ...NODE_URL_FLAGS,
  };

  protected async ask(node: Broadcast, signal: AbortSignal): Promise<void> {
    const { topic, since: sinceMs, until: untilMs, limit } = this.flags;
    let listed = 0;
    for await (const item of node.list({ ...defined({ topic, sinceMs, untilMs, limit }), signal })) {
      this.output.document({ type: "item", ...item });
      if (!this.output.json) this.output.text(itemLine(item, this.output));
      await this.output.drained();
      listed++;
    }
    if (listed === 0)
      this.output.note(topic === undefined ? "no items" : `no items under ${shown(topic, 80)}`);
  }
}
