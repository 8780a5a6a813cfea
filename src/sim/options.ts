import { LIMITS } from "../core/limits.js";
import { completed, type Kinds, lengthMs, part, wholeNumber, withDefault } from "../core/options.js";

/** The options of a world. Together with the seed they decide everything that happens in it. */
export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Items posted while faults happen. */
  readonly items: number;
  /**
   * Of each frame and each attempt to connect, 0..0.9. A lost frame is sent again, as TCP does, and holds up those
   * behind it.
   */
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
  /**
   * Part of the nodes, 0..1, whose clocks drift, jump, start wrong, or are lied about. Below one half the others are
   * right.
   */
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

/** Kinds and defaults of the options of a world; the flags of `broadcast simulate` take their ranges from here. */
export const SIMULATION_KINDS = {
  seed: withDefault(wholeNumber(0), 1),
  nodes: withDefault(wholeNumber(1, 100_000), 50),
  /** Without it: `itemsFor`. */
  items: wholeNumber(0, 10_000_000),
  loss: withDefault(part(0.9), 0),
  partition: withDefault(wholeNumber(1, 100), 1),
  apartMs: withDefault(lengthMs(0, 3_600_000), 0),
  churn: withDefault(part(), 0),
  disk: withDefault(part(), 0.5),
  skewMs: withDefault(lengthMs(0, LIMITS.clockSkewMsMax / 2 - 1_000), 200),
  clocks: withDefault(part(), 0),
  retentionMs: withDefault(lengthMs(LIMITS.retentionMsMin, 30 * LIMITS.retentionMs), LIMITS.retentionMs),
  durationMs: withDefault(lengthMs(1_000, 3_600_000), 20_000),
  rosterMembersMax: withDefault(wholeNumber(8, 100_000), LIMITS.rosterMembersMax),
} satisfies Kinds<SimulationOptions>;

/** @throws invalidOption */
export function completeOptions(options: Partial<SimulationOptions>): SimulationOptions {
  const complete = completed("a simulation", options, SIMULATION_KINDS);
  return { ...complete, items: complete.items ?? itemsFor(complete.nodes) };
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
  const defaults = { ...completeOptions({}), items: itemsFor(options.nodes) };
  const words = FLAGS.filter(([name]) => options[name] !== defaults[name]).map(
    ([name, flag, unit]) => `--${flag} ${options[name]}${unit === "ms" ? "ms" : ""}`,
  );
  return ["hubcast broadcast simulate", ...words, `--seed ${options.seed}`].join(" ");
}
