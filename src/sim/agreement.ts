import { startOf } from "../node/protocol/holdings.js";
import { START } from "../node/protocol/item-set/bound.js";
import { broken } from "./safety.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

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
    const sinceMs = this.#sinceMs(nodes);
    const summaries = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs));
    // What all will hold is at least what the fullest holds now.
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
    const counts = nodes.map((node) => node.replica.holdings.fingerprint(sinceMs).count);
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
      [...replica.holdings.visible(startOf(sinceMs))]
        .filter(({ id }) => !fading.has(id))
        .map(({ digest }) => digest)
        .join();
    const expected = shown(nodes[0]!);
    for (const node of nodes)
      if (shown(node) !== expected) broken("sameView", node, `shows other items than ${nodes[0]!.id}`);
  }

  /** The start of the window in which no node's clock has expired anything. */
  #sinceMs(nodes: readonly SimNode[]): number {
    return Math.max(...nodes.map((node) => node.nowMs)) - this.world.options.retentionMs + 1;
  }

  /** The digest of an acknowledged item that a node lacks though a host kept it all the time. */
  #missing({ replica }: SimNode, sinceMs: number): string | undefined {
    for (const { item, acceptedAtMs, excused } of this.world.items.all()) {
      if (acceptedAtMs === undefined || excused || item.timestampMs < sinceMs) continue;
      if (!replica.holdings.has(item.digest)) return item.digest;
    }
    return undefined;
  }
}
