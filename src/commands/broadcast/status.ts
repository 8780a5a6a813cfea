import { ClientCommand } from "../../cli/client-command.js";
import { localTime } from "../../cli/item-line.js";
import { NODE_URL_FLAGS } from "../../cli/node-url.js";
import { properties } from "../../cli/table.js";
import { counted } from "../../core/text.js";
import { formatDuration, formatSize } from "../../core/units.js";
import type { Broadcast, NodeStatus } from "../../node/broadcast.js";

export default class Status extends ClientCommand<typeof Status> {
  static override summary = "Show how a node is doing.";
  static override examples = [
    { description: "The node on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Another one:",
      command: "<%= config.bin %> <%= command.id %> --url http://192.168.0.7:8080 --token-file token",
    },
  ];
  static override flags = { ...NODE_URL_FLAGS };

  protected async ask(node: Broadcast): Promise<void> {
    const status = await node.status();
    if (this.output.json) return this.output.document(status);
    for (const line of properties(described(status))) this.output.text(line);
  }
}

function described(status: NodeStatus): [string, string][] {
  const { state, reasons, sync, gossip } = status;
  const hidden = status.hidden > 0 ? `, ${status.hidden} hidden behind another of the same id` : "";
  return [
    ["name", status.name],
    ["id", status.id],
    ["cluster", status.cluster],
    ["state", reasons.length > 0 ? `${state}: ${reasons.join(", ")}` : state],
    ["up", `${formatDuration(status.uptimeMs)}, hubcast ${status.version}, engine ${status.engine}`],
    [
      "items",
      `${status.items}${hidden}, ${formatSize(status.bytes)}, kept ${formatDuration(status.retentionMs)}`,
    ],
    ["fingerprint", `${status.fingerprint} since ${localTime(status.fingerprintSinceMs)}`],
    ["peers", `${status.peers} connected`],
    ["peer address", status.peerAddresses.join("\n              ")],
    [
      "sync",
      `${counted(sync.rounds, "round")} (${sync.roundsFailed} failed), ${sync.itemsReceived} items in, ${sync.itemsSent} out`,
    ],
    ["gossip", `${gossip.itemsReceived} items in (${gossip.duplicates} known), ${gossip.itemsSent} out`],
  ];
}
