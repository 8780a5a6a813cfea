import { LIMITS } from "../core/limits.js";
import { startOf } from "../node/replica/holdings.js";
import { START } from "../node/replica/item-set/bound.js";
import { memberHash } from "../node/replica/member.js";
import type { ItemRecord } from "./known.js";
import type { SimNode } from "./node.js";
import { broken } from "./safety.js";
import type { World } from "./world.js";

/** Links that each node of a larger cluster has in the end. */
const LINKS_MIN = 3;
/** Without faults gossip delivers an item within this time; reconciliation would take longer. */
const GOSSIP_MS_MAX = 2_000;

/** Checks, once the faults are over, whether all nodes hold the same set. */
export class Agreement {
  readonly #agreedAtMs = new Map<SimNode, number>();

  constructor(private readonly world: World) {}

  /** When each node first held the final set. */
  get agreedAtMs(): readonly number[] {
    return [...this.#agreedAtMs.values()];
  }

  /** Checks once. @returns whether all nodes hold the same set, with every acknowledged item that a disk kept */
  reached(): boolean {
    const nodes = this.world.living();
    for (const node of this.#agreedAtMs.keys()) if (!node.alive) this.#agreedAtMs.delete(node);
    const sinceMs = this.#sinceMs(nodes);
    const summaries = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs, this.#untilMs));
    // In the end every node holds at least the items of the fullest one.
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

  /** Describes the remaining difference, for people. */
  describe(): string {
    const nodes = this.world.living();
    const sinceMs = this.#sinceMs(nodes);
    const counts = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs, this.#untilMs).count);
    const agreeing = this.#agreedAtMs.size;
    const missing = nodes[0] && this.#missing(nodes[0], sinceMs);
    return `${agreeing} of ${nodes.length} nodes hold the same; they hold ${Math.min(...counts)} to ${Math.max(...counts)} items${missing ? `; ${missing} was acknowledged and is gone` : ""}`;
  }

  /** Checks, once agreement is reached, that all views are equal. Costs O(items) per node. */
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
   * The first rule of membership that is broken now: each roster names exactly the living nodes, their links form one
   * connected graph, and each node has enough links. A roster that cannot hold all is full, of living nodes alone where none
   * has died: in a sample the dead stay for long.
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
    const { rosterMembersMax, churn } = this.world.options;
    const isExact = nodes.length <= rosterMembersMax || churn === 0;
    const byHash = nodes.map((node) => ({ id: node.id, hash: memberHash(node.id) }));
    byHash.sort((one, other) => (one.hash < other.hash ? -1 : 1));
    const most = nodes.length - 1 <= rosterMembersMax ? nodes.length : rosterMembersMax;
    const sampled = new Set(byHash.slice(0, most).map(({ id }) => id));
    for (const { id, replica } of nodes) {
      let alive = 0;
      for (const { state, record } of replica.roster.all()) {
        const lives = ids.has(record.id);
        if (state === "lost" && lives)
          return { rule: "nobodyLost", what: `${id} takes ${record.id} for lost` };
        if (state === "alive" && !lives && isExact)
          return { rule: "rosterTrue", what: `${id} takes ${record.id} for alive` };
        if (state === "alive") alive++;
      }
      const known = most - (sampled.has(id) ? 1 : 0);
      if (alive < known && isExact) {
        const missing = [...sampled].find((other) => other !== id && !replica.roster.isAlive(other));
        return { rule: "rosterTrue", what: `${id} has ${alive} of ${known} members, and not ${missing}` };
      }
    }
    return undefined;
  }

  /** An item, accepted at or after an instant, that reached a node too late to have come by gossip. */
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

  /** Items stamped later were posted while a clock was ahead; other nodes do not accept them yet. */
  get #untilMs(): number {
    return this.world.nowMs + LIMITS.clockSkewMsMax / 2;
  }

  /** The digest of an acknowledged item that a node lacks although a disk kept it all the time. */
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
