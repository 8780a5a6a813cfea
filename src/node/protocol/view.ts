import { compareItems, type Item } from "./item.js";

/** What a change of the held set means for those who see one item per id. */
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
  /** One item, or at least two in ascending order: nearly every id has one, and an array each would cost 100 MB a million. */
  readonly #byId = new Map<string, Item | readonly Item[]>();
  #hidden = 0;

  /** Visible items. */
  get size(): number {
    return this.#byId.size;
  }

  /** Items behind another of their id. */
  get hidden(): number {
    return this.#hidden;
  }

  /** The visible item of an id. */
  get(id: string): Item | undefined {
    const found = this.#byId.get(id);
    return isOne(found) ? found : found[0];
  }

  isVisible(item: Item): boolean {
    return this.get(item.id) === item;
  }

  add(item: Item): ViewChange {
    const found = this.#byId.get(item.id);
    if (found === undefined) {
      this.#byId.set(item.id, item);
      return { type: "appeared", item };
    }
    const previous = isOne(found) ? found : found[0]!;
    this.#byId.set(item.id, [...(isOne(found) ? [found] : found), item].sort(compareItems));
    this.#hidden++;
    return compareItems(item, previous) < 0 ? { type: "replaced", item, previous } : { type: "hidden", item };
  }

  /** @param item one that was added */
  remove(item: Item): ViewChange {
    const found = this.#byId.get(item.id);
    if (isOne(found)) {
      this.#byId.delete(item.id);
      return { type: "vanished", item };
    }
    const left = found.filter((other) => other !== item);
    this.#byId.set(item.id, left.length === 1 ? left[0]! : left);
    this.#hidden--;
    return found[0] === item
      ? { type: "replaced", item: left[0]!, previous: item }
      : { type: "hidden", item };
  }
}

function isOne(found: Item | readonly Item[] | undefined): found is Item | undefined {
  return !Array.isArray(found);
}
