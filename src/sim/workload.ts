import { type Item, withDigest } from "../node/replica/item.js";
import { integritySignature } from "../node/replica/signature.js";
import type { Dice } from "./dice.js";
import type { SimNode } from "./node.js";
import type { World } from "./world.js";

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
export class Workload {
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
