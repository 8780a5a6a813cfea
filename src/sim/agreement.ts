import { LIMITS } from "../core/limits.js";
import { startOf } from "../node/replica/holdings.js";
import { START } from "../node/replica/item-set/bound.js";
import type { ItemRecord } from "./known.js";
import type { SimNode } from "./node.js";
import { broken } from "./safety.js";
import type { World } from "./world.js";

/** Links that each has in the end, in a cluster of more. */
const LINKS_MIN = 3;
/** Where nothing goes wrong gossip brings an item within this; reconciliation would bring it later. */
const GOSSIP_MS_MAX = 2_000;

/** Whether the nodes of a world hold the same, once the faults are over. */
export class Agreement {
  readonly #agreedAtMs = new Map<SimNode, number>();

  constructor(private readonly world: World) {}

  /** When each node came to hold what all hold in the end. */
  get agreedAtMs(): readonly number[] {
    return [...this.#agreedAtMs.values()];
  }

  /** Looks once. @returns whether all nodes hold the same set, of everything acknowledged that could be kept */
  reached(): boolean {
    const nodes = this.world.living();
    for (const node of this.#agreedAtMs.keys()) if (!node.alive) this.#agreedAtMs.delete(node);
    const sinceMs = this.#sinceMs(nodes);
    const summaries = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs, this.#untilMs));
    // All will hold at least what the fullest holds now.
    const fullest = summaries.reduce((a, b) => (b.count > a.count ? b : a), summaries[0]!);
    nodes.forEach((node, index) => {
      if (summaries[index]!.fingerprint !== fullest.fingerprint) this.#agreedAtMs.delete(node);
      else if (!this.#agreedAtMs.has(node)) this.#agreedAtMs.set(node, this.world.nowMs);
    });
    return (
      this.#agreedAtMs.size === nodes.length &&
      nodes.every(({ replica }) => replica.commits.size === 0) &&
      !this.#missing(nodes[0]!, sinceMs)
    );
  }

  /** How far the nodes are from it, for people. */
  describe(): string {
    const nodes = this.world.living();
    const sinceMs = this.#sinceMs(nodes);
    const counts = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs, this.#untilMs).count);
    const agreeing = this.#agreedAtMs.size;
    const missing = nodes[0] && this.#missing(nodes[0], sinceMs);
    return `${agreeing} of ${nodes.length} nodes hold the same; they hold ${Math.min(...counts)} to ${Math.max(...counts)} items${missing ? `; ${missing} was acknowledged and is gone` : ""}`;
  }

  /** Once reached: every view shows the same. Costs O(items) a node. */
  compareViews(nodes: readonly SimNode[]): void {
    const sinceMs = this.#sinceMs(this.world.living());
    const fading = new Set<string>();
    for (const { replica } of nodes)
      for (const item of replica.holdings.set.range(START, startOf(sinceMs))) fading.add(item.id);
    const shown = ({ replica }: SimNode) =>
      [...replica.holdings.visible(startOf(sinceMs), this.#untilMs)]
        .filter(({ id }) => !fading.has(id))
        .map(({ digest }) => digest)
        .join();
    const expected = shown(nodes[0]!);
    for (const node of nodes)
      if (shown(node) !== expected) broken("sameView", node, `shows other items than ${nodes[0]!.id}`);
  }

  /**
   * The first rule of membership that does not hold now, and what is wrong: all know all that live and nobody else, one graph
   * of links joins them, and each has links of its own.
   */
  membershipFault(): { readonly rule: string; readonly what: string } | undefined {
    const nodes = this.world.living();
    const ids = new Set(nodes.map(({ id }) => id));
    const reached = new Set(nodes.slice(0, 1).map(({ id }) => id));
    const byId = new Map(nodes.map((node) => [node.id, node]));
    for (const id of reached)
      for (const { peer } of byId.get(id)!.replica.links.up()) if (byId.has(peer)) reached.add(peer);
    if (reached.size < nodes.length)
      return { rule: "oneGraph", what: `links lead from one node to ${reached.size} of ${nodes.length}` };
    const least = Math.min(nodes.length - 1, LINKS_MIN);
    const few = nodes.find(({ replica }) => replica.links.count < least);
    if (few) return { rule: "linksBounded", what: `${few.id} has ${few.replica.links.count} links` };
    if (nodes.length > this.world.options.rosterMembersMax) return undefined;
    for (const { id, replica } of nodes) {
      const alive = replica.roster.alive();
      const dead = alive.find(({ record }) => !ids.has(record.id));
      if (dead) return { rule: "rosterTrue", what: `${id} takes ${dead.record.id} for alive` };
      if (alive.length < nodes.length - 1) {
        const missing = nodes.find((node) => node.id !== id && !replica.roster.isAlive(node.id))!;
        const state = replica.roster.get(missing.id)?.state ?? "unknown";
        const what = `${id} has ${alive.length} of ${nodes.length - 1} members: ${missing.id} is ${state}`;
        return { rule: state === "lost" ? "nobodyLost" : "rosterTrue", what };
      }
    }
    return undefined;
  }

  /** An item that reached somebody so late that gossip cannot have brought it, of those accepted from an instant on. */
  missedByGossip(sinceMs: number): ItemRecord | undefined {
    for (const record of this.world.known.all()) {
      const { acceptedAtMs, heldAtMs } = record;
      if (acceptedAtMs !== undefined && acceptedAtMs >= sinceMs && heldAtMs - acceptedAtMs > GOSSIP_MS_MAX)
        return record;
    }
    return undefined;
  }

  /** The start of the window in which no node's clock has expired anything. */
  #sinceMs(nodes: readonly SimNode[]): number {
    return Math.max(...nodes.map((node) => node.nowMs)) - this.world.options.retentionMs + 1;
  }

  /** Items stamped from then on were posted while a clock was ahead: others do not take them yet. */
  get #untilMs(): number {
    return this.world.nowMs + LIMITS.clockSkewMsMax / 2;
  }

  /** The digest of an acknowledged item that a node lacks though a host kept it all the time. */
  #missing({ replica }: SimNode, sinceMs: number): string | undefined {
    for (const { item, acceptedAtMs, excused } of this.world.known.all()) {
      if (
        acceptedAtMs === undefined ||
        excused ||
        item.timestampMs < sinceMs ||
        item.timestampMs >= this.#untilMs
      )
        continue;
      if (!replica.holdings.has(item.digest)) return item.digest;
    }
    return undefined;
  }
}
