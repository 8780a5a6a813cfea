import { type Item, withDigest } from "../node/protocol/item.js";
import { integritySignature } from "../node/protocol/signature.js";
import type { Dice } from "./dice.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** Of the posts: another raw under an id that was posted before; the very same item elsewhere; several at once. */
const CONFLICTS = 0.08;
const REPEATS = 0.04;
/** A client that got no answer yet posts again, at the same node. */
const IMPATIENT = 0.05;
const BULKS = 0.03;
const BULK_ITEMS_MAX = 40;

/** What clients do: they post at random nodes and instants, now and then under an id that somebody else took. */
export class Workload {
  readonly #dice: Dice;
  readonly #posted: Item[] = [];
  /** Items handed in so far. */
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
  }

  #post(count: number): void {
    const node = this.#dice.pick(this.world.living());
    if (!node) return;
    const items = Array.from({ length: count }, () => this.#item(node));
    this.posted += count;
    node.post(items);
    if (this.#dice.chance(IMPATIENT))
      this.world.timeline.after(this.#dice.whole(0, 10), () => node.post(items));
  }

  #item(node: SimNode): Item {
    const dice = this.#dice;
    const earlier = dice.pick(this.#posted);
    if (earlier && dice.chance(REPEATS)) return earlier;
    const id = earlier && dice.chance(CONFLICTS) ? earlier.id : `item-${this.posted}-${this.#posted.length}`;
    const raw = `${id} ${dice.random()} ${"x".repeat(Math.floor(dice.random() ** 4 * 600))}`;
    const item = withDigest({ id, raw, signature: integritySignature(raw), timestampMs: node.nowMs });
    this.#posted.push(item);
    return item;
  }
}
