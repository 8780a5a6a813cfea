import { HUB_ADDRESS_FLAGS, HubCommand } from "../../cli/hub-command.js";
import { table } from "../../cli/output.js";
import { shown } from "../../core/text.js";
import type { HubClient } from "../../hub/client/index.js";

export default class Who extends HubCommand<typeof Who> {
  static override summary = "Show who is connected to a hub.";
  static override examples = [
    { description: "To the hub on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "To another one:", command: "<%= config.bin %> <%= command.id %> --addr 192.168.0.7" },
  ];
  static override flags = { ...HUB_ADDRESS_FLAGS };

  protected async ask(hub: HubClient, signal: AbortSignal): Promise<void> {
    const clients = await hub.roster({ signal });
    this.output.document({ hub: hub.hubName, clients });
    if (clients.length === 0) this.output.note(`nobody else is connected to ${hub.hubName}`);
    else {
      const rows = clients.map(({ id, name, version }) => [String(id), String(version), shown(name, 64)]);
      for (const line of table(["id", "protocol", "name"], rows)) this.output.text(line);
    }
  }
}
