import { LIMITS } from "../../core/limits.js";
import { hasTopic, topicOf } from "../../core/topic.js";
import { type HashKey, HashTable, KeyedHash } from "./held/hash-table.js";
import type { Item } from "./item.js";
import { type Bound, isBefore } from "./item-set/bound.js";
import { ItemSet } from "./item-set/item-set.js";

/** Topics of more items have a tree, which takes a kilobyte to begin with. */
const ARRAY_ITEMS_MAX = 128;

/**
 * The held items of each topic and of all below it, in their order: a list of a topic reads what it gives, however much is
 * held beside it (bench/topics.ts). An item is filed under its topic and each one above, with some 20 bytes for each, and
 * 60 to 80 more for each topic; of a topic deeper than `topicSegmentsIndexed` it gives the items of the one above that is not.
 */
export class TopicIndex {
  readonly #topics = new HashTable<TopicItems>((topic, name) => topic.isCalled(name));
  readonly #hash: KeyedHash;

  constructor(key: HashKey) {
    this.#hash = new KeyedHash(key);
  }

  /** @param place that of the item, its digest as text */
  add(item: Item, id: string, place: Bound): void {
    for (const name of topicsOf(id)) {
      const hash = this.#hash.of(name);
      const topic = this.#topics.get(hash, name);
      if (topic) topic.add(item, place);
      else this.#topics.set(hash, name, new TopicItems(name.length, item));
    }
  }

  /** @param item one that was added */
  remove(item: Item, id: string): void {
    for (const name of topicsOf(id)) {
      const hash = this.#hash.of(name);
      const topic = this.#topics.get(hash, name)!;
      // It is called by what is in it.
      if (topic.isOnly(item)) this.#topics.delete(hash, name);
      else topic.remove(item);
    }
  }

  /** Items of a topic and of all below it, from a bound up to but without another; the set may change meanwhile. */
  range(name: string, from: Bound, to: Bound): Iterable<Item> {
    return this.#indexed(name)?.range(from, to) ?? [];
  }

  /** The same, newest first. */
  rangeBack(name: string, from: Bound, to: Bound): Iterable<Item> {
    return this.#indexed(name)?.rangeBack(from, to) ?? [];
  }

  #indexed(name: string): TopicItems | undefined {
    const indexed = name.split("/", LIMITS.topicSegmentsIndexed).join("/");
    return this.#topics.get(this.#hash.of(indexed), indexed);
  }
}

/** Whether an item that the index gives for a topic is of that topic: of deeper ones than it has, some are not. */
export function topicFilter(topic: string | undefined): (item: Item) => boolean {
  const isIndexed = topic === undefined || topic.split("/").length <= LIMITS.topicSegmentsIndexed;
  return isIndexed ? () => true : ({ id }) => hasTopic(id, topic);
}

/** The items of one topic, of which most have few: one as it is, some in an array, and many in a tree. */
class TopicItems {
  #items: Item | readonly Item[] | ItemSet;

  /** @param length of its name, which is not kept: the ids of its items begin with it */
  constructor(
    private readonly length: number,
    item: Item,
  ) {
    this.#items = item;
  }

  isCalled(name: string): boolean {
    return name.length === this.length && this.#first.id.startsWith(name);
  }

  isOnly(item: Item): boolean {
    return this.#items === item || (this.#items instanceof ItemSet && this.#items.size === 1);
  }

  /** Arrays are made anew: who reads one goes on in it. */
  add(item: Item, place: Bound): void {
    if (this.#items instanceof ItemSet) {
      this.#items.insert(item, place);
      return;
    }
    const items = this.#array;
    if (items.length === ARRAY_ITEMS_MAX) this.#items = new ItemSet([...items, item]);
    else this.#items = items.toSpliced(rankIn(items, place), 0, item);
  }

  remove(item: Item): void {
    if (this.#items instanceof ItemSet) {
      this.#items.delete(item);
      return;
    }
    const left = this.#array.filter((other) => other !== item);
    this.#items = left.length === 1 ? left[0]! : left;
  }

  range(from: Bound, to: Bound): Iterable<Item> {
    if (this.#items instanceof ItemSet) return this.#items.range(from, to);
    const items = this.#array;
    return items.slice(rankIn(items, from), rankIn(items, to));
  }

  rangeBack(from: Bound, to: Bound): Iterable<Item> {
    if (this.#items instanceof ItemSet) return this.#items.rangeBack(from, to);
    return [...this.range(from, to)].reverse();
  }

  get #first(): Item {
    if (this.#items instanceof ItemSet) return this.#items.first()!;
    return this.#array[0]!;
  }

  get #array(): readonly Item[] {
    return Array.isArray(this.#items) ? this.#items : [this.#items as Item];
  }
}

/** How many items of an array lie before the bound. */
function rankIn(items: readonly Item[], bound: Bound): number {
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isBefore(items[middle]!, bound)) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** The topic of an id and those above it, as far as they are indexed; without a topic none. */
function topicsOf(id: string): readonly string[] {
  const names: string[] = [];
  if (topicOf(id) === undefined) return names;
  for (
    let end = id.indexOf("/");
    end > 0 && names.length < LIMITS.topicSegmentsIndexed;
    end = id.indexOf("/", end + 1)
  )
    names.push(id.slice(0, end));
  return names;
}
