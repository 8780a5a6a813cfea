import { type Bound, compareBounds, END, START } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { add, digestOf, fingerprintOf, type Sum, subtract } from "../replica/item-set/sum.js";
import {
  completeOptions,
  MessageReader,
  MessageWriter,
  ReconcileError,
  type ReconcileOptions,
  VERSION,
} from "./message.js";
import { EMPTY_FINGERPRINT, ExtraItemSearch, Section, split } from "./section.js";
import { CELL_WORDS, CELLS_MAX, type Sketch } from "./sketch.js";
import { decodeAnswer, encodeAsk, SKETCH, type SketchAnswer } from "./sketch-message.js";

/** With so few items of ours we let the responder list its own instead of splitting further. */
const ASKED_ITEMS_MAX = 8;
/** Round trips without a range settled at the front. Splitting 2,000,000 items down to one takes some 10. */
const STALLED_TRIPS_MAX = 32;
/** Round trips of a whole round, beside those that the frame limit makes necessary. */
const TRIPS_MAX = 64;
/** Bytes that a round may move in frames: the ids of 4,000,000 items. */
const ROUND_BYTES_MAX = 128 * 1024 ** 2;
/** With fewer parts that differ there are few differences, or they lie close together: ranges find those with fewer bytes. */
const SKETCHED_PARTS_MIN = 4;
/** Cells asked for when so many did not do. */
const MORE_CELLS = 1.5;

export interface RoundOptions extends ReconcileOptions {
  /** Items before this instant (epoch ms) are left out on both sides; default: none. */
  readonly sinceMs?: number;
}

/** The result of one message of the responder. With a frame limit a digest may be told more than once in a round. */
export interface Step {
  /** The next message; absent: the round is over. */
  readonly reply?: Uint8Array;
  /** Digests that we have and the peer lacks. */
  readonly have: string[];
  /** Digests that the peer has and we lack. */
  readonly need: string[];
}

/** A set at the moment when the peer's sketch was asked for. */
interface Asked {
  readonly sketch: Sketch;
  readonly sum: Sum;
  readonly size: number;
  /** The next message about ranges. */
  readonly rangesNext: Uint8Array;
  readonly isFirst: boolean;
}

/**
 * The initiator's side of one reconciliation. The set may change between messages: each is answered from the set
 * as it is then, so what stays the same is told right, and what comes meanwhile may be found in the next round.
 */
export class Round {
  /** The means that found the differences. */
  means: "ranges" | "sketch" = "ranges";
  /** The peer's sketch came, and did not tell the differences. */
  hasSketchFailed = false;
  private readonly options: ReturnType<typeof completeOptions>;
  private readonly sketch: Sketch | undefined;
  private readonly tripsMax: number;
  private trips = 0;
  private progressTrip = 0;
  private isOver = false;
  /** Everything before it is settled, and not to be spoken of again. */
  private front: Bound;
  /** The request for the peer's sketch; kept until the sketch tells the differences, or fails to. */
  private asked: Asked | undefined;

  constructor(
    private readonly set: ItemSet,
    { sinceMs = 0, ...options }: RoundOptions = {},
  ) {
    this.options = completeOptions(options);
    // A sketch is of the whole set.
    this.sketch = sinceMs === 0 ? options.sketch : undefined;
    this.tripsMax = TRIPS_MAX + Math.ceil(ROUND_BYTES_MAX / this.options.frameBytesMax);
    this.front = { timestampMs: sinceMs, digest: "" };
  }

  /** The first message: one fingerprint of the whole window, so that equal sets cost next to nothing. */
  open(): Uint8Array {
    const writer = new MessageWriter(this.options.frameBytesMax);
    if (compareBounds(this.front, START) > 0) writer.skip(this.front);
    writer.fingerprint(END, this.set.fingerprint(this.front, END).fingerprint);
    return writer.finish(this.set);
  }

  /**
   * Takes the responder's answer to the last message.
   * @throws ReconcileError the answer is not one, or the round leads nowhere; the round is over then
   */
  take(message: Uint8Array): Step {
    if (this.isOver) throw new ReconcileError("wrongRange", "a message after the end of the round");
    this.isOver = true;
    if (this.asked) return this.takeSketch(message, this.asked);
    const reader = new MessageReader(message, this.options.messageBytesMax);
    if (reader.version !== VERSION) {
      throw new ReconcileError("unsupportedVersion", `the peer speaks version byte ${reader.version}`);
    }

    const writer = new MessageWriter(this.options.frameBytesMax);
    const search = new ExtraItemSearch();
    const have: string[] = [];
    const need: string[] = [];
    let lower = START;
    let differing = 0;
    for (const range of reader.ranges()) {
      if (range.mode === "skip") {
        writer.skip(range.to);
      } else {
        const section = this.unsettled(lower, range.to);
        if (range.mode === "fingerprint") {
          if (!search.takeRange()) {
            writer.stop();
            break;
          }
          if (range.fingerprint !== EMPTY_FINGERPRINT && range.fingerprint !== section.fingerprint)
            differing++;
          answerFingerprint(section, range.fingerprint, writer, search, have);
        } else {
          compareIds(section, range.ids, have, need);
          writer.skip(range.to);
        }
      }
      if (writer.isFull) break;
      lower = range.to;
    }
    if (writer.isEmpty) return { have, need };

    this.advance(writer.front);
    this.isOver = false;
    const reply = writer.finish(this.set);
    const isSpread = this.trips === 1 && differing >= SKETCHED_PARTS_MIN;
    return { reply: isSpread && this.sketch ? this.ask(this.sketch, reply) : reply, have, need };
  }

  /** Asks for the peer's sketch. @param rangesNext how the round goes on when that does not tell the differences */
  private ask(sketch: Sketch, rangesNext: Uint8Array, cellCount = 0): Uint8Array {
    const { size } = this.set;
    const isFirst = this.asked === undefined;
    this.asked = { sketch: sketch.copy(), sum: this.set.sum(0, size), size, rangesNext, isFirst };
    return encodeAsk(sketch, cellCount);
  }

  /** Takes the answer to `ask`. With too few cells one larger is asked for; after that the ranges go on. */
  private takeSketch(message: Uint8Array, asked: Asked): Step {
    if (message[0] !== SKETCH && (message[0] !== VERSION || message.length > 1))
      throw new ReconcileError("malformed", "neither a sketch nor the refusal of one");
    const answer = message[0] === SKETCH ? decodeAnswer(message) : undefined;
    const found = answer && stepOf(asked, answer);
    if (found) {
      this.means = "sketch";
      return found;
    }
    this.isOver = false;
    const cellCount = answer ? Math.ceil((answer.cells.length / CELL_WORDS) * MORE_CELLS) : 0;
    if (asked.isFirst && cellCount > 0 && cellCount <= CELLS_MAX)
      return { reply: this.ask(this.sketch!, asked.rangesNext, cellCount), have: [], need: [] };
    this.hasSketchFailed = answer !== undefined;
    this.asked = undefined;
    return { reply: asked.rangesNext, have: [], need: [] };
  }

  /** The ranges that an answer may contain: our last message skipped everything before `front`. */
  private unsettled(lower: Bound, to: Bound): Section {
    if (compareBounds(lower, this.front) < 0) {
      throw new ReconcileError("wrongRange", "the peer came back to a range that was settled");
    }
    return Section.between(this.set, lower, to);
  }

  /** Gives up on a peer that keeps the round alive without settling anything. */
  private advance(front: Bound): void {
    this.trips++;
    if (compareBounds(front, this.front) > 0) {
      this.front = front;
      this.progressTrip = this.trips;
    }
    if (this.trips - this.progressTrip > STALLED_TRIPS_MAX || this.trips > this.tripsMax) {
      throw new ReconcileError("noProgress", `not done after ${this.trips} round trips`);
    }
  }
}

/**
 * The changes that the peer's sketch tells. @returns undefined when the set with these changes would not have its
 * fingerprint
 */
function stepOf({ sketch, sum, size }: Asked, { cells, fingerprint }: SketchAnswer): Step | undefined {
  const found = sketch.differences(cells);
  if (!found) return undefined;
  const { ours, theirs } = found;
  for (const digest of ours) subtract(sum, digest);
  for (const digest of theirs) add(sum, digest);
  if (fingerprintOf(sum, size - ours.length + theirs.length) !== fingerprint) return undefined;
  return { have: ours.map(digestOf), need: theirs.map(digestOf) };
}

function answerFingerprint(
  section: Section,
  fingerprint: string,
  writer: MessageWriter,
  search: ExtraItemSearch,
  have: string[],
): void {
  const ours = section.fingerprint;
  if (fingerprint === ours) {
    writer.skip(section.to);
  } else if (fingerprint === EMPTY_FINGERPRINT) {
    for (const item of section.items()) have.push(item.digest);
    writer.skip(section.to);
  } else {
    const extra = search.find(section, fingerprint);
    if (extra !== undefined) {
      have.push(section.set.at(extra).digest);
      writer.skip(section.to);
    } else if (section.count <= ASKED_ITEMS_MAX) {
      // An id list of ours would be answered with the responder's, and both would travel. The same fingerprint
      // makes it list its own in as many round trips.
      writer.fingerprint(section.to, ours);
    } else {
      split(section, writer);
    }
  }
}

/** IdList: "a variable-length list of all IDs the sender has within the Range". */
function compareIds(section: Section, ids: readonly string[], have: string[], need: string[]): void {
  const theirs = new Set(ids);
  for (const { digest } of section.items()) {
    if (!theirs.delete(digest)) have.push(digest);
  }
  for (const digest of theirs) need.push(digest);
}
