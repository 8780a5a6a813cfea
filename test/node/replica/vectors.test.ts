import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  decodeBatch,
  decodeItem,
  encodeBatch,
  type Item,
  ItemDecodeError,
  withDigest,
} from "../../../src/node/replica/item.js";
import { addDigest, fingerprintOf, zeroSum } from "../../../src/node/replica/item-set/sum.js";
import {
  decodeRecord,
  encodeRecord,
  packHashes,
  partsOf,
  signedBytes,
} from "../../../src/node/replica/member.js";
import {
  Ed25519,
  normaliseSignature,
  schemeOf,
  verifySignature,
} from "../../../src/node/replica/signature.js";
import {
  type BatchKind,
  batchFrame,
  decodeFrame,
  decodeQuestion,
  encodeFrame,
  encodeQuestion,
  type Frame,
  FrameDecodeError,
  type Question,
} from "../../../src/node/replica/wire.js";

// The vectors of docs/protocol.md. They were written by another program in another language, from the document.
const { items, malformed: malformedItems } = read<{ items: NamedItem[]; malformed: Encoded[] }>("items");
const { signatures } = read<{ signatures: SignatureVector[] }>("signatures");
const { batches, malformed: malformedBatches } = read<{ batches: Batch[]; malformed: Bytes[] }>("batches");
const gossip = read<FrameVectors>("frames");
const { members, forged, malformed: malformedMembers } = read<MemberVectors>("members");
const { fingerprints } = read<{ fingerprints: FingerprintVector[] }>("fingerprints");

interface NamedItem extends Item {
  readonly name: string;
  readonly encoding: string;
}
interface Encoded {
  readonly name: string;
  readonly encoding: string;
}
interface Bytes {
  readonly name: string;
  readonly bytes: string;
}
interface SignatureVector {
  readonly name: string;
  readonly raw: string;
  readonly signature: string;
  readonly scheme: string | null;
  readonly valid: boolean;
}
interface Batch extends Bytes {
  /** Names of items.json. */
  readonly items: readonly string[];
}
interface FrameVector {
  /** Byte strings stand as `{ bytes: HEX }`. */
  readonly frame: { readonly t: string };
  readonly bytes: string;
}
interface FrameVectors {
  readonly frames: readonly FrameVector[];
  readonly malformed: readonly Bytes[];
  readonly batches: readonly (Bytes & {
    readonly kind: BatchKind;
    readonly payload: string;
    readonly id: string;
  })[];
  readonly questions: readonly { readonly question: { readonly t: string }; readonly bytes: string }[];
  readonly malformedQuestions: readonly Bytes[];
}
interface SignedBytes extends Bytes {
  readonly cluster: string;
  readonly publicKey: string;
}
interface MemberVectors {
  readonly members: readonly (SignedBytes & {
    readonly hash: string;
    readonly record: { readonly id: string };
  })[];
  readonly forged: readonly SignedBytes[];
  readonly malformed: readonly Bytes[];
}
interface FingerprintVector {
  readonly name: string;
  readonly digests: readonly string[];
  readonly fingerprint: string;
}
describe("items", () => {
  it.each(items)("$name", ({ name, encoding, ...item }) => {
    expect(withDigest(item), name).toEqual(item);
    expect(decodeItem(bytesOf(encoding), 0)).toEqual({ item, end: encoding.length / 2 });
    expect(encodeBatch([item]).subarray(1).toString("hex")).toBe(encoding);
  });

  it.each(malformedItems)("refused: $name", ({ encoding }) => {
    expect(() => decodeItem(bytesOf(encoding), 0)).toThrow(ItemDecodeError);
  });
});

describe("signatures", () => {
  it.each(signatures)("$name", ({ raw, signature, scheme, valid }) => {
    expect(schemeOf(signature) ?? null).toBe(scheme);
    expect(verifySignature({ id: "a", timestampMs: 1, raw, signature: normaliseSignature(signature) })).toBe(
      valid,
    );
  });
});

describe("batches", () => {
  it.each(batches)("$name", ({ items: names, bytes }) => {
    const held = names.map((wanted) => {
      const { name: _name, encoding: _encoding, ...item } = items.find(({ name }) => name === wanted)!;
      return item;
    });
    expect(encodeBatch(held).toString("hex")).toBe(bytes);
    expect(decodeBatch(bytesOf(bytes))).toEqual(held);
  });

  it.each(malformedBatches)("refused: $name", ({ bytes }) => {
    expect(() => decodeBatch(bytesOf(bytes))).toThrow(ItemDecodeError);
  });
});

describe("frames", () => {
  it.each(gossip.frames)("$frame.t", ({ frame, bytes }) => {
    const value = withBytes(frame) as Frame;
    expect(Buffer.from(encodeFrame(value)).toString("hex")).toBe(bytes);
    expect(decodeFrame(bytesOf(bytes))).toEqual(value);
  });

  it.each(gossip.malformed)("refused: $name", ({ bytes }) => {
    expect(() => decodeFrame(bytesOf(bytes))).toThrow(FrameDecodeError);
  });

  it.each(gossip.batches)("a batch: $name", ({ kind, payload, bytes, id }) => {
    const frame = batchFrame(kind, bytesOf(payload));
    expect([frame.id, Buffer.from(frame.bytes).toString("hex")]).toEqual([id, bytes]);
    expect(decodeFrame(bytesOf(bytes))).toMatchObject({ t: "batch", id, kind });
  });

  it.each(gossip.questions)("a question: $question.t", ({ question, bytes }) => {
    const value = withBytes(question) as Question;
    expect(Buffer.from(encodeQuestion(value)).toString("hex")).toBe(bytes);
    expect(decodeQuestion(bytesOf(bytes))).toEqual(value);
  });

  it.each(gossip.malformedQuestions)("a question refused: $name", ({ bytes }) => {
    expect(() => decodeQuestion(bytesOf(bytes))).toThrow(FrameDecodeError);
  });
});

describe("members", () => {
  const ed25519 = new Ed25519();
  const isSigned = ({ cluster, publicKey, bytes }: SignedBytes) => {
    const { signature, payload } = partsOf({ bytes: bytesOf(bytes) });
    return ed25519.accepts({
      publicKey: bytesOf(publicKey),
      signature,
      message: signedBytes(cluster, payload),
    });
  };

  it.each(members)("$name", (vector) => {
    const record = decodeRecord(bytesOf(vector.bytes))!;
    const { links, bytes, hash, words: _, ...fields } = record;
    expect({ ...fields, links: Uint8Array.from(packHashes(links)) }).toEqual(withBytes(vector.record));
    expect(hash).toBe(vector.hash);
    expect(isSigned(vector)).toBe(true);
    const { signature } = partsOf(record);
    expect(Buffer.from(encodeRecord({ ...fields, links }, vector.cluster, () => signature).bytes)).toEqual(
      Buffer.from(bytes),
    );
  });

  it.each(forged)("forged: $name", (vector) => {
    expect(isSigned(vector)).toBe(false);
  });

  it.each(malformedMembers)("refused: $name", ({ bytes }) => {
    expect(decodeRecord(bytesOf(bytes))).toBeUndefined();
  });
});

describe("fingerprints", () => {
  it.each(fingerprints)("$name", ({ digests, fingerprint }) => {
    const sum = zeroSum();
    for (const digest of digests) addDigest(sum, { digest });
    expect(fingerprintOf(sum, digests.length)).toBe(fingerprint);
  });
});

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8")) as T;
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

function withBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (typeof fields.bytes === "string") return new Uint8Array(bytesOf(fields.bytes));
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, withBytes(field)]));
}
