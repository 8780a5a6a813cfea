import { hash } from "node:crypto";
import { LIMITS } from "../core/limits.js";
import { decodeBatch } from "../node/replica/batch.js";
import type { Decoding, Verification } from "../node/replica/inbox.js";
import { type Item, ItemDecodeError } from "../node/replica/item.js";
import { decodeRecord, type MemberRecord, partsOf, type Sign, signedBytes } from "../node/replica/member.js";
import { verifySignature } from "../node/replica/signature.js";
import { decodeFrame, encodeFrame, type Frame, payloadOf } from "../node/replica/wire.js";
import type { Dice } from "./dice.js";

/** Longer lists of records are handed over as they are, not as bytes. */
const RECORDS_READ_MAX = 2;
const RECORD_KEY_BYTES = 16;

/** Of such a frame without its records. */
const RECORDS_FRAME_BYTES = 24;
/** Stands for bytes that nobody reads. */
const ZEROS = new ArrayBuffer(LIMITS.peerFrameBytesMax);

/** Bytes on their way, and the frame that they are, once somebody has read it: one batch reaches many. */
interface Sent extends Uint8Array<ArrayBufferLike> {
  frame?: Frame;
}

/** The facts about one item that was ever seen in the world. */
export interface ItemRecord {
  readonly item: Item;
  /** Its signature is good. */
  readonly valid: boolean;
  /** When the first node accepted it from a client; absent: none did. */
  acceptedAtMs?: number;
  /** When the last of the nodes that were up at that instant came to hold it. */
  heldAtMs: number;
  /** Hosts whose storage keeps it. 0 after an acceptance: the last one was lost, and nobody can be blamed. */
  keepers: number;
  /** No longer asked about: expired, or lost with the last host that kept it. */
  excused: boolean;
}

/**
 * Reads and verifies what nodes send each other as a node does, through the real decoders and the real check of items; but
 * everything once per world, not once per node, and all nodes share one object per item and record. That is what lets 10,000
 * nodes fit into one process.
 */
export class Known implements Verification, Decoding {
  readonly isOverloaded = false;
  readonly #items = new Map<string, ItemRecord>();
  readonly #batches = new WeakMap<Uint8Array, readonly Item[] | ItemDecodeError>();
  readonly #records = new Map<string, MemberRecord>();
  readonly #recordOf = new WeakMap<Uint8Array, MemberRecord>();
  readonly #valid = new WeakMap<MemberRecord, boolean>();

  /** Every item that was ever seen. */
  all(): IterableIterator<ItemRecord> {
    return this.#items.values();
  }

  of(item: Item): ItemRecord {
    let record = this.#items.get(item.digest);
    if (!record) {
      record = { item, valid: verifySignature(item), heldAtMs: 0, keepers: 0, excused: false };
      this.#items.set(item.digest, record);
    }
    return record;
  }

  byDigest(digest: string): ItemRecord | undefined {
    return this.#items.get(digest);
  }

  /** @returns the bytes that travel */
  encode(frame: Frame): Uint8Array {
    if (frame.t !== "records" || frame.records.length <= RECORDS_READ_MAX) return encodeFrame(frame);
    // Most records travel in lists: written and read back for each receiver they would take half of a large world's time.
    const length = frame.records.reduce((sum, { length }) => sum + length + 3, RECORDS_FRAME_BYTES);
    const bytes: Sent = new Uint8Array(ZEROS, 0, length + frame.want.length);
    bytes.frame = frame;
    return bytes;
  }

  frame(bytes: Sent): Frame {
    bytes.frame ??= decodeFrame(bytes);
    return bytes.frame;
  }

  items(of: readonly Item[]): readonly boolean[];
  items(of: Parameters<Decoding["items"]>[0]): readonly Item[];
  items(of: readonly Item[] | Parameters<Decoding["items"]>[0]): readonly boolean[] | readonly Item[] {
    if (!("t" in of)) return of.map((item) => this.of(item).valid);
    const bytes = of.t === "batch" ? of.bytes : of.batch;
    return once<readonly Item[], ItemDecodeError>(this.#batches, bytes, ItemDecodeError, () =>
      decodeBatch(of.t === "batch" ? payloadOf(of) : bytes).map((item) => this.of(item).item),
    );
  }

  record(bytes: Uint8Array): MemberRecord | undefined;
  record(record: MemberRecord): boolean;
  record(of: Uint8Array | MemberRecord): MemberRecord | undefined | boolean {
    if (!(of instanceof Uint8Array)) return this.#isSigned(of);
    let record = this.#recordOf.get(of);
    if (record) return record;
    // A signature is 64 bytes that look like dice: few of them tell records apart.
    const key = Buffer.from(of.buffer, of.byteOffset, Math.min(of.length, RECORD_KEY_BYTES)).toString(
      "latin1",
    );
    record = this.#records.get(key);
    if (!record || Buffer.compare(record.bytes, of) !== 0) record = decodeRecord(of);
    if (!record) return undefined;
    this.#records.set(key, record);
    this.#recordOf.set(of, record);
    this.#recordOf.set(record.bytes, record);
    return record;
  }

  /** A record that was spoken of at any time. */
  anyRecord(dice: Dice): MemberRecord | undefined {
    return dice.pick([...this.#records.values()]);
  }

  /** Stands in for the signature of a member: nobody in a world forges one, and a real one takes 0.2 ms. */
  sign(id: string): Sign {
    return (bytes) => hash("sha512", Buffer.concat([Buffer.from(id), bytes]), "buffer");
  }

  #isSigned(record: MemberRecord): boolean {
    let valid = this.#valid.get(record);
    if (valid === undefined) {
      const { payload, signature } = partsOf(record);
      const expected = this.sign(record.id)(signedBytes("simulated", payload));
      valid = Buffer.from(expected).equals(signature);
      this.#valid.set(record, valid);
    }
    return valid;
  }
}

/** Decodes what was not decoded before. An error is thrown each time, as a node would meet it. */
function once<T, E extends Error>(
  known: WeakMap<Uint8Array, T | E>,
  bytes: Uint8Array,
  fault: new (message: string) => E,
  decode: () => T,
): T {
  let result = known.get(bytes);
  if (result === undefined) {
    try {
      result = decode();
    } catch (error) {
      if (!(error instanceof fault)) throw error;
      result = error;
    }
    known.set(bytes, result);
  }
  if (result instanceof fault) throw result;
  return result as T;
}
