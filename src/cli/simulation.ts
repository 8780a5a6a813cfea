import { spawn } from "node:child_process";
import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { formatDuration, formatSize } from "../core/units.js";
import {
  itemsFor,
  SIMULATION_KINDS as K,
  type Progress,
  type Report,
  type SimulationOptions,
  type Spread,
  simulate,
} from "../sim/index.js";
import { countFlag, durationFlag, partFlag, ranged } from "./flags.js";
import type { Output } from "./output.js";
import { onSignals } from "./signals.js";

const NOTE_EVERY_MS = 1_000;
/** Work between two looks at what else happens in this process, such as Ctrl-C. */
const SLICE_MS = 50;

/** A report, and the cost of the run. */
export interface SimulationRun {
  readonly report: Report;
  readonly tookMs: number;
  /** CPU time of this process since its start. */
  readonly cpuMs: number;
  /** Resident at most, bytes. */
  readonly memoryBytes: number;
}

/** Runs a world to its end, with a line of progress a second on stderr. */
export async function runSimulation(options: SimulationOptions, output: Output): Promise<SimulationRun> {
  const startedAtMs = performance.now();
  const world = simulate(options);
  let notedAtMs = startedAtMs;
  for (let sliceEndsMs = startedAtMs + SLICE_MS; ; ) {
    const step = world.next();
    const nowMs = performance.now();
    if (step.done) return { report: step.value, tookMs: nowMs - startedAtMs, ...usage() };
    if (nowMs < sliceEndsMs) continue;
    if (nowMs - notedAtMs >= NOTE_EVERY_MS) {
      notedAtMs = nowMs;
      output.note(progressLine(step.value, options));
    }
    await setImmediate();
    sliceEndsMs = performance.now() + SLICE_MS;
  }
}

function usage(): { cpuMs: number; memoryBytes: number } {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { cpuMs: Math.round((userCPUTime + systemCPUTime) / 1_000), memoryBytes: maxRSS * 1_024 };
}

function progressLine(progress: Progress, { items, nodes }: SimulationOptions): string {
  const { phase, elapsedMs, posted, living, agreeing } = progress;
  const head = `virtual ${formatDuration(elapsedMs).padEnd(7)}`;
  return phase === "faults"
    ? `${head} ${posted} of ${items} items posted, ${living} of ${nodes} nodes up`
    : `${head} healing: ${agreeing} of ${living} nodes hold the same`;
}

/** The result of a simulation, as names and values for people. */
export function reportPairs({ report, tookMs, cpuMs, memoryBytes }: SimulationRun): [string, string][] {
  const { options } = report;
  return [
    ["agreement", `${options.nodes} nodes hold the same ${report.held} items, and show the same`],
    ["rules", `${report.checks} checks, none broken`],
    ["converged", `${spread(report.convergenceMs, formatDuration)} from post to every node`],
    ["healed", `${spread(report.healingMs, formatDuration)} from the end of the faults`],
    ["members", `all knew each other after ${formatDuration(report.membersMs)}`],
    ["messages", `${spread(report.messagesPerNode, String)} sent by a node`],
    ["bytes", `${spread(report.bytesPerNode, formatSize)} sent by a node`],
    ["redundancy", `${report.redundancy.toFixed(2)} copies of each gossip message reach a node`],
    ["sync", `${report.roundsPerNode.toFixed(1)} rounds led by a node, ${report.itemsBySync} items moved`],
    ["took", `${formatDuration(tookMs)} for ${formatDuration(report.elapsedMs)} of virtual time`],
    ["cost", `${formatDuration(cpuMs)} of CPU, ${formatSize(memoryBytes)} of memory at most`],
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

const WORLD = { helpGroup: "WORLD" };
const FAULTS = { helpGroup: "FAULTS" };

/** Flags of `broadcast simulate`. */
export const SIMULATE_FLAGS = {
  nodes: countFlag({
    description: "Nodes. Each joins by itself and links with 6 to 10 others.",
    ...ranged(K.nodes),
    ...WORLD,
  }),
  items: countFlag({
    description:
      "Items posted at random nodes: 1,000, but in a world of more than 300 nodes 300,000 / nodes, 100 at least; 100 with --grow.",
    min: K.items.min,
    max: K.items.max,
    ...WORLD,
  }),
  duration: durationFlag({
    description: "How long items are posted and faults happen, in virtual time.",
    ...ranged(K.durationMs),
    ...WORLD,
  }),
  retention: durationFlag({
    description: "How long items are kept.",
    ...ranged(K.retentionMs),
    ...WORLD,
  }),
  disk: partFlag({
    description: "Part of the nodes that keep their items over a crash.",
    ...ranged(K.disk),
    ...WORLD,
  }),
  seed: countFlag({
    description: "The same seed makes the same world; a random one without it.",
    min: K.seed.min,
    max: K.seed.max,
    ...WORLD,
  }),

  roster: countFlag({
    description: "Members that a node knows of; in a larger world its roster is a sample.",
    ...ranged(K.rosterMembersMax),
    ...WORLD,
  }),
  loss: partFlag({
    description:
      "Part of the frames and attempts to connect that get lost; frames are sent again, and are late.",
    ...ranged(K.loss),
    ...FAULTS,
  }),
  partition: countFlag({
    description: "Groups of nodes that cannot reach each other for a while; 1 is none.",
    ...ranged(K.partition),
    ...FAULTS,
  }),
  apart: durationFlag({
    description: "How long a partition lasts, to the end of the faults; without it, the middle 40 % of them.",
    min: K.apartMs.min,
    max: K.apartMs.max,
    ...FAULTS,
  }),
  churn: partFlag({
    description: "Part of the nodes that crash, freeze, or leave and are replaced.",
    ...ranged(K.churn),
    ...FAULTS,
  }),
  skew: durationFlag({
    description: "How far clocks are off, at most.",
    ...ranged(K.skewMs),
    ...FAULTS,
  }),
  clocks: partFlag({
    description: "Part of the nodes whose clocks drift, jump, are wrong from a start on, or are lied about.",
    ...ranged(K.clocks),
    ...FAULTS,
  }),
};

interface SimulateFlags {
  readonly nodes: number;
  readonly items?: number | undefined;
  readonly duration: number;
  readonly retention: number;
  readonly disk: number;
  readonly loss: number;
  readonly partition: number;
  readonly apart?: number | undefined;
  readonly churn: number;
  readonly skew: number;
  readonly clocks: number;
  readonly roster: number;
}

export function simulationOptions(flags: SimulateFlags, seed: number): SimulationOptions {
  const { nodes, items, loss, partition, churn, disk } = flags;
  return {
    seed,
    nodes,
    items: items ?? itemsFor(nodes),
    loss,
    partition,
    apartMs: flags.apart ?? K.apartMs.default,
    churn,
    disk,
    skewMs: flags.skew,
    clocks: flags.clocks,
    retentionMs: flags.retention,
    durationMs: flags.duration,
    rosterMembersMax: flags.roster,
  };
}

/** The part of the heap's limit that data may take; the rest is for garbage. */
const ENOUGH = 0.8;

/** Whether this process may not use so much memory. Node sets the limit when it starts, to 4 GiB at most. */
export function needsLargerHeap(bytes: number): boolean {
  return (
    bytes > getHeapStatistics().heap_size_limit * ENOUGH &&
    ![...process.execArgv, nodeOptions()].some(setsHeap)
  );
}

/** Runs the same command line in a process that may use so much memory. @returns its exit code */
export async function rerunWithHeap(bytes: number): Promise<number> {
  const mebibytes = Math.ceil(bytes / ENOUGH / 1024 ** 2);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    // Not as an argument: the executable takes all of those for its own.
    env: { ...process.env, NODE_OPTIONS: `${nodeOptions()} --max-old-space-size=${mebibytes}` },
  });
  onSignals(["SIGINT", "SIGTERM"], (signal) => child.kill(signal));
  const [code] = (await once(child, "close")) as [number | null];
  return code ?? 1;
}

function nodeOptions(): string {
  return process.env.NODE_OPTIONS ?? "";
}

function setsHeap(options: string): boolean {
  return /--max[-_]old[-_]space[-_]size/.test(options);
}
