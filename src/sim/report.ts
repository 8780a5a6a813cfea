import type { Agreement } from "./agreement.js";
import { replayLine, type SimulationOptions } from "./options.js";
import type { World } from "./world.js";

/** Quantiles of a list of numbers. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The report of a simulation. Times are virtual ms; messages and bytes are those sent. */
export interface Report {
  readonly options: SimulationOptions;
  readonly replay: string;
  /** Items that clients were told are accepted. */
  readonly accepted: number;
  /** Items that every node holds in the end, including those whose acceptance no client was told. */
  readonly held: number;
  /** From an item's acceptance until every node that was up then, and stayed, held it. */
  readonly convergenceMs: Spread;
  /** From the end of the faults until a node held the final set. */
  readonly healingMs: Spread;
  /** From the end of the faults until all nodes held the same, all rosters named all members, and one graph linked them. */
  readonly membersMs: number;
  readonly messagesPerNode: Spread;
  readonly bytesPerNode: Spread;
  /** Copies that a node received of each batch. */
  readonly redundancy: number;
  /** Reconciliation rounds led, per node. */
  readonly roundsPerNode: number;
  /** Items that came by reconciliation, of all that nodes received. */
  readonly itemsBySync: number;
  /** Assertions that held. */
  readonly checks: number;
  /** Virtual ms from the beginning to the agreement. */
  readonly elapsedMs: number;
}

export function reportOf(world: World, agreement: Agreement, healMs: number, membersMs: number): Report {
  const { options, figures, known, safety } = world;
  const nodes = world.living();
  const accepted = [...known.all()].filter(({ acceptedAtMs }) => acceptedAtMs !== undefined);
  const sent = figures.perHost().filter((host) => host !== undefined);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    options,
    replay: replayLine(options),
    accepted: accepted.length,
    held: Math.max(0, ...nodes.map(({ replica }) => replica.holdings.size)),
    convergenceMs: spreadOf(accepted.map((item) => Math.max(0, item.heldAtMs - item.acceptedAtMs!))),
    healingMs: spreadOf(agreement.agreedAtMs.map((atMs) => Math.max(0, atMs - healMs))),
    membersMs,
    messagesPerNode: spreadOf(sent.map(({ messages }) => messages)),
    bytesPerNode: spreadOf(sent.map(({ bytes }) => bytes)),
    redundancy:
      sum(nodes.map(({ replica }) => replica.gossipFigures.copiesReceived)) /
      Math.max(1, sum(nodes.map(({ replica }) => replica.gossipFigures.batchesReceived))),
    roundsPerNode: sum(nodes.map(({ replica }) => replica.figures.rounds)) / Math.max(1, nodes.length),
    itemsBySync: sum(nodes.map(({ replica }) => replica.figures.itemsReceivedBySync)),
    checks: safety.checks,
    elapsedMs: world.elapsedMs,
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
