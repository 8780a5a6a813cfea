import { Sketch } from "../negentropy/sketch.js";
import { type HashKey, HashTable, KeyedHash } from "./held/hash-table.js";
import { type HeldItem, ItemMemory } from "./held/held-item.js";
import { compareItems, encodedLength, type Item } from "./item.js";
import type { Bound } from "./item-set/bound.js";
import { ItemSet } from "./item-set/item-set.js";
import { type Fingerprint, readDigestOf, zeroSum } from "./item-set/sum.js";
import { TopicIndex } from "./topic-index.js";

/** The start of the fingerprint window moves in steps of a minute, or, with a short retention, of a tenth of it. */
const STEP_MS_MAX = 60_000;
const STEP_MS_MIN = 1_000;
/** Items in the window outlive a summary: the time until the next one, and its way. */
const GUARD_MS_MIN = 2_000;
/** With fewer items ranges are as good, and the sketch, of 130 kB, would be larger than they are. */
const SKETCHED_ITEMS_MIN = 256;

/**
 * Everything a node holds: the replicated set, its indexes by digest and by topic, and the view that users see. Items are
 * kept as `HeldItem`, and one digest is always the same object.
 */
export class Holdings {
  readonly set = new ItemSet();
  readonly view: View;
  readonly #byDigest = new HashTable<HeldItem>((item, digest) => item.hasDigest(digest));
  readonly #topics: TopicIndex;
  readonly #memory = new ItemMemory((digest) => this.byDigest(digest));
  readonly #hash: KeyedHash;
  readonly #term = zeroSum();
  #sketch: Sketch | undefined;
  #bytes = 0;

  /** @param key any numbers, best such as nobody outside knows: then nobody can make look-ups slow */
  constructor(key: HashKey = [0, 0]) {
    this.#hash = new KeyedHash(key);
    this.view = new View(key);
    this.#topics = new TopicIndex(key);
  }

  /** Items held, the hidden ones too. */
  get size(): number {
    return this.set.size;
  }

  /** Bytes of their canonical encodings. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of the whole set; absent while it is small. */
  get sketch(): Sketch | undefined {
    return this.#sketch;
  }

  has(digest: string): boolean {
    return this.byDigest(digest) !== undefined;
  }

  byDigest(digest: string): HeldItem | undefined {
    return this.#byDigest.get(this.#hash.ofDigest(digest), digest);
  }

  /** @param item verified, and its digest is not held */
  add(item: Item): ViewChange {
    const { id, digest } = item;
    const held = this.#memory.hold(item);
    this.#byDigest.set(this.#hash.ofDigest(digest), digest, held);
    this.set.insert(held, item);
    this.#sketchAdd(held);
    this.#topics.add(held, id, item);
    this.#bytes += encodedLength(held);
    return this.view.add(held, id);
  }

  /** @param item one that is held, or a copy of it */
  remove(item: Item): ViewChange {
    const { id, digest } = item;
    const held = this.#byDigest.delete(this.#hash.ofDigest(digest), digest)!;
    this.set.delete(held);
    this.#sketch?.remove(held.readDigest(this.#term));
    this.#bytes -= encodedLength(held);
    this.#topics.remove(held, id);
    const change = this.view.remove(held, id);
    this.#memory.release(held);
    return change;
  }

  /** @param held in the set already */
  #sketchAdd(held: HeldItem): void {
    if (this.#sketch) this.#sketch.add(held.readDigest(this.#term));
    else if (this.size >= SKETCHED_ITEMS_MIN) {
      this.#sketch = new Sketch();
      for (const item of this.set) this.#sketch.add(readDigestOf(item, this.#term));
    }
  }

  /** Count and fingerprint of the held items stamped from `sinceMs` on and, with `untilMs`, before it. */
  fingerprint(sinceMs: number, untilMs = Number.POSITIVE_INFINITY): Fingerprint {
    return this.set.fingerprint(startOf(sinceMs), startOf(untilMs));
  }

  /**
   * Visible items in order, from a bound on, all or those of a topic (see `topicFilter`); the set may change meanwhile.
   */
  *visible(
    from: Bound,
    untilMs = Number.POSITIVE_INFINITY,
    topic?: string,
  ): Generator<Item, void, undefined> {
    const to = startOf(untilMs);
    for (const item of topic === undefined ? this.set.range(from, to) : this.#topics.range(topic, from, to)) {
      if (this.view.isVisible(item)) yield item;
    }
  }

  /** Visible items before a bound, newest first, all or those of a topic; the set may change meanwhile. */
  *visibleBack(to: Bound, sinceMs: number, topic?: string): Generator<Item, void, undefined> {
    const from = startOf(sinceMs);
    const items =
      topic === undefined ? this.set.rangeBack(from, to) : this.#topics.rangeBack(topic, from, to);
    for (const item of items) {
      if (this.view.isVisible(item)) yield item;
    }
  }
}

/** The place before everything stamped at that instant. */
export function startOf(timestampMs: number): Bound {
  return { timestampMs, digest: "" };
}

/** The place right behind an item: its digest and the least digit more. */
export function behind(item: Item): Bound {
  return { timestampMs: item.timestampMs, digest: `${item.digest}0` };
}

/**
 * The start of the fingerprint window. It moves in steps, so that it is the same instant on all nodes for a while, and is
 * so late that nothing in the window expires while it is compared: half a step at least, one and a half at most, after
 * what expires now (protocol.md#membership). With a retention under 5 s nothing is left that could be compared.
 */
export function fingerprintSince(nowMs: number, retentionMs: number): number {
  const tenthMs = Math.floor(retentionMs / 10 / STEP_MS_MIN) * STEP_MS_MIN;
  const stepMs = Math.min(STEP_MS_MAX, Math.max(STEP_MS_MIN, tenthMs));
  const guardMs = Math.max(stepMs / 2, GUARD_MS_MIN);
  return Math.max(0, (Math.floor((nowMs - retentionMs + guardMs) / stepMs) + 1) * stepMs);
}

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
