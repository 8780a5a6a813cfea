import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { SIMULATION_DEFAULTS, type SimulationOptions } from "../sim/index.js";
import { countFlag, durationFlag } from "./flags.js";

/** A part of a whole, 0 to 1. */
const fractionFlag = Flags.custom<number>({
  helpValue: "FRACTION",
  parse: async (text) => {
    const value = Number(text);
    if (/^\d*\.?\d+$/.test(text) && value <= 1) return value;
    throw new HubcastError("usage", `"${text}" is not a number from 0 to 1`);
  },
});

const WORLD = { helpGroup: "WORLD" };
const FAULTS = { helpGroup: "FAULTS" };

const shownMs = (ms: number) => async () => (ms % 3_600_000 === 0 ? `${ms / 3_600_000}h` : `${ms}ms`);

/** Flags of `broadcast simulate`. */
export const SIMULATE_FLAGS = {
  nodes: countFlag({
    description: "Nodes. Up to 33 are all connected to all; more have 8 to 16 neighbours each.",
    default: SIMULATION_DEFAULTS.nodes,
    min: 1,
    max: 100_000,
    ...WORLD,
  }),
  items: countFlag({
    description: "Items posted at random nodes; 100 with --grow.",
    min: 0,
    max: 10_000_000,
    ...WORLD,
  }),
  duration: durationFlag({
    description: "How long items are posted and faults happen, in virtual time.",
    default: SIMULATION_DEFAULTS.durationMs,
    defaultHelp: shownMs(SIMULATION_DEFAULTS.durationMs),
    ...WORLD,
  }),
  retention: durationFlag({
    description: "How long items are kept.",
    default: SIMULATION_DEFAULTS.retentionMs,
    defaultHelp: shownMs(SIMULATION_DEFAULTS.retentionMs),
    ...WORLD,
  }),
  disk: fractionFlag({
    description: "Part of the nodes that keep their items over a crash.",
    default: SIMULATION_DEFAULTS.disk,
    ...WORLD,
  }),
  seed: countFlag({
    description: "The same seed makes the same world; a random one without it.",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    ...WORLD,
  }),

  loss: fractionFlag({
    description: "Part of messages that get lost; gossip also comes twice and out of order then.",
    default: SIMULATION_DEFAULTS.loss,
    ...FAULTS,
  }),
  partition: countFlag({
    description: "Groups of nodes that cannot reach each other for a while; 1 is none.",
    default: SIMULATION_DEFAULTS.partition,
    min: 1,
    max: 100,
    ...FAULTS,
  }),
  churn: fractionFlag({
    description: "Part of the nodes that crash, freeze, or leave and are replaced.",
    default: SIMULATION_DEFAULTS.churn,
    ...FAULTS,
  }),
  skew: durationFlag({
    description: "How far clocks are off, at most.",
    default: SIMULATION_DEFAULTS.skewMs,
    defaultHelp: shownMs(SIMULATION_DEFAULTS.skewMs),
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
  readonly churn: number;
  readonly skew: number;
}

export function simulationOptions(flags: SimulateFlags, seed: number): SimulationOptions {
  const { nodes, items, loss, partition, churn, disk } = flags;
  return {
    seed,
    nodes,
    items: items ?? SIMULATION_DEFAULTS.items,
    loss,
    partition,
    churn,
    disk,
    skewMs: flags.skew,
    retentionMs: flags.retention,
    durationMs: flags.duration,
  };
}
