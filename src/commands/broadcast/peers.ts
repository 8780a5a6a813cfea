import { ClientCommand, NODE_URL_FLAGS } from "../../cli/client-command.js";
import { table } from "../../cli/output.js";
import { shown } from "../../core/text.js";
import { formatDuration } from "../../core/units.js";
import type { Broadcast, Peer } from "../../node/broadcast.js";

const COLUMNS = ["name", "state", "for", "round trip", "items", "set", "as of", "address"];

export default class Peers extends ClientCommand<typeof Peers> {
  static override summary = "Show the peers of a node, and whether their sets agree with its own.";
  static override description =
    "States: connected; left, it said goodbye; lost, it fell silent; unreached, it is no member: its address leads to nobody, or it has another version or cluster key. Sets: agrees, differs (a moment after a post, or for good), differs by policy, unknown. Members that are there are asked first, for 1 s at most: items and set are what each said as of then, and the set of one that does not answer is unknown.";
  static override examples = [
    { description: "The peers of the node on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Names of the peers that are connected:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r '.[]|select(.state==\"connected\").name'",
    },
  ];
  static override flags = { ...NODE_URL_FLAGS };

  protected async ask(node: Broadcast): Promise<void> {
    const peers = await node.peers({ fresh: true });
    if (this.output.json) return this.output.document(peers);
    if (peers.length === 0) return this.output.note("no peers yet");
    const nowMs = Date.now();
    for (const line of table(
      COLUMNS,
      peers.map((peer) => row(peer, nowMs)),
    ))
      this.output.text(line);
  }
}

function row(peer: Peer, nowMs: number): string[] {
  const roundTrip = peer.roundTripMs === undefined ? "-" : formatDuration(peer.roundTripMs);
  return [
    shown(peer.name, 32),
    peer.state,
    formatDuration(Math.max(0, nowMs - peer.sinceMs)),
    roundTrip,
    peer.summary ? String(peer.summary.items) : "-",
    [
      peer.agreement === "differsByPolicy" ? "differs by policy" : peer.agreement,
      ...(peer.reasons ?? []),
    ].join(", "),
    peer.summary ? `${formatDuration(peer.summary.ageMs)} ago` : "-",
    peer.reason ? `${peer.address} (${shown(peer.reason, 60)})` : peer.address,
  ];
}
