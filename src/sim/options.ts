import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";

/** The options of a world. Together with the seed they decide everything that happens in it. */
export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Items posted while faults happen. */
  readonly items: number;
  /** Of each frame and each attempt to connect, 0..0.9. A lost frame is sent again, as TCP does, and holds up those behind it. */
  readonly loss: number;
  /** Groups that cannot reach each other during the middle of the faults; 1: none. */
  readonly partition: number;
  /** How long the groups are apart, up to the end of the faults, ms; 0: the middle 40 % of the faults. */
  readonly apartMs: number;
  /** Part of the nodes, 0..1, that crash, freeze, leave or are replaced. */
  readonly churn: number;
  /** Part of the nodes, 0..1, that keep their items over a crash. */
  readonly disk: number;
  /** How far clocks are off, at most, ms. */
  readonly skewMs: number;
  /** Part of the nodes, 0..1, whose clocks drift, jump, start wrong, or are lied about. Below one half the others are right. */
  readonly clocks: number;
  readonly retentionMs: number;
  /** How long items are posted and faults happen, ms. */
  readonly durationMs: number;
  /** Members that a node knows of; in a larger world its roster is a sample. */
  readonly rosterMembersMax: number;
}

/** Items of a world that names no number: 1,000, and so few in one of more than 300 nodes that it takes a minute or two. */
export function itemsFor(nodes: number): number {
  return Math.round(Math.min(1_000, Math.max(100, 300_000 / nodes)));
}

export const SIMULATION_DEFAULTS: SimulationOptions = {
  seed: 1,
  nodes: 50,
  items: itemsFor(50),
  loss: 0,
  partition: 1,
  apartMs: 0,
  churn: 0,
  disk: 0.5,
  skewMs: 200,
  clocks: 0,
  retentionMs: LIMITS.retentionMs,
  durationMs: 20_000,
  rosterMembersMax: LIMITS.rosterMembersMax,
};

const RANGES: Readonly<Record<keyof SimulationOptions, readonly [number, number]>> = {
  seed: [0, Number.MAX_SAFE_INTEGER],
  nodes: [1, 100_000],
  items: [0, 10_000_000],
  loss: [0, 0.9],
  partition: [1, 100],
  apartMs: [0, 3_600_000],
  churn: [0, 1],
  disk: [0, 1],
  skewMs: [0, LIMITS.clockSkewMsMax / 2 - 1_000],
  clocks: [0, 1],
  retentionMs: [LIMITS.retentionMsMin, 30 * LIMITS.retentionMs],
  durationMs: [1_000, 3_600_000],
  rosterMembersMax: [8, 100_000],
};

/** @throws invalidOption */
export function completeOptions(options: Partial<SimulationOptions>): SimulationOptions {
  const { nodes } = { ...SIMULATION_DEFAULTS, ...options };
  const complete = { ...SIMULATION_DEFAULTS, items: itemsFor(nodes), ...options };
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = complete[name as keyof SimulationOptions];
    if (!(value >= least && value <= most))
      throw new HubcastError("invalidOption", `${name} ${value} is not from ${least} to ${most}`);
  }
  return complete;
}

const FLAGS: readonly (readonly [keyof SimulationOptions, string, "number" | "ms"])[] = [
  ["nodes", "nodes", "number"],
  ["items", "items", "number"],
  ["loss", "loss", "number"],
  ["partition", "partition", "number"],
  ["apartMs", "apart", "ms"],
  ["churn", "churn", "number"],
  ["disk", "disk", "number"],
  ["skewMs", "skew", "ms"],
  ["clocks", "clocks", "number"],
  ["retentionMs", "retention", "ms"],
  ["durationMs", "duration", "ms"],
  ["rosterMembersMax", "roster", "number"],
];

/** The line that makes the same world again. */
export function replayLine(options: SimulationOptions): string {
  const defaults = { ...SIMULATION_DEFAULTS, items: itemsFor(options.nodes) };
  const words = FLAGS.filter(([name]) => options[name] !== defaults[name]).map(
    ([name, flag, unit]) => `--${flag} ${options[name]}${unit === "ms" ? "ms" : ""}`,
  );
  return ["hubcast broadcast simulate", ...words, `--seed ${options.seed}`].join(" ");
}
