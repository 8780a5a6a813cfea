import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";

/** What a world is made of. Together with the seed it decides everything that happens in it. */
export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Items posted while faults happen. */
  readonly items: number;
  /** Of each gossip message and each frame, 0..0.9. A lost frame is sent again, as TCP does, and holds up those behind it. */
  readonly loss: number;
  /** Groups that cannot reach each other during the middle of the faults; 1: none. */
  readonly partition: number;
  /** Part of the nodes, 0..1, that crash, freeze, leave or are replaced. */
  readonly churn: number;
  /** Part of the nodes, 0..1, that keep their items over a crash. */
  readonly disk: number;
  /** How far clocks are off, at most, ms. */
  readonly skewMs: number;
  readonly retentionMs: number;
  /** How long items are posted and faults happen, ms. */
  readonly durationMs: number;
}

export const SIMULATION_DEFAULTS: SimulationOptions = {
  seed: 1,
  nodes: 50,
  items: 1_000,
  loss: 0,
  partition: 1,
  churn: 0,
  disk: 0.5,
  skewMs: 200,
  retentionMs: LIMITS.retentionMs,
  durationMs: 20_000,
};

const RANGES: Readonly<Record<keyof SimulationOptions, readonly [number, number]>> = {
  seed: [0, Number.MAX_SAFE_INTEGER],
  nodes: [1, 100_000],
  items: [0, 10_000_000],
  loss: [0, 0.9],
  partition: [1, 100],
  churn: [0, 1],
  disk: [0, 1],
  skewMs: [0, LIMITS.clockSkewMsMax / 2 - 1_000],
  retentionMs: [LIMITS.retentionMsMin, 30 * LIMITS.retentionMs],
  durationMs: [1_000, 3_600_000],
};

/** @throws invalidOption */
export function completeOptions(options: Partial<SimulationOptions>): SimulationOptions {
  const complete = { ...SIMULATION_DEFAULTS, ...options };
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
  ["churn", "churn", "number"],
  ["disk", "disk", "number"],
  ["skewMs", "skew", "ms"],
  ["retentionMs", "retention", "ms"],
  ["durationMs", "duration", "ms"],
];

/** The line that makes the same world again. */
export function replayLine(options: SimulationOptions): string {
  const words = FLAGS.filter(([name]) => options[name] !== SIMULATION_DEFAULTS[name]).map(
    ([name, flag, unit]) => `--${flag} ${options[name]}${unit === "ms" ? "ms" : ""}`,
  );
  return ["hubcast broadcast simulate", ...words, `--seed ${options.seed}`].join(" ");
}
