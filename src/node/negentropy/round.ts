import { type Bound, compareBounds, END, START } from "../replica/item-set/bound.js";
import type { ItemSet } from "../replica/item-set/item-set.js";
import { ExtraItemSearch } from "./extra-item.js";
import { VERSION } from "./message.js";
import { MessageReader } from "./message-reader.js";
import { MessageWriter } from "./message-writer.js";
import { completeOptions, type ReconcileOptions } from "./options.js";
import { ReconcileError } from "./reconcile-error.js";
import { EMPTY_FINGERPRINT, Section } from "./section.js";
import { split } from "./split.js";

/** With so few items of ours we let the responder list its own instead of splitting further. */
const ASKED_ITEMS_MAX = 8;
/** Round trips without a range settled at the front. Splitting 2,000,000 items down to one takes some 10. */
const STALLED_TRIPS_MAX = 32;
/** Round trips of a whole round, beside those that the frame limit makes necessary. */
const TRIPS_MAX = 64;
/** Bytes that a round may move in frames: the ids of 4,000,000 items. */
const ROUND_BYTES_MAX = 128 * 1024 ** 2;

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

/**
 * The initiator's side of one reconciliation. The set may change between messages: each is answered from the set
 * as it is then, so what stays the same is told right, and what comes meanwhile may be found in the next round.
 */
export class Round {
  private readonly options: Required<ReconcileOptions>;
  private readonly tripsMax: number;
  private trips = 0;
  private progressTrip = 0;
  private isOver = false;
  /** Everything before it is settled, and not to be spoken of again. */
  private front: Bound;

  constructor(
    private readonly set: ItemSet,
    { sinceMs = 0, ...options }: RoundOptions = {},
  ) {
    this.options = completeOptions(options);
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
    const reader = new MessageReader(message, this.options.messageBytesMax);
    if (reader.version !== VERSION) {
      throw new ReconcileError("unsupportedVersion", `the peer speaks version byte ${reader.version}`);
    }

    const writer = new MessageWriter(this.options.frameBytesMax);
    const search = new ExtraItemSearch();
    const have: string[] = [];
    const need: string[] = [];
    let lower = START;
    for (const range of reader.ranges()) {
      if (range.mode === "skip") {
        writer.skip(range.to);
      } else {
        const section = this.unsettled(lower, range.to);
        if (range.mode === "fingerprint") {
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
    return { reply: writer.finish(this.set), have, need };
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
