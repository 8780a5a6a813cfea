import { topicOf } from "../../core/topic.js";
import type { Item } from "../broadcast.js";

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

export function rowOf(item: Item, arrivedAtMs: number | undefined): Row {
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
export function compareRows(a: Row, b: Row): number {
  return b.timestampMs - a.timestampMs || (a.digest < b.digest ? 1 : a.digest > b.digest ? -1 : 0);
}
