import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FrameReader, frameHeader } from "../../../src/node/cluster/libp2p/frames.js";
import { decodeGreeting, encodeGreeting } from "../../../src/node/cluster/libp2p/greeting.js";
import { decodeBatch, encodeBatch } from "../../../src/node/protocol/batch.js";
import { decodeFrame, encodeFrame, type Frame, FrameDecodeError } from "../../../src/node/protocol/frames.js";
import { decodeItem, type Item, ItemDecodeError, withDigest } from "../../../src/node/protocol/item.js";
import { fingerprintOf } from "../../../src/node/protocol/item-set/fingerprint.js";
import { addDigest, zeroSum } from "../../../src/node/protocol/item-set/sum.js";
import { normaliseSignature, schemeOf, verifySignature } from "../../../src/node/protocol/signature.js";

// The vectors of docs/protocol.md. They were written by another program in another language, from the document.
const { items, malformed: malformedItems } = read<{ items: NamedItem[]; malformed: Encoded[] }>("items");
const { signatures } = read<{ signatures: SignatureVector[] }>("signatures");
const { batches, malformed: malformedBatches } = read<{ batches: Batch[]; malformed: Bytes[] }>("batches");
const { frames, malformed: malformedFrames } = read<{ frames: FrameVector[]; malformed: Bytes[] }>("frames");
const { fingerprints } = read<{ fingerprints: FingerprintVector[] }>("fingerprints");
const { greetings, malformed: malformedGreetings } = read<{
  greetings: GreetingVector[];
  malformed: Bytes[];
}>("greetings");

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
interface FingerprintVector {
  readonly name: string;
  readonly digests: readonly string[];
  readonly fingerprint: string;
}
interface GreetingVector {
  readonly spare: boolean;
  readonly cluster: string;
  /** With its length in front. */
  readonly bytes: string;
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
  it.each(frames)("$frame.t", ({ frame, bytes }) => {
    const value = withBytes(frame) as Frame;
    expect(Buffer.from(encodeFrame(value)).toString("hex")).toBe(bytes);
    expect(decodeFrame(bytesOf(bytes))).toEqual(value);
  });

  it.each(malformedFrames)("refused: $name", ({ bytes }) => {
    expect(() => decodeFrame(bytesOf(bytes))).toThrow(FrameDecodeError);
  });
});

describe("fingerprints", () => {
  it.each(fingerprints)("$name", ({ digests, fingerprint }) => {
    const sum = zeroSum();
    for (const digest of digests) addDigest(sum, { digest });
    expect(fingerprintOf(sum, digests.length)).toBe(fingerprint);
  });
});

describe("greetings", () => {
  it.each(greetings)("$cluster, spare $spare", ({ bytes, ...greeting }) => {
    expect(decodeGreeting(unframed(bytes))).toEqual(greeting);
    const frame = encodeGreeting(greeting);
    expect(Buffer.concat([frameHeader(frame.length), frame]).toString("hex")).toBe(bytes);
  });

  it.each(malformedGreetings)("refused: $name", ({ bytes }) => {
    expect(decodeGreeting(unframed(bytes))).toBeUndefined();
  });
});

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8")) as T;
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/** Takes off the length that a frame has on the stream. */
function unframed(hex: string): Uint8Array {
  const found: Uint8Array[] = [];
  new FrameReader(1_000).push(bytesOf(hex), (frame) => found.push(frame));
  expect(found).toHaveLength(1);
  return found[0]!;
}

function withBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (typeof fields.bytes === "string") return new Uint8Array(bytesOf(fields.bytes));
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, withBytes(field)]));
}
