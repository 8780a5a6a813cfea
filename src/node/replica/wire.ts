import { hash } from "node:crypto";
import { decode, encode } from "cborg";
import { packHex, unpackHex } from "../../core/buffers.js";
import { LIMITS } from "../../core/limits.js";
import { encodeBatch, type Item } from "./item.js";
import { HASH_BYTES, type HoldingsSummary, isAddresses, packHashes, unpackHashes } from "./member.js";

/**
 * The frames of a link. Each is one CBOR map, except batches (docs/protocol.md#frames).
 * `t` names the type; instants are epoch ms; digests travel as 32 bytes each, back to back.
 */
export type Frame =
  | HelloFrame
  | ({ readonly t: "summary" } & HoldingsSummary)
  | { readonly t: "ping"; readonly atMs: number; readonly roster: string }
  | { readonly t: "pong"; readonly atMs: number; readonly nowMs: number }
  /** Members that the receiver may link with. `release`: the link ends by choice, and they stand in for it. */
  | { readonly t: "refer"; readonly peers: readonly PeerAddresses[]; readonly release: boolean }
  /** Hash, incarnation (6 bytes) of every member in the sender's roster; with `part` of some, of which it has news. */
  | { readonly t: "roster"; readonly members: Uint8Array; readonly part: boolean }
  /** Records that the receiver may lack, and hashes of those that the sender lacks. */
  | {
      readonly t: "records";
      readonly records: readonly Uint8Array[];
      /** Hashes of members among these that the sender lists as lost. */
      readonly lost: Uint8Array;
      readonly want: Uint8Array;
    }
  | BatchFrame
  /** Ids of batches that the sender has, 16 bytes each. */
  | { readonly t: "announce"; readonly ids: Uint8Array }
  /** Asks for a batch that was announced, and for all later ones without announcement. */
  | { readonly t: "graft"; readonly id: Uint8Array }
  /** Later batches need only be announced. */
  | { readonly t: "prune" }
  | BeaconFrame
  /** The batch that was asked for cannot be given. */
  | { readonly t: "gone"; readonly id: Uint8Array }
  | AnswersFrame
  | { readonly t: "reconcile"; readonly round: number; readonly message: Uint8Array }
  | { readonly t: "reconciled"; readonly round: number; readonly message: Uint8Array }
  | { readonly t: "roundDone"; readonly round: number }
  | { readonly t: "have"; readonly digests: Uint8Array }
  | { readonly t: "want"; readonly digests: Uint8Array }
  | ItemsFrame;

/** Version of the frames; peers of another one are not talked to. */
export const PROTOCOL_VERSION = 2;

/** The first frame either side sends. Of one of another version only `t` and `v` are sure to be there. */
export interface HelloFrame {
  readonly t: "hello";
  readonly v: number;
  readonly cluster: string;
  /** The sender's own record. */
  readonly record: Uint8Array;
  readonly nowMs: number;
  /** Still without a first reconciliation: such a node opens the round. */
  readonly starting: boolean;
  /** Links that the sender has, this one left out. */
  readonly links: number;
  /** The sender has another link with the receiver, up or still opening. */
  readonly linked: boolean;
  /** Fingerprint of the sender's roster, 16 hex digits. */
  readonly roster: string;
}

/** Frames that one member sends to another by a broker. */
export type ToldFrame = Extract<
  Frame,
  { readonly t: "answers" | "reconcile" | "reconciled" | "roundDone" | "have" | "want" }
>;

const TOLD = new Set<Frame["t"]>(["answers", "reconcile", "reconciled", "roundDone", "have", "want"]);

export function isTold(frame: Frame): frame is ToldFrame {
  return TOLD.has(frame.t);
}

/** The news of a leader to all members, as encoded. */
export interface NewsMessage {
  readonly records: readonly Uint8Array[];
  /** Members that hold something else than before, or are back. */
  readonly held: readonly HeldNews[];
  /** Hashes of members whose records are not renewed any more. */
  readonly lost: readonly string[];
  /** Fingerprint of the leader's roster. */
  readonly roster: string;
}

/** The summary of one member, by its hash. */
export interface HeldNews {
  readonly hash: string;
  readonly summary: HoldingsSummary;
  /** Its clock when this is sent, epoch ms; 0 where that is not known. */
  readonly clockMs: number;
}

/** The content of a gossiped batch: items, or a question to all. */
export type BatchKind = "items" | "question";

/** One gossiped batch. Its bytes are forwarded as they came, and its id is their hash. */
export interface BatchFrame {
  readonly t: "batch";
  /** 32 hex digits: the first 16 bytes of the SHA-256 of `bytes`. */
  readonly id: string;
  readonly kind: BatchKind;
  /** The whole frame: one byte for the kind, then the payload. */
  readonly bytes: Uint8Array;
}

/** Answers to a question, on the link by which it came, of the sender and of those behind it. */
export interface AnswersFrame {
  readonly t: "answers";
  /** Id of the batch that asked. */
  readonly question: Uint8Array;
  /** Hash of a member and index of a digest in the question (u16), for each item that a member holds. */
  readonly held: Uint8Array;
  /** The same, for each item that a member does not take. */
  readonly refused: Uint8Array;
  /**
   * Hash of a member, count (u32) of its items from the start asked for on, fingerprint (16 bytes) of those in the
   * window.
   */
  readonly counts: Uint8Array;
}

/** Passed on once on every link, where the roster is a sample: its ways are the tree of gossip. */
export interface BeaconFrame {
  readonly t: "beacon";
  /** Hash of the member that sent it, which has the smallest hash of all. */
  readonly root: string;
  /** Grows with each. */
  readonly number: number;
}

/**
 * The answer to one `want`: it covers the first `served` digests asked for; the sender no longer holds those that are
 * not in the batch.
 */
export interface ItemsFrame {
  readonly t: "items";
  readonly served: number;
  readonly batch: Uint8Array;
}

export interface PeerAddresses {
  readonly id: string;
  readonly addresses: readonly string[];
}

/** A question to all members. */
export type Question =
  /** Asks for the holders of these items. With a window, members also answer as to `count`. @see AnswersFrame.held */
  | {
      readonly t: "held";
      readonly asker: string;
      readonly number: number;
      readonly digests: Uint8Array;
      readonly sinceMs?: number;
      readonly untilMs?: number;
    }
  /** How many items from `sinceMs` on, and which of them before `untilMs`? */
  | {
      readonly t: "count";
      readonly asker: string;
      readonly number: number;
      readonly sinceMs: number;
      readonly untilMs: number;
    };

/** A frame that is none of ours, or breaks a bound. */
export class FrameDecodeError extends Error {
  override readonly name = "FrameDecodeError";
}

export const BATCH_ID_BYTES = 16;
export const HELD_BYTES = HASH_BYTES + 2;
export const COUNT_BYTES = HASH_BYTES + 4 + 16;
export const ROSTER_ENTRY_BYTES = HASH_BYTES + 6;
const HELD_NEWS_BYTES = HASH_BYTES + 4 + 6 + 6 + 16 + 16 + 6;

/** First byte of a batch frame; a CBOR map begins with 0xa0 or more. */
const KINDS: readonly BatchKind[] = ["items", "question"];

/** Makes a batch frame of a payload, which is copied. */
export function batchFrame(kind: BatchKind, payload: Uint8Array): BatchFrame {
  const bytes = Buffer.allocUnsafeSlow(1 + payload.length);
  bytes[0] = 1 + KINDS.indexOf(kind);
  bytes.set(payload, 1);
  return { t: "batch", id: batchId(bytes), kind, bytes };
}

/** The content of a batch, without the byte for its kind. */
export function payloadOf({ bytes }: BatchFrame): Uint8Array {
  return bytes.subarray(1);
}

function batchId(bytes: Uint8Array): string {
  return hash("sha256", bytes).slice(0, 2 * BATCH_ID_BYTES);
}

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.t) {
    case "batch":
      return frame.bytes;
    case "items":
      return encodeItemsFrame(frame);
    default:
      return encode(frame);
  }
}

/** @throws FrameDecodeError when the bytes are no frame of `Frame` */
export function decodeFrame(bytes: Uint8Array): Frame {
  const kind = KINDS[bytes[0]! - 1];
  if (kind) return { t: "batch", id: batchId(bytes), kind, bytes };
  const frame = decodeMap(bytes);
  if (frame.t === "hello" && whole(frame.v) && frame.v !== PROTOCOL_VERSION)
    return frame as unknown as HelloFrame;
  const shape = typeof frame.t === "string" ? SHAPES[frame.t] : undefined;
  if (!shape) throw new FrameDecodeError("the frame has no known type");
  for (const [field, accepts] of Object.entries(shape)) {
    if (!accepts(frame[field]))
      throw new FrameDecodeError(`"${field}" of a ${frame.t} frame is not what it must be`);
  }
  return frame as unknown as Frame;
}

export function encodeQuestion(question: Question): Uint8Array {
  return encode(question);
}

/** @throws FrameDecodeError when the bytes are no question */
export function decodeQuestion(bytes: Uint8Array): Question {
  const question = decodeMap(bytes);
  const { sinceMs, untilMs } = question;
  const hasWindow = whole(sinceMs) && whole(untilMs);
  const isQuestion =
    text(128)(question.asker) &&
    whole(question.number) &&
    (question.t === "held"
      ? digests(question.digests) && (hasWindow || (sinceMs === undefined && untilMs === undefined))
      : question.t === "count" && hasWindow);
  if (!isQuestion) throw new FrameDecodeError("the question is none that this version knows");
  return question as unknown as Question;
}

/** Records back to back, as members publish them by a broker. */
export function encodeRecords(records: readonly { readonly bytes: Uint8Array }[]): Uint8Array {
  return encode(records.map(({ bytes }) => bytes));
}

/** @throws FrameDecodeError when the bytes are no list of byte strings */
export function decodeRecords(bytes: Uint8Array): readonly Uint8Array[] {
  const value = decodeAny(bytes);
  if (!list(isBytes, LIMITS.recordsPerFrameMax)(value)) throw new FrameDecodeError("the records are no list");
  return value as readonly Uint8Array[];
}

export function encodeNews({ lost, held, ...rest }: NewsMessage): Uint8Array {
  return encode({ ...rest, lost: packHashes(lost), held: Buffer.concat(held.map(packHeld)) });
}

/** @throws FrameDecodeError when the bytes are no news */
export function decodeNews(bytes: Uint8Array): NewsMessage {
  const { records, held, lost, roster: fingerprint } = decodeMap(bytes);
  const isNews =
    list(isBytes, LIMITS.recordsPerFrameMax)(records) &&
    packed(HELD_NEWS_BYTES, LIMITS.rosterMembersMax + 1)(held) &&
    packed(HASH_BYTES, LIMITS.rosterMembersMax)(lost) &&
    hash64(fingerprint);
  if (!isNews) throw new FrameDecodeError("the news are none that this version knows");
  return {
    records: records as Uint8Array[],
    held: unpackHeld(held as Uint8Array),
    lost: unpackHashes(lost as Uint8Array),
    roster: fingerprint as string,
  };
}

/** Hash, count (u32), start and end (6 bytes each), both fingerprints (16 bytes each), clock (6 bytes). */
function packHeld({ hash, summary, clockMs }: HeldNews): Buffer {
  const { count, sinceMs, settledMs, fingerprint, settledFingerprint } = summary;
  const entry = Buffer.alloc(HELD_NEWS_BYTES);
  entry.write(hash, "hex");
  entry.writeUInt32BE(count, HASH_BYTES);
  entry.writeUIntBE(sinceMs, HASH_BYTES + 4, 6);
  entry.writeUIntBE(settledMs, HASH_BYTES + 10, 6);
  entry.write(fingerprint + settledFingerprint, HASH_BYTES + 16, "hex");
  entry.writeUIntBE(clockMs, HASH_BYTES + 48, 6);
  return entry;
}

function unpackHeld(packed: Uint8Array): HeldNews[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / HELD_NEWS_BYTES }, (_, entry) => {
    const at = entry * HELD_NEWS_BYTES;
    const rest = at + HASH_BYTES;
    return {
      hash: bytes.toString("hex", at, rest),
      summary: {
        count: bytes.readUInt32BE(rest),
        sinceMs: bytes.readUIntBE(rest + 4, 6),
        settledMs: bytes.readUIntBE(rest + 10, 6),
        fingerprint: bytes.toString("hex", rest + 16, rest + 32),
        settledFingerprint: bytes.toString("hex", rest + 32, rest + 48),
      },
      clockMs: bytes.readUIntBE(rest + 48, 6),
    };
  });
}

function decodeMap(bytes: Uint8Array): Record<string, unknown> {
  const value = decodeAny(bytes);
  if (!isMap(value)) throw new FrameDecodeError("the frame is no map");
  return value;
}

function decodeAny(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, { allowIndefinite: false, allowUndefined: false });
  } catch (cause) {
    throw new FrameDecodeError("the frame is not CBOR", { cause });
  }
}

type Accepts = (value: unknown) => boolean;

const text =
  (charactersMax: number): Accepts =>
  (value) =>
    typeof value === "string" && value.length <= charactersMax;
const whole: Accepts = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const flag: Accepts = (value) => typeof value === "boolean";
const isBytes: Accepts = (value) => value instanceof Uint8Array;
const packed =
  (bytesEach: number, most: number): Accepts =>
  (value) =>
    value instanceof Uint8Array && value.length % bytesEach === 0 && value.length <= bytesEach * most;
const one =
  (bytes: number): Accepts =>
  (value) =>
    value instanceof Uint8Array && value.length === bytes;
const digests = packed(32, LIMITS.digestsPerFrameMax);
const hash64: Accepts = (value) => typeof value === "string" && /^[0-9a-f]{16}$/.test(value);
const list =
  (accepts: Accepts, most: number): Accepts =>
  (value) =>
    Array.isArray(value) && value.length <= most && value.every(accepts);
const peerAddresses: Accepts = (value) => isMap(value) && text(128)(value.id) && isAddresses(value.addresses);

/** The fields that each type must have; without a prototype, so that no inherited name passes for a type. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, Accepts>>>> = Object.assign(
  Object.create(null),
  {
    hello: {
      v: whole,
      cluster: text(64),
      record: isBytes,
      nowMs: whole,
      starting: flag,
      links: whole,
      linked: flag,
      roster: hash64,
    },
    summary: summaryShape(),
    ping: { atMs: whole, roster: hash64 },
    pong: { atMs: whole, nowMs: whole },
    refer: { peers: list(peerAddresses, LIMITS.referredMax), release: flag },
    // The sender itself stands among them.
    roster: { members: packed(ROSTER_ENTRY_BYTES, LIMITS.rosterMembersMax + 1), part: flag },
    records: {
      records: list(isBytes, LIMITS.recordsPerFrameMax),
      lost: packed(HASH_BYTES, LIMITS.recordsPerFrameMax),
      want: packed(HASH_BYTES, LIMITS.rosterMembersMax + 1),
    },
    announce: { ids: packed(BATCH_ID_BYTES, LIMITS.announcedMax) },
    graft: { id: one(BATCH_ID_BYTES) },
    prune: {},
    beacon: { root: hash64, number: whole },
    gone: { id: one(BATCH_ID_BYTES) },
    answers: {
      question: one(BATCH_ID_BYTES),
      held: packed(HELD_BYTES, LIMITS.answersPerFrameMax),
      refused: packed(HELD_BYTES, LIMITS.answersPerFrameMax),
      counts: packed(COUNT_BYTES, LIMITS.rosterMembersMax),
    },
    reconcile: { round: whole, message: isBytes },
    reconciled: { round: whole, message: isBytes },
    roundDone: { round: whole },
    have: { digests },
    want: { digests },
    items: { served: whole, batch: isBytes },
  },
);

function summaryShape(): Record<string, Accepts> {
  const fingerprint: Accepts = (value) => typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
  return {
    count: whole,
    fingerprint,
    sinceMs: whole,
    settledMs: whole,
    settledFingerprint: fingerprint,
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Digests as the wire has them. @param hex 64 digits each */
export function packDigests(hex: readonly string[]): Uint8Array {
  return packHex(hex);
}

/** @param packed 32 bytes each */
export function unpackDigests(packed: Uint8Array): string[] {
  return unpackHex(packed, 32);
}

/**
 * The answer to a `want`, its batch written where the frame will have it: an answer has 256 KiB, and V8 collects the heap by
 * the bytes of buffers: with a copy of each a join takes a tenth longer (bench/join.ts). Which keys come first is in
 * docs/protocol.md#frames.
 */
export function itemsFrame(served: number, items: readonly Item[]): ItemsFrame {
  const tail = tailOf(served);
  const batch = encodeBatch(items, (batchBytes) => ({ head: headOf(batchBytes), tail }));
  return { t: "items", served, batch };
}

/** The frame as bytes: those in which its batch lies already, or a copy. */
function encodeItemsFrame({ served, batch }: ItemsFrame): Uint8Array {
  const [head, tail] = [headOf(batch.length), tailOf(served)];
  const whole = Buffer.from(batch.buffer);
  const tailStart = head.length + batch.length;
  const isAround =
    batch.byteOffset === head.length &&
    whole.length === tailStart + tail.length &&
    head.equals(whole.subarray(0, head.length)) &&
    tail.equals(whole.subarray(tailStart));
  return isAround ? whole : Buffer.concat([head, batch, tail]);
}

/** CBOR: a map of 3, `t`: "items", `batch`: so many bytes... */
function headOf(batchBytes: number): Buffer {
  return Buffer.concat([Buffer.from("\xa3\x61t\x65items\x65batch", "latin1"), cborHead(0x40, batchBytes)]);
}

/** ... `served`: a number. */
function tailOf(served: number): Buffer {
  return Buffer.concat([Buffer.from("\x66served", "latin1"), cborHead(0x00, served)]);
}

/** A type and its number, as short as it goes. @param value 32 bits at most */
function cborHead(type: number, value: number): Buffer {
  if (value < 24) return Buffer.of(type + value);
  if (value < 0x100) return Buffer.of(type + 24, value);
  if (value < 0x1_0000) return Buffer.of(type + 25, value >> 8, value & 255);
  const head = Buffer.of(type + 26, 0, 0, 0, 0);
  head.writeUInt32BE(value, 1);
  return head;
}
