import { START } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import {
  completeOptions,
  ID_BYTES,
  MessageReader,
  MessageWriter,
  type ReconcileOptions,
  VERSION,
} from "./message.js";
import { EMPTY_FINGERPRINT, ExtraItemSearch, Section, split } from "./section.js";
import { answerBytes, cellsAsked, encodeAnswer, SKETCH } from "./sketch-message.js";

/** Up to so many items are listed: to split them on would cost as many bytes, and a round trip. */
const LISTED_ITEMS_MAX = 16;

/**
 * Answers one message of an initiator. Nothing is kept between messages: each is answered from the set as it is now.
 * @returns the answer, at most frameBytesMax long; a single byte when nothing differs
 * @throws ReconcileError truncated, malformed, outOfOrder, tooLong
 */
export function respond(set: ItemSet, message: Uint8Array, options: ReconcileOptions = {}): Uint8Array {
  const { frameBytesMax, messageBytesMax } = completeOptions(options);
  const reader = new MessageReader(message, messageBytesMax);
  const { sketch } = options;
  if (reader.version === SKETCH && sketch) {
    const cellCount = cellsAsked(message, sketch);
    // Where it would be longer than all ids, the set is small, or too much differs.
    if (answerBytes(cellCount) <= Math.min(frameBytesMax, set.size * ID_BYTES))
      return encodeAnswer(sketch, cellCount, set.fingerprint().fingerprint);
  }
  // "It should reply with a single byte containing the highest protocol version it supports."
  if (reader.version !== VERSION) return Uint8Array.of(VERSION);

  const writer = new MessageWriter(frameBytesMax);
  const search = new ExtraItemSearch();
  let lower = START;
  let rank: number | undefined;
  for (const range of reader.ranges()) {
    if (range.mode === "skip") {
      writer.skip(range.to);
      rank = undefined;
    } else {
      const section = Section.between(set, lower, range.to, rank);
      rank = section.until;
      // An initiator that lists its ids wants to see ours.
      if (range.mode === "ids") list(section, writer);
      else if (search.takeRange()) answerFingerprint(section, range.fingerprint, writer, search);
      else writer.stop();
    }
    if (writer.isFull) break;
    lower = range.to;
  }
  return writer.finish(set);
}

function answerFingerprint(
  section: Section,
  fingerprint: string,
  writer: MessageWriter,
  search: ExtraItemSearch,
): void {
  if (section.fingerprint === fingerprint) {
    writer.skip(section.to);
  } else if (section.count === 0 || fingerprint === EMPTY_FINGERPRINT) {
    // Where one side has nothing there is nothing to compare: the initiator needs our ids, none or all.
    list(section, writer);
  } else {
    const extra = search.find(section, fingerprint);
    if (extra !== undefined) listAlone(section, extra, writer);
    else if (section.count <= LISTED_ITEMS_MAX) list(section, writer);
    else split(section, writer);
  }
}

/** Lists all ids, or as many as fit. */
function list(section: Section, writer: MessageWriter): void {
  const { idsMax } = writer;
  if (section.count <= idsMax) {
    writer.ids(section.to, section.items());
    return;
  }
  if (idsMax > 0) {
    const head = section.head(idsMax);
    writer.ids(head.to, head.items());
  }
  writer.stop();
}

/** Lists one item in the narrowest range around it, where the initiator has none. */
function listAlone(section: Section, rank: number, writer: MessageWriter): void {
  if (rank > section.from) writer.skip(section.boundAt(rank));
  writer.ids(section.boundAt(rank + 1), [section.set.at(rank)]);
  writer.skip(section.to);
}
