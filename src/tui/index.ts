import { counted, shown } from "../core/text.js";
import type { NodeStatus, Peer } from "../node/broadcast.js";
import type { DashboardOptions } from "./app.js";
import { clock, count, milliseconds, NodeMeter, perSecond, size } from "./figures.js";
import type { LiveSimulation } from "./simulation.js";
import { type HubRow, type NodeRow, nodeRowsOf, type Snapshot } from "./snapshot.js";

export { Collector, type HubPlace, type NodePlace } from "./collect.js";
export type { Snapshot } from "./snapshot.js";

/**
 * Shows the dashboard until the user ends it. Only this loads Ink and React.
 * @returns `interrupt` after Ctrl-C
 */
export async function showDashboard(options: DashboardOptions): Promise<"quit" | "interrupt"> {
  fasterReact();
  const { runDashboard } = await import("./app.js");
  return await runDashboard(options);
}

/** Draws a run of `hub simulate` on a terminal while it lasts. */
export async function showSimulation(stderr: NodeJS.WriteStream): Promise<LiveSimulation> {
  fasterReact();
  const { liveSimulation } = await import("./simulation.js");
  return liveSimulation(stderr);
}

/** React takes its slow, checking build without it. */
function fasterReact(): void {
  process.env.NODE_ENV ??= "production";
}

/** A snapshot as lines of text: one for each node and hub. */
export function plainLines({ atMs, nodes, hubs }: Snapshot): readonly string[] {
  return [...nodes.map(nodeLine), ...hubs.map(hubLine)].map((line) => `${clock(atMs)} ${line}`);
}

function nodeLine(row: NodeRow): string {
  const figures = [
    counted(row.items, "item"),
    `set ${row.agreement}`,
    ...(row.peers === undefined ? [] : [counted(row.peers, "peer")]),
    ...(row.posts ? [`posts ${perSecond(row.posts)}/s`, `in ${perSecond(row.gossipIn)}/s`] : []),
    ...(row.rssBytes === undefined
      ? []
      : [`memory ${size(row.rssBytes)}`, `loop ${milliseconds(row.eventLoopDelayMs)}`]),
  ];
  const detail = row.detail ? ` (${shown(row.detail, Number.POSITIVE_INFINITY)})` : "";
  const isSilent = ["unreachable", "notHubcast", "unauthorized"].includes(row.state);
  return `node ${nameOf(row)} ${row.state}${detail}${isSilent ? "" : `, ${figures.join(", ")}`}`;
}

function hubLine(row: HubRow): string {
  if (row.clients === undefined) return `hub ${nameOf(row)} ${row.state}`;
  const figures = [
    counted(row.clients, "client"),
    `deliveries ${perSecond(row.deliveries)}/s`,
    `out ${size(row.bytesOut?.perSecond)}/s`,
    `outboxes ${size(row.outboxBytes)}`,
    `paused ${count(row.paused)}`,
    `evicted ${count(row.evicted)}`,
  ];
  return `hub ${nameOf(row)} ${row.state}${row.detail ? ` (${row.detail})` : ""}, ${figures.join(", ")}`;
}

function nameOf({ name }: { readonly name: string }): string {
  return shown(name, 64);
}

/** The status of one node as one line. */
export class LiveNode {
  readonly #meter = new NodeMeter();

  line(status: NodeStatus, peers: readonly Peer[]): string {
    this.#meter.record(status, performance.now());
    const { rates } = this.#meter;
    const asked = { url: "", isNamed: true, status, peers, fault: undefined, rates };
    const own = nodeRowsOf([asked]).filter(({ key }) => key === status.id);
    return plainLines({ atMs: Date.now(), nodes: own, hubs: [], items: [], events: [] })[0]!;
  }
}
