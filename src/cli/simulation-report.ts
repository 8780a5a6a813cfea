import { formatDuration, formatSize } from "../core/units.js";
import type { Spread } from "../sim/index.js";
import type { SimulationRun } from "./simulation-run.js";

/** What a simulation found, as names and values for people. */
export function reportPairs({ report, tookMs }: SimulationRun): [string, string][] {
  const { options } = report;
  return [
    ["agreement", `${options.nodes} nodes hold the same ${report.held} items, and show the same`],
    ["rules", `${report.checks} checks, none broken`],
    ["converged", `${spread(report.convergenceMs, formatDuration)} from post to every node`],
    ["healed", `${spread(report.healingMs, formatDuration)} from the end of the faults`],
    ["messages", `${spread(report.messagesPerNode, String)} sent by a node`],
    ["bytes", `${spread(report.bytesPerNode, formatSize)} sent by a node`],
    ["redundancy", `${report.redundancy.toFixed(2)} copies of each gossip message reach a node`],
    ["sync", `${report.roundsPerNode.toFixed(1)} rounds led by a node, ${report.itemsBySync} items moved`],
    ["took", `${formatDuration(tookMs)} for ${formatDuration(report.elapsedMs)} of virtual time`],
    ["again", report.replay],
  ];
}

/** Columns of the table that shows how cost grows. */
export const GROWTH_HEAD = [
  "nodes",
  "converged p50",
  "p99",
  "max",
  "messages/node",
  "bytes/node",
  "copies",
  "rounds/node",
  "took",
  "memory",
];

export function growthRow({ report, tookMs, memoryBytes }: SimulationRun): string[] {
  const { p50, p99, max } = report.convergenceMs;
  return [
    String(report.options.nodes),
    ...[p50, p99, max].map(formatDuration),
    String(report.messagesPerNode.p50),
    formatSize(report.bytesPerNode.p50),
    report.redundancy.toFixed(2),
    report.roundsPerNode.toFixed(1),
    formatDuration(tookMs),
    formatSize(memoryBytes),
  ];
}

function spread({ p50, p99, max }: Spread, shown: (value: number) => string): string {
  return `p50 ${shown(p50)}, p99 ${shown(p99)}, max ${shown(max)}`;
}
