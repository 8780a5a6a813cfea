import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { ReplicaOptions } from "../node/replica/context.js";
import { type Item, withDigest } from "../node/replica/item.js";
import type { Replica } from "../node/replica/replica.js";
import { integritySignature } from "../node/replica/signature.js";
import { Agreement } from "./agreement.js";
import type { Dice } from "./determinism.js";
import { Faults } from "./faults.js";
import type { SimNode } from "./node.js";
import {
  completeOptions,
  itemsFor,
  replayLine,
  SIMULATION_KINDS,
  type SimulationOptions,
} from "./options.js";
import { INSPECTED_ITEMS_MAX, World } from "./world.js";

export { itemsFor, SIMULATION_KINDS, type SimulationOptions };

/** Time to find each other before anything is posted. */
const SETTLE_MS = 2_000;
/** Nodes that start in a second, in worlds where half the time to settle is too short for all. */
const STARTS_PER_SECOND = 200;
/** Virtual time between two checks of the world. */
const STEP_MS = 100;
/** How often each node of a small world is inspected; in large worlds a few nodes are, at the end only. */
const INSPECT_EVERY_MS = 1_000;
/** After healing, all must agree within so long: a node may have to wait for its second periodic round. */
const AGREEMENT_MS_MAX = 3 * LIMITS.syncIntervalMs;

/** The progress of a simulation. */
export interface Progress {
  readonly phase: "faults" | "healing";
  /** Virtual ms since the beginning of the world. */
  readonly elapsedMs: number;
  readonly posted: number;
  readonly living: number;
  /** Nodes that hold the final set; 0 before healing. */
  readonly agreeing: number;
}

/**
 * Runs a world from its seed. During the faults the safety rules must hold; after they end, all nodes must agree within
 * a bound. Yields many times a second, so that the caller can show progress or stop.
 * @returns the figures of the run
 * @throws ruleBroken, disagreement, bug; each with the line that replays it among its suggestions
 */
export function* simulate(
  partial: Partial<SimulationOptions>,
  makeReplica?: (options: ReplicaOptions) => Replica,
): Generator<Progress, Report, void> {
  const options = completeOptions(partial);
  try {
    return yield* new Simulation(new World(options, makeReplica)).run();
  } catch (error) {
    throw withReplay(error, replayLine(options));
  }
}

class Simulation {
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #agreement: Agreement;

  constructor(private readonly world: World) {
    this.#faults = new Faults(world);
    this.#workload = new Workload(world);
    this.#agreement = new Agreement(world);
  }

  *run(): Generator<Progress, Report, void> {
    const { world } = this;
    const { options, timeline, dice } = world;
    for (let host = 0; host < options.nodes; host++) world.addHost();
    const startMs = Math.max(SETTLE_MS / 2, (options.nodes / STARTS_PER_SECOND) * 1_000);
    // All others wait for the seed.
    for (const host of world.hosts)
      timeline.after(host.number === world.seed ? 0 : dice.whole(0, startMs), () => world.start(host));
    const faultsMs = world.nowMs + startMs + SETTLE_MS / 2;
    const healMs = faultsMs + options.durationMs;
    this.#faults.plan(faultsMs, healMs);
    this.#workload.plan(options.items, faultsMs, healMs);
    yield* this.#passUntil(healMs, "faults");
    this.#faults.heal();
    yield* this.#awaitAgreement(healMs);
    yield* this.#awaitMembership(healMs);
    const membersMs = world.nowMs - healMs;
    this.#checkGossip(faultsMs + SETTLE_MS);
    this.#inspect();
    return reportOf(world, this.#agreement, healMs, membersMs);
  }

  *#passUntil(untilMs: number, phase: Progress["phase"]): Generator<Progress, void, void> {
    const { world } = this;
    while (world.nowMs < untilMs) {
      world.timeline.runUntil(Math.min(world.nowMs + STEP_MS, untilMs));
      if (world.isSmall && world.elapsedMs % INSPECT_EVERY_MS === 0) this.#inspect();
      yield this.#progress(phase);
    }
  }

  *#awaitAgreement(healMs: number): Generator<Progress, void, void> {
    while (!this.#agreement.reached()) {
      if (this.world.nowMs >= healMs + AGREEMENT_MS_MAX) {
        throw new HubcastError(
          "disagreement",
          `no agreement ${AGREEMENT_MS_MAX / 1000} s after all faults ended: ${this.#agreement.describe()}`,
        );
      }
      yield* this.#passUntil(this.world.nowMs + STEP_MS, "healing");
    }
    this.#agreement.compareViews(this.#sample());
  }

  /** Waits until each roster names exactly the living nodes and their links form one connected graph. */
  *#awaitMembership(healMs: number): Generator<Progress, void, void> {
    const wrong = () => this.#agreement.membershipFault();
    while (wrong() !== undefined) {
      if (this.world.nowMs >= healMs + AGREEMENT_MS_MAX)
        throw new HubcastError(
          "ruleBroken",
          `rule ${wrong()!.rule}: ${AGREEMENT_MS_MAX / 1000} s after all faults ended ${wrong()!.what}`,
        );
      yield* this.#passUntil(this.world.nowMs + STEP_MS, "healing");
    }
  }

  /** Without faults gossip delivers every item: reconciliation only repairs its gaps. */
  #checkGossip(sinceMs: number): void {
    const { loss, partition, churn } = this.world.options;
    if (loss > 0 || partition > 1 || churn > 0) return;
    const missed = this.#agreement.missedByGossip(sinceMs);
    if (missed) {
      const lateMs = missed.heldAtMs - missed.acceptedAtMs!;
      throw new HubcastError(
        "ruleBroken",
        `rule gossipBrings: ${missed.item.digest} reached the last node after ${lateMs} ms, though nothing went wrong`,
      );
    }
  }

  #inspect(): void {
    for (const node of this.#sample()) this.world.safety.inspect(node);
  }

  /** All nodes, or a sample whose inspection takes no longer than the rest of the run. */
  #sample() {
    const nodes = this.world.living();
    const count = Math.ceil(INSPECTED_ITEMS_MAX / Math.max(1, this.world.options.items));
    return nodes.length <= count ? nodes : this.world.dice.named("sample").shuffled(nodes).slice(0, count);
  }

  #progress(phase: Progress["phase"]): Progress {
    return {
      phase,
      elapsedMs: this.world.elapsedMs,
      posted: this.#workload.posted,
      living: this.world.living().length,
      agreeing: phase === "healing" ? this.#agreement.agreedAtMs.length : 0,
    };
  }
}

function withReplay(error: unknown, line: string): HubcastError {
  const known = error instanceof HubcastError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return new HubcastError(known?.code ?? "bug", message, {
    suggestions: [`To see it again: ${line}`],
    cause: error,
  });
}

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

function reportOf(world: World, agreement: Agreement, healMs: number, membersMs: number): Report {
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

/** Shares of the posts with: another raw under a used id; the same item at another node; several items at once. */
const CONFLICTS = 0.08;
const REPEATS = 0.04;
/** Share of the clients that post again, at the same node, before they have an answer. */
const IMPATIENT = 0.05;
const BULKS = 0.03;
const BULK_ITEMS_MAX = 40;
/** Share of the posts with a rival: another client posts under the same id and timestamp at another node. */
const RIVALS = 0.06;
/** Probability that a client on one side of a partition posts large items, each more than half of an answer to a `want`. */
const LARGE = 0.3;
const LARGE_ITEMS = 40;
const LARGE_BYTES = 140_000;
/** Larger worlds have none: each node holds all large items. */
const LARGE_NODES_MAX = 6;
/** Share of the posts whose client asks for a receipt. */
const RECEIPTS = 0.1;
const RECEIPT_MS = 5_000;

/** The clients: they post at random nodes and instants, sometimes under an id that is already used. */
class Workload {
  readonly #dice: Dice;
  readonly #posted: Item[] = [];
  /** Items posted so far. */
  posted = 0;

  constructor(private readonly world: World) {
    this.#dice = world.dice.named("workload");
  }

  /** Spreads the posts over a span of time. */
  plan(items: number, fromMs: number, untilMs: number): void {
    for (let left = items; left > 0; ) {
      const count = this.#dice.chance(BULKS) ? Math.min(left, this.#dice.whole(2, BULK_ITEMS_MAX)) : 1;
      left -= count;
      this.world.timeline.at(this.#dice.whole(fromMs, untilMs), () => this.#post(count));
    }
    const { partition, nodes } = this.world.options;
    if (items > 0 && partition > 1 && nodes <= LARGE_NODES_MAX && this.#dice.chance(LARGE))
      this.world.timeline.at(fromMs + Math.floor((untilMs - fromMs) / 2), () => this.#postLarge());
  }

  #postLarge(): void {
    const node = this.#dice.pick(this.world.living());
    if (!node) return;
    const items = Array.from({ length: LARGE_ITEMS }, (_, index) =>
      this.#stamp(node, `large-${index}`, `${index} ${"x".repeat(LARGE_BYTES)}`),
    );
    this.posted += items.length;
    node.post(items);
  }

  /** Posts under the id and at the instant of another's post. */
  #rival({ id, timestampMs }: Item): void {
    const other = this.#dice.pick(this.world.living());
    if (!other) return;
    const raw = `rival ${this.#dice.random()}`;
    const item = withDigest({ id, raw, signature: integritySignature(raw), timestampMs });
    this.posted++;
    other.post([item]);
  }

  #post(count: number): void {
    const node = this.#dice.pick(this.world.living());
    if (!node) return;
    const items = Array.from({ length: count }, () => this.#item(node));
    this.posted += count;
    node.post(items);
    if (this.#dice.chance(RIVALS)) this.#rival(items[0]!);
    if (this.#dice.chance(RECEIPTS)) {
      const wait = this.#dice.pick([1, 2, "all"] as const)!;
      this.world.timeline.after(this.#dice.whole(0, 50), () =>
        node.askReceipt(items[0]!.digest, wait, RECEIPT_MS),
      );
    }
    if (this.#dice.chance(IMPATIENT))
      this.world.timeline.after(this.#dice.whole(0, 10), () => node.post(items));
  }

  #item(node: SimNode): Item {
    const dice = this.#dice;
    const earlier = dice.pick(this.#posted);
    if (earlier && dice.chance(REPEATS)) return earlier;
    const id = earlier && dice.chance(CONFLICTS) ? earlier.id : `item-${this.posted}-${this.#posted.length}`;
    const raw = `${id} ${dice.random()} ${"x".repeat(Math.floor(dice.random() ** 4 * 600))}`;
    const item = this.#stamp(node, id, raw);
    this.#posted.push(item);
    return item;
  }

  #stamp({ nowMs }: SimNode, id: string, raw: string): Item {
    return withDigest({ id, raw, signature: integritySignature(raw), timestampMs: nowMs });
  }
}
