import { hash } from "node:crypto";
import { LIMITS } from "../core/limits.js";
import type { Decoding, Verification } from "../node/replica/inbox.js";
import { decodeBatch, type Item, ItemDecodeError } from "../node/replica/item.js";
import { decodeRecord, type MemberRecord, partsOf, type Sign, signedBytes } from "../node/replica/member.js";
import { verifySignature } from "../node/replica/signature.js";
import { decodeFrame, encodeFrame, type Frame, payloadOf } from "../node/replica/wire.js";
import type { Dice } from "./determinism.js";

/** Longer lists of records are passed as objects, without encoding. */
const RECORDS_READ_MAX = 2;
const RECORD_KEY_BYTES = 16;

/** The size of such a frame without its records. */
const RECORDS_FRAME_BYTES = 24;
/** A placeholder for bytes that are never read. */
const ZEROS = new ArrayBuffer(LIMITS.peerFrameBytesMax);

/**
 * Bytes of a frame, of items, or of a record, with what they say once one receiver has read them: a batch has many
 * receivers.
 */
interface Sent extends Uint8Array<ArrayBufferLike> {
  frame?: Frame;
  items?: readonly Item[] | ItemDecodeError;
  record?: MemberRecord;
  isSigned?: boolean;
}

/** The facts about one item that was ever seen in the world. */
export interface ItemRecord {
  readonly item: Item;
  /** Its signature is good. */
  readonly valid: boolean;
  /** When the first node accepted it from a client; absent: none did. */
  acceptedAtMs?: number;
  /** When the last of the nodes that were up at that instant received it. */
  heldAtMs: number;
  /** Hosts whose storage has it. 0 after an acceptance: the last copy is lost, which is no fault of a node. */
  keepers: number;
  /** No longer checked: it has expired, or was lost with the last host that stored it. */
  excused: boolean;
}

/**
 * Decodes and verifies the frames between nodes with the real decoders and the real check of items, but once per world
 * instead of once per node. All nodes share one object per item and record, so that 10,000 nodes fit into one process.
 */
export class Known implements Verification, Decoding {
  readonly isOverloaded = false;
  readonly #items = new Map<string, ItemRecord>();
  readonly #records = new Map<string, MemberRecord>();

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
    // Most records travel in lists. Encoding and decoding them for each receiver would take half of a large world's time.
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
    const bytes: Sent = of.t === "batch" ? of.bytes : of.batch;
    bytes.items ??= this.#decode(of.t === "batch" ? payloadOf(of) : bytes);
    // Each node meets the error.
    if (bytes.items instanceof ItemDecodeError) throw bytes.items;
    return bytes.items;
  }

  record(bytes: Uint8Array): MemberRecord | undefined;
  record(record: MemberRecord): boolean;
  record(of: Sent | MemberRecord): MemberRecord | undefined | boolean {
    if (!(of instanceof Uint8Array)) return this.#isSigned(of);
    if (of.record) return of.record;
    // A signature is 64 bytes that look random: its first bytes identify a record.
    const key = Buffer.from(of.buffer, of.byteOffset, Math.min(of.length, RECORD_KEY_BYTES)).toString(
      "latin1",
    );
    let record = this.#records.get(key);
    if (!record || Buffer.compare(record.bytes, of) !== 0) record = decodeRecord(of);
    if (!record) return undefined;
    this.#records.set(key, record);
    of.record = record;
    (record.bytes as Sent).record = record;
    return record;
  }

  /** Any record that was ever sent. */
  anyRecord(dice: Dice): MemberRecord | undefined {
    return dice.pick([...this.#records.values()]);
  }

  /** Replaces the signature of a member: no node of a world forges one, and a real one takes 0.2 ms. */
  sign(id: string): Sign {
    return (bytes) => hash("sha512", Buffer.concat([Buffer.from(id), bytes]), "buffer");
  }

  #isSigned(record: MemberRecord): boolean {
    const bytes: Sent = record.bytes;
    if (bytes.isSigned === undefined) {
      const { payload, signature } = partsOf(record);
      const expected = this.sign(record.id)(signedBytes("simulated", payload));
      bytes.isSigned = Buffer.from(expected).equals(signature);
    }
    return bytes.isSigned;
  }

  #decode(batch: Uint8Array): readonly Item[] | ItemDecodeError {
    try {
      return decodeBatch(batch).map((item) => this.of(item).item);
    } catch (error) {
      if (error instanceof ItemDecodeError) return error;
      throw error;
    }
  }
}
