import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { localTime, properties } from "../../cli/output.js";
import { counted, shown } from "../../core/text.js";
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

function certificate({ certificateExpiresAtMs: atMs }: NodeStatus): [string, string][] {
  if (atMs === undefined) return [];
  return [["certificate", `${atMs <= Date.now() ? "expired" : "expires"} ${localTime(atMs)}`]];
}

function described(status: NodeStatus): [string, string][] {
  const { state, reasons, sync, gossip } = status;
  const hidden = status.hidden > 0 ? `, ${status.hidden} hidden behind another of the same id` : "";
  const ahead = status.ahead > 0 ? `, ${status.ahead} stamped ahead of this clock` : "";
  const leftOut = status.leftOut > 0 ? `, ${status.leftOut} damaged on disk and left out at the start` : "";
  return [
    ["name", status.name],
    ["id", status.id],
    ["cluster", status.cluster],
    ["state", reasons.length > 0 ? `${state}: ${reasons.join(", ")}` : state],
    ...status.details.map(({ code, message, advice }): [string, string] => [
      "",
      shown(`${code}: ${message}. ${advice}`, Number.POSITIVE_INFINITY),
    ]),
    ["up", `${formatDuration(status.uptimeMs)}, hubcast ${status.version}, engine ${status.engine}`],
    [
      "items",
      `${status.items}${hidden}${ahead}${leftOut}, ${formatSize(status.bytes)}, kept ${formatDuration(status.retentionMs)}`,
    ],
    ...certificate(status),
    ["fingerprint", `${status.fingerprint} since ${localTime(status.fingerprintSinceMs)}`],
    ["peers", `${status.peers} connected`],
    ...status.peerAddresses.map((address, index): [string, string] => [
      index === 0 ? "peer address" : "",
      address,
    ]),
    [
      "sync",
      `${counted(sync.rounds, "round")} (${sync.roundsFailed} failed), ${sync.itemsReceived} items in, ${sync.itemsSent} out`,
    ],
    ...lastRound(sync),
    ["gossip", `${gossip.itemsReceived} items in (${gossip.duplicates} known), ${gossip.itemsSent} out`],
  ];
}

/** Lines on the cost of the last round that found a difference. */
function lastRound({ lastRound: last, roundsBySketch }: NodeStatus["sync"]): [string, string][] {
  if (!last) return [];
  const cost = `${formatSize(last.bytes)} and ${counted(last.trips, "round trip")} by ${last.means}`;
  return [
    ["", `last: ${counted(last.differences, "difference")} for ${cost}; ${roundsBySketch} by sketch in all`],
  ];
}
