import { counted, shown } from "../core/text.js";
import { clock, count, milliseconds, perSecond, size } from "./frame/figures.js";
import type { HubRow, NodeRow, Snapshot } from "./snapshot.js";

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
  return `hub ${nameOf(row)} ${row.state}, ${figures.join(", ")}`;
}

function nameOf({ name }: { readonly name: string }): string {
  return shown(name, 64);
}
