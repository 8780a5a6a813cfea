import * as Flags from "@oclif/core/flags";
import { countFlag } from "../../cli/flags.js";
import { HUB_ADDRESS_FLAGS, HubCommand } from "../../cli/hub-command.js";
import { painted } from "../../cli/output.js";
import { HubcastError } from "../../core/errors.js";
import { counted, shown } from "../../core/text.js";
import { formatDuration } from "../../core/units.js";
import type { HubClient, HubClientEvent, HubClientOptions, HubMessage } from "../../hub/client/index.js";

export default class Listen extends HubCommand<typeof Listen> {
  static override summary = "Print what is sent to a new client of a hub, until Ctrl-C.";
  static override description =
    "Says its id on stderr, so that others can send to it. When the connection is lost it dials again, under a new id, and says what may have been missed; it ends with 4 if the hub refuses its token then. --json prints payloads in base64, one object a line. With --timeout it ends then: with 5 if fewer messages came than --count.";
  static override examples = [
    {
      description: "Under a name, in a group:",
      command: "<%= config.bin %> <%= command.id %> --name me --group g",
    },
    { description: "One message, then end:", command: "<%= config.bin %> <%= command.id %> --count 1" },
    {
      description: "Its bytes alone, from a hub that may not be up yet, for a minute at most:",
      command: "<%= config.bin %> <%= command.id %> --count 1 --raw --retry --timeout 1m",
    },
  ];
  static override flags = {
    ...HUB_ADDRESS_FLAGS,
    group: Flags.string({
      description: "Join a group; may be given again.",
      helpValue: "NAME",
      multiple: true,
      multipleNonGreedy: true,
    }),
    count: countFlag({ description: "End after so many messages.", min: 1, max: Number.MAX_SAFE_INTEGER }),
    raw: Flags.boolean({
      description: "Print payloads as they are, with nothing before or between them.",
      exclusive: ["json"],
    }),
    presence: Flags.boolean({ description: "Also say who comes and goes." }),
  };

  protected override clientOptions(): HubClientOptions {
    return { presence: this.flags.presence };
  }

  protected async ask(hub: HubClient, signal: AbortSignal): Promise<void> {
    for (const group of this.flags.group ?? []) await hub.join(group, { signal });
    this.output.document({ type: "ready", id: hub.id, hub: hub.hubName });
    this.output.note(`listening as client ${hub.id} of ${hub.hubName}`);
    void this.tell(hub);
    let count = 0;
    for await (const message of hub.messages({ signal })) {
      this.print(message);
      await this.output.drained();
      count += 1;
      if (count === this.flags.count) return;
    }
    // The client has ended by itself: its calls say why.
    if (!signal.aborted) await hub.list({ signal });
    const wanted = this.flags.count;
    if (wanted !== undefined && this.flags.timeout !== undefined) {
      const text = `${counted(count, "message")} of ${wanted} came within ${formatDuration(this.flags.timeout)}`;
      throw new HubcastError("deadline", text);
    }
  }

  private print({ sender, to, payload }: HubMessage): void {
    if (this.flags.raw) {
      this.output.bytes(payload);
      return;
    }
    this.output.document({
      type: "message",
      sender,
      to,
      bytes: payload.length,
      payload: payload.toString("base64"),
    });
    const from = sender === undefined ? "?" : String(sender);
    const where = typeof to === "object" ? ` (${to.group})` : to === "all" ? " (all)" : "";
    const text = shown(payload.toString(), this.output.columns);
    this.output.text([painted("dim", `${from}${where}:`), ` ${text}`]);
  }

  private async tell(hub: HubClient): Promise<void> {
    for await (const event of hub.events()) {
      this.output.document(event);
      this.output.note(described(event));
    }
  }
}

function described(event: HubClientEvent): string {
  switch (event.type) {
    case "arrived":
      return `${whoIs(event)} came`;
    case "departed":
      return `${whoIs(event)} went: ${event.reason}`;
    case "disconnected":
      return `the hub went away (${event.reason})${event.final ? "" : "; dialling again"}`;
    case "reconnected": {
      const awayMs = event.missedUntilMs - event.missedFromMs;
      return `back as client ${event.id}; what was sent in the ${awayMs} ms between was missed`;
    }
    case "gap": {
      const spanMs = event.missedUntilMs - event.missedFromMs;
      return `what clients of hub ${shown(event.hub, 64)} sent in ${spanMs} ms may be missing`;
    }
    case "dropped":
      return `${event.messages} messages were dropped`;
  }
}

function whoIs({ id, name }: { readonly id: number; readonly name: string }): string {
  return name === "" ? `client ${id}` : `client ${id} ${shown(name, 64)}`;
}
