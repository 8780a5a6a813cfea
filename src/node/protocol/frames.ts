import { decode, encode } from "cborg";
import { LIMITS } from "../../core/limits.js";
import { encodeItemsFrame } from "./items-frame.js";

/**
 * What two peers say to each other on `/hubcast/sync/1`, each frame one CBOR map (docs/protocol.md#frames).
 * `t` names the type; instants are epoch ms; digests travel as 32 bytes each, back to back.
 */
export type Frame =
  | HelloFrame
  | SummaryFrame
  | { readonly t: "ping"; readonly atMs: number }
  | { readonly t: "pong"; readonly atMs: number; readonly nowMs: number }
  | { readonly t: "renamed"; readonly name: string }
  | { readonly t: "policy"; readonly policy: string }
  | { readonly t: "bye" }
  | { readonly t: "peers"; readonly peers: readonly PeerAddresses[] }
  | { readonly t: "reconcile"; readonly round: number; readonly message: Uint8Array }
  | { readonly t: "reconciled"; readonly round: number; readonly message: Uint8Array }
  | { readonly t: "roundDone"; readonly round: number }
  | { readonly t: "have"; readonly digests: Uint8Array }
  | { readonly t: "want"; readonly digests: Uint8Array }
  | ItemsFrame
  | { readonly t: "confirm"; readonly digest: Uint8Array }
  | { readonly t: "confirmed"; readonly digest: Uint8Array };

/** The first frame either side sends. */
export interface HelloFrame {
  readonly t: "hello";
  readonly v: number;
  readonly name: string;
  readonly version: string;
  readonly cluster: string;
  readonly retentionMs: number;
  /** Equal policies have equal text; "" accepts every scheme. */
  readonly policy: string;
  readonly nowMs: number;
  /** Where others can dial this node. */
  readonly addresses: readonly string[];
  /** Still without a first reconciliation: such a node opens the round. */
  readonly starting: boolean;
}

/** What a node holds: the whole window from `sinceMs`, and the part of it before `settledMs`, which gossip in flight no longer changes. */
export interface SummaryFrame {
  readonly t: "summary";
  readonly count: number;
  readonly fingerprint: string;
  readonly sinceMs: number;
  readonly settledMs: number;
  readonly settledFingerprint: string;
}

/** The answer to one `want`: it covers the first `served` digests asked for; those not in the batch are gone. */
export interface ItemsFrame {
  readonly t: "items";
  readonly served: number;
  readonly batch: Uint8Array;
}

export interface PeerAddresses {
  readonly id: string;
  readonly addresses: readonly string[];
}

/** A frame that is none of ours, or breaks a bound. */
export class FrameDecodeError extends Error {
  override readonly name = "FrameDecodeError";
}

export function encodeFrame(frame: Frame): Uint8Array {
  return frame.t === "items" ? encodeItemsFrame(frame) : encode(frame);
}

/** @throws FrameDecodeError when the bytes are no frame of `Frame` */
export function decodeFrame(bytes: Uint8Array): Frame {
  let value: unknown;
  try {
    value = decode(bytes, { allowIndefinite: false, allowUndefined: false });
  } catch (cause) {
    throw new FrameDecodeError("the frame is not CBOR", { cause });
  }
  const shape = isRecord(value) && typeof value.t === "string" ? SHAPES[value.t] : undefined;
  if (!shape) throw new FrameDecodeError("the frame has no known type");
  const frame = value as Record<string, unknown>;
  for (const [field, accepts] of Object.entries(shape)) {
    if (!accepts(frame[field]))
      throw new FrameDecodeError(`"${field}" of a ${frame.t} frame is not what it must be`);
  }
  return frame as unknown as Frame;
}

type Accepts = (value: unknown) => boolean;

const text =
  (charactersMax: number): Accepts =>
  (value) =>
    typeof value === "string" && value.length <= charactersMax;
const whole: Accepts = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const flag: Accepts = (value) => typeof value === "boolean";
const bytes: Accepts = (value) => value instanceof Uint8Array;
const digests: Accepts = (value) =>
  value instanceof Uint8Array && value.length % 32 === 0 && value.length <= 32 * LIMITS.digestsPerFrameMax;
const oneDigest: Accepts = (value) => value instanceof Uint8Array && value.length === 32;
const fingerprint: Accepts = (value) => typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
const list =
  (accepts: Accepts, most: number): Accepts =>
  (value) =>
    Array.isArray(value) && value.length <= most && value.every(accepts);
const addresses = list(text(256), 32);
const peerAddresses: Accepts = (value) =>
  isRecord(value) && text(128)(value.id) && addresses(value.addresses);

/** The fields that each type must have; a `Map`-like own lookup, so that no inherited name passes for a type. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, Accepts>>>> = Object.assign(
  Object.create(null),
  {
    hello: {
      v: whole,
      name: text(128),
      version: text(64),
      cluster: text(64),
      retentionMs: whole,
      policy: text(64),
      nowMs: whole,
      addresses,
      starting: flag,
    },
    summary: {
      count: whole,
      fingerprint,
      sinceMs: whole,
      settledMs: whole,
      settledFingerprint: fingerprint,
    },
    ping: { atMs: whole },
    pong: { atMs: whole, nowMs: whole },
    renamed: { name: text(128) },
    policy: { policy: text(64) },
    bye: {},
    peers: { peers: list(peerAddresses, LIMITS.peersMax) },
    reconcile: { round: whole, message: bytes },
    reconciled: { round: whole, message: bytes },
    roundDone: { round: whole },
    have: { digests },
    want: { digests },
    items: { served: whole, batch: bytes },
    confirm: { digest: oneDigest },
    confirmed: { digest: oneDigest },
  },
);

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Digests as the wire has them. @param hex 64 digits each */
export function packDigests(hex: readonly string[]): Uint8Array {
  return Buffer.from(hex.join(""), "hex");
}

/** @param packed 32 bytes each */
export function unpackDigests(packed: Uint8Array): string[] {
  const hex = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength).toString("hex");
  return Array.from({ length: packed.length / 32 }, (_, index) => hex.slice(index * 64, index * 64 + 64));
}
