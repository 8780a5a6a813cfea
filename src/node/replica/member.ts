import { hash } from "node:crypto";
import { decode, encode } from "cborg";
import { packHex, unpackHex } from "../../core/buffers.js";

/**
 * The record that a member publishes of itself. It is signed by the member's key over the name of the cluster, so nobody
 * else can say it, and of two records of one member the larger incarnation counts (docs/protocol.md#members).
 */
export interface MemberRecord {
  readonly id: string;
  /** @see memberHash */
  readonly hash: string;
  /** The part of this session in the fingerprint of a roster, 32 bits each. */
  readonly words: readonly [number, number];
  /** Drawn at each start, 16 hex digits: tells a restart, or a twin, from the same process. */
  readonly session: string;
  /** Starts at the epoch ms of the start, and grows with each record of the session. */
  readonly incarnation: number;
  readonly name: string;
  /** Of the software, for people. */
  readonly version: string;
  readonly retentionMs: number;
  /** Equal policies have equal text; "" accepts every scheme. */
  readonly policy: string;
  /** Where others can dial it: multiaddrs. */
  readonly addresses: readonly string[];
  /** Hashes of the members that it has a link with. */
  readonly links: ReadonlySet<string>;
  readonly holdings: HoldingsSummary;
  /** Items that it holds stamped so far ahead of its clock that no other member takes them; absent: none. */
  readonly ahead?: number;
  /** Its clock when the record was made, epoch ms; only where a broker keeps the record. */
  readonly clockMs?: number;
  /** A goodbye: the member has left. */
  readonly left: boolean;
  /** Signature and payload, as they travel. */
  readonly bytes: Uint8Array;
}

/**
 * A summary of a node's items: the whole window from `sinceMs`, and the part of it before `settledMs`, which gossip in
 * flight no longer changes.
 */
export interface HoldingsSummary {
  readonly count: number;
  /** 32 hex digits. */
  readonly fingerprint: string;
  readonly sinceMs: number;
  readonly settledMs: number;
  readonly settledFingerprint: string;
}

export type Sign = (bytes: Uint8Array) => Uint8Array;

/** Short name of a member, 16 hex digits: the first 8 bytes of the SHA-256 of its id. */
export function memberHash(id: string): string {
  return hash("sha256", id).slice(0, 2 * HASH_BYTES);
}

export const HASH_BYTES = 8;
const SIGNATURE_BYTES = 64;
/** With 64 links and 16 addresses of IPv6 a record has 3 KB. */
const RECORD_BYTES_MAX = 4_096;
/** Travels in 6 bytes, and can always be outbid: far behind every clock. So are clocks. */
const INCARNATION_MAX = 2 ** 47;
/** Links that a record names at most. */
const RECORD_LINKS_MAX = 256;

/** Whether a member has lost links since it last spoke. */
export function lostLinks(before: MemberRecord | undefined, { links }: MemberRecord): boolean {
  for (const hash of before?.links ?? []) if (!links.has(hash)) return true;
  return false;
}

/** Whether two records name the same links. */
export function sameLinks(before: MemberRecord, record: MemberRecord): boolean {
  return before.links.size === record.links.size && !lostLinks(before, record);
}

/** Bytes of SHA-256 hashes, cut to 8 bytes each, back to back. @param hashes 16 hex digits each */
export function packHashes(hashes: Iterable<string>): Uint8Array {
  return packHex(hashes);
}

export function unpackHashes(packed: Uint8Array): string[] {
  return unpackHex(packed, HASH_BYTES);
}

/** The signed bytes of a record. The cluster's name in them keeps a record from counting in another cluster. */
export function signedBytes(cluster: string, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`hubcast member\n${cluster}\n`), payload]);
}

/** The fields of a record. */
export type RecordFields = Omit<MemberRecord, "hash" | "words" | "bytes">;

/** Signs a record. */
export function encodeRecord(fields: RecordFields, cluster: string, sign: Sign): MemberRecord {
  const { links, ...rest } = fields;
  const payload = encode({ ...rest, links: packHashes(links) });
  const signature = sign(signedBytes(cluster, payload));
  return { ...fields, ...namesOf(fields), bytes: Buffer.concat([signature, payload]) };
}

/** Signature and payload of a record, for whoever verifies it. */
export function partsOf(record: Pick<MemberRecord, "bytes">): { signature: Uint8Array; payload: Uint8Array } {
  return {
    signature: record.bytes.subarray(0, SIGNATURE_BYTES),
    payload: record.bytes.subarray(SIGNATURE_BYTES),
  };
}

/** Reads a record; its signature is not looked at. @returns undefined when the bytes are no record */
export function decodeRecord(bytes: Uint8Array): MemberRecord | undefined {
  if (bytes.length <= SIGNATURE_BYTES || bytes.length > RECORD_BYTES_MAX) return undefined;
  let value: unknown;
  try {
    value = decode(bytes.subarray(SIGNATURE_BYTES), { allowIndefinite: false, allowUndefined: false });
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const isRecord =
    isText(fields.id, 1, 128) &&
    isText(fields.session, 16, 16) &&
    isWhole(fields.incarnation) &&
    (fields.incarnation as number) < INCARNATION_MAX &&
    isText(fields.name, 0, 128) &&
    isText(fields.version, 0, 64) &&
    isWhole(fields.retentionMs) &&
    isText(fields.policy, 0, 64) &&
    isAddresses(fields.addresses) &&
    fields.links instanceof Uint8Array &&
    fields.links.length % HASH_BYTES === 0 &&
    fields.links.length <= RECORD_LINKS_MAX * HASH_BYTES &&
    isSummary(fields.holdings) &&
    (fields.ahead === undefined || isWhole(fields.ahead)) &&
    (fields.clockMs === undefined ||
      (isWhole(fields.clockMs) && (fields.clockMs as number) < INCARNATION_MAX)) &&
    typeof fields.left === "boolean";
  if (!isRecord) return undefined;
  const { links, ...rest } = fields as unknown as Omit<RecordFields, "links"> & { links: Uint8Array };
  return {
    ...rest,
    ...namesOf(rest),
    links: new Set(unpackHashes(links)),
    bytes: Uint8Array.from(bytes),
  };
}

function namesOf({
  id,
  session,
}: Pick<RecordFields, "id" | "session">): Pick<MemberRecord, "hash" | "words"> {
  const hash = memberHash(id);
  const word = (from: number) =>
    Number.parseInt(hash.slice(from, from + 8), 16) ^
    Math.imul(Number.parseInt(session.slice(from, from + 8), 16), 31);
  return { hash, words: [word(0), word(8)] };
}

function isSummary(value: unknown): value is HoldingsSummary {
  if (typeof value !== "object" || value === null) return false;
  const { count, fingerprint, sinceMs, settledMs, settledFingerprint } = value as Record<string, unknown>;
  return (
    [count, sinceMs, settledMs].every(isWhole) &&
    [fingerprint, settledFingerprint].every((text) => typeof text === "string" && /^[0-9a-f]{32}$/.test(text))
  );
}

/** The addresses of a peer: at most 32 texts of at most 256 characters. */
export function isAddresses(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= 32 && value.every((text) => isText(text, 1, 256));
}

function isText(value: unknown, least: number, most: number): value is string {
  return typeof value === "string" && value.length >= least && value.length <= most;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
