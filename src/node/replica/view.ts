import { type HashKey, HashTable, KeyedHash } from "./held/hash-table.js";
import { compareItems, type Item } from "./item.js";

/** The effect of a change of the held set on the view, which has one item per id. */
export type ViewChange =
  | { readonly type: "appeared"; readonly item: Item }
  | { readonly type: "replaced"; readonly item: Item; readonly previous: Item }
  | { readonly type: "vanished"; readonly item: Item }
  /** Behind another of its id, before and after. */
  | { readonly type: "hidden"; readonly item: Item };

/**
 * The view of one item per id over the union set: the smallest by (timestampMs, digest) is seen, the others
 * under that id (only a partition or a race can make them) are hidden until it expires.
 */
export class View {
  readonly #visible = new HashTable<Item>((item, id) => item.id === id);
  /** All items of the few ids that have more than one, in ascending order. */
  readonly #rivals = new Map<string, readonly Item[]>();
  readonly #hidden = new Set<Item>();
  readonly #hash: KeyedHash;

  constructor(key: HashKey = [0, 0]) {
    this.#hash = new KeyedHash(key);
  }

  /** Visible items. */
  get size(): number {
    return this.#visible.size;
  }

  /** Items behind another of their id. */
  get hidden(): number {
    return this.#hidden.size;
  }

  /** The visible item of an id. */
  get(id: string): Item | undefined {
    return this.#visible.get(this.#hash.of(id), id);
  }

  /** Items of an id behind the visible one, in their order. */
  hiddenBehind(id: string): readonly Item[] {
    return this.#rivals.get(id)?.slice(1) ?? [];
  }

  /** @param item one that was added */
  isVisible(item: Item): boolean {
    return !this.#hidden.has(item);
  }

  /** @param id that of the item; given where it is at hand as text */
  add(item: Item, id: string = item.id): ViewChange {
    const previous = this.#visible.set(this.#hash.of(id), id, item);
    if (previous === undefined) return { type: "appeared", item };

    this.#rivals.set(id, [...(this.#rivals.get(id) ?? [previous]), item].sort(compareItems));
    if (compareItems(item, previous) < 0) {
      this.#hidden.add(previous);
      return { type: "replaced", item, previous };
    }
    this.#visible.set(this.#hash.of(id), id, previous);
    this.#hidden.add(item);
    return { type: "hidden", item };
  }

  /** @param item one that was added @param id that of the item */
  remove(item: Item, id: string = item.id): ViewChange {
    const rivals = this.#rivals.get(id);
    if (!rivals) {
      this.#visible.delete(this.#hash.of(id), id);
      return { type: "vanished", item };
    }
    const left = rivals.filter((other) => other !== item);
    if (left.length > 1) this.#rivals.set(id, left);
    else this.#rivals.delete(id);
    if (this.#hidden.delete(item)) return { type: "hidden", item };

    const next = left[0]!;
    this.#visible.set(this.#hash.of(id), id, next);
    this.#hidden.delete(next);
    return { type: "replaced", item: next, previous: item };
  }
}
