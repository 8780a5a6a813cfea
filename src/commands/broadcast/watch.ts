import * as Flags from "@oclif/core/flags";
import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { defined, instantFlag, topicFlag } from "../../cli/flags.js";
import { peerLine } from "../../cli/live-status.js";
import { itemLine } from "../../cli/output.js";
import type { Broadcast, NodeEvent } from "../../node/broadcast.js";

export default class Watch extends ClientCommand<typeof Watch> {
  static override summary = "Show items as they arrive, until Ctrl-C.";
  static override description =
    "Prints a line an item, as list does, and what happens to items and peers. With --json, one event a line: item, replaced, expired, peer, caught-up. A node that goes away is waited for; what it shows again when it is back is left out.";
  static override examples = [
    { description: "From now on:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "The last hour first:", command: "<%= config.bin %> <%= command.id %> --since 1h" },
    {
      description: "One topic, and all below it:",
      command: "<%= config.bin %> <%= command.id %> --topic alerts",
    },
    {
      description: "Only the raw of new items:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r 'select(.type==\"item\").item.raw'",
    },
  ];
  static override flags = {
    topic: topicFlag({
      description:
        "Only items of this topic and of all below it; what happens to peers is shown all the same.",
    }),
    since: instantFlag({
      description: "Items stamped since then come first: 10m (ago), ISO 8601, or epoch ms.",
    }),
    once: Flags.boolean({
      description:
        "End with exit code 3 when the connection to the node is lost, instead of connecting again.",
    }),
    ...NODE_URL_FLAGS,
  };

  protected async ask(node: Broadcast, signal: AbortSignal): Promise<void> {
    const events = node.events({
      ...defined({ topic: this.flags.topic, sinceMs: this.flags.since }),
      signal,
      reconnect: !this.flags.once,
      onConnection: (state, reason) =>
        this.output.note(state === "back" ? "connected again" : `${reason!.message}; connecting again`),
    });
    for await (const event of events) {
      this.output.document(event);
      if (!this.output.json) this.show(event);
      await this.output.drained();
    }
  }

  private show(event: NodeEvent): void {
    switch (event.type) {
      case "item":
        this.output.text(itemLine(event.item, this.output));
        break;
      case "replaced":
        this.output.text(itemLine(event.item, this.output, " (replaces another of that id)"));
        break;
      case "expired":
        this.output.detail(["expired: ", ...itemLine(event.item, this.output)]);
        break;
      case "peer":
        this.output.note(peerLine(event.peer));
        break;
      case "caught-up":
        this.output.note("caught up; watching, Ctrl-C ends");
    }
  }
}
