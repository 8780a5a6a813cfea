import { topicOf } from "../../core/topic.js";
import type { Item } from "../broadcast.js";

/** So many rows a browser draws and scrolls without effort. */
export const ROWS_MAX = 400;
/** Topics to choose from; the ones used longest ago make room. */
const TOPICS_MAX = 40;

/** The newest items, newest first: never more than ROWS_MAX of them, and of each no more than its row. */
export class Feed {
  #rows: Row[] = [];
  readonly #digests = new Set<string>();
  readonly #topics = new Set<string>();
  /** Items that came while the page watched. */
  arrived = 0;

  get rows(): readonly Row[] {
    return this.#rows;
  }

  get topics(): readonly string[] {
    return [...this.#topics].sort();
  }

  get isFull(): boolean {
    return this.#rows.length >= ROWS_MAX;
  }

  /** @param arrivedAtMs undefined for an item that was there before */
  add(item: Item, arrivedAtMs?: number): void {
    if (this.#digests.has(item.digest)) return;
    const row = rowOf(item, arrivedAtMs);
    if (row.topic !== undefined) this.#noteTopic(row.topic);
    if (arrivedAtMs !== undefined) this.arrived++;
    const at = this.#placeOf(row);
    if (at >= ROWS_MAX) return;
    this.#rows.splice(at, 0, row);
    this.#digests.add(row.digest);
    for (const old of this.#rows.splice(ROWS_MAX)) this.#digests.delete(old.digest);
  }

  remove(digest: string): void {
    if (!this.#digests.delete(digest)) return;
    this.#rows.splice(
      this.#rows.findIndex((row) => row.digest === digest),
      1,
    );
  }

  /**
   * Takes the newest items of the node in place of what is shown, and keeps what came since it was asked.
   * @param sinceMs when it was asked, by the page's clock
   * @param isBack the page showed items before: those that it did not are news
   */
  renew(items: readonly Item[], sinceMs: number, isBack: boolean): void {
    const known = new Map(this.#rows.map((row) => [row.digest, row]));
    const live = this.#rows.filter(({ arrivedAtMs }) => arrivedAtMs !== undefined && arrivedAtMs >= sinceMs);
    this.#rows = [];
    this.#digests.clear();
    for (const item of items)
      this.add(item, isBack && !known.has(item.digest) ? sinceMs : known.get(item.digest)?.arrivedAtMs);
    for (const row of live) {
      if (this.#digests.has(row.digest)) continue;
      this.#rows.push(row);
      this.#digests.add(row.digest);
    }
    this.#rows.sort(compareRows);
    for (const old of this.#rows.splice(ROWS_MAX)) this.#digests.delete(old.digest);
  }

  clear(): void {
    this.#rows = [];
    this.#digests.clear();
  }

  /** Rows before it. New ones nearly always belong to the front. */
  #placeOf(row: Row): number {
    let at = 0;
    while (at < this.#rows.length && compareRows(this.#rows[at]!, row) < 0) at++;
    return at;
  }

  #noteTopic(topic: string): void {
    this.#topics.delete(topic);
    this.#topics.add(topic);
    for (const oldest of this.#topics) {
      if (this.#topics.size <= TOPICS_MAX) return;
      this.#topics.delete(oldest);
    }
  }
}

/** An item as the list shows it. */
export interface Row {
  readonly id: string;
  readonly digest: string;
  readonly timestampMs: number;
  /** The start of its text. */
  readonly text: string;
  /** There is more of it. */
  readonly isCut: boolean;
  readonly topic: string | undefined;
  /** The public key of who signed it. */
  readonly author: string | undefined;
  /** When it came while the page watched, by the page's clock; undefined for what was there before. */
  readonly arrivedAtMs: number | undefined;
}

/** A row of the list, short enough for a screen: so the list takes a bounded memory, whatever its items are. */
const TEXT_LENGTH_MAX = 600;

function rowOf(item: Item, arrivedAtMs: number | undefined): Row {
  const { id, digest, timestampMs, raw, signature } = item;
  return {
    id,
    digest,
    timestampMs,
    text: raw.length <= TEXT_LENGTH_MAX ? raw : ownText(raw.slice(0, TEXT_LENGTH_MAX)),
    isCut: raw.length > TEXT_LENGTH_MAX,
    topic: topicOf(id),
    author: authorOf(signature),
    arrivedAtMs,
  };
}

/** A part of a text would keep the whole alive, up to 1 MB each; and a cut may have left half a character. */
function ownText(part: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(part.replace(/[\ud800-\udbff]$/, "")));
}

/** The public key in an Ed25519 signature; the other schemes name nobody. */
function authorOf(signature: string): string | undefined {
  return /^ed25519:([0-9a-f]{64}):/.exec(signature)?.[1];
}

/** Newest first; the digest decides between those of one instant. */
function compareRows(a: Row, b: Row): number {
  return b.timestampMs - a.timestampMs || (a.digest < b.digest ? 1 : a.digest > b.digest ? -1 : 0);
}
