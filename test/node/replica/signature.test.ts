import { createPrivateKey, generateKeyPairSync, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { withDigest } from "../../../src/node/replica/item.js";
import {
  authorSignature,
  integritySignature,
  normaliseSignature,
  proofOf,
  publicKeyHex,
  schemeOf,
  signedBytes,
  signerOf,
  verifySignature,
} from "../../../src/node/replica/signature.js";

interface Vector {
  readonly what: string;
  readonly id: string;
  readonly raw: string;
  readonly timestampMs: number;
  readonly signature: string;
}

interface AcceptedVector extends Vector {
  readonly seed: string;
  readonly publicKey: string;
  readonly signedBytes: string;
  readonly digest: string;
}

const path = new URL("../../vectors/signatures.json", import.meta.url);
const { accepted, refused } = JSON.parse(readFileSync(path, "utf8")).ed25519 as {
  accepted: AcceptedVector[];
  refused: Vector[];
};

describe("the vectors", () => {
  it.each(accepted)("$what: accepted, and made again from the seed", (vector) => {
    const key = privateKey(vector.seed);
    expect(publicKeyHex(key)).toBe(vector.publicKey);
    expect(signedBytes(vector).toString("hex")).toBe(vector.signedBytes);
    expect(authorSignature(vector, key)).toBe(vector.signature);
    expect(verifySignature(vector)).toBe(true);
    expect(signerOf(vector.signature)).toBe(vector.publicKey);
    expect(withDigest(vector).digest).toBe(vector.digest);
  });

  it.each(refused)("$what: refused", (vector) => {
    expect(verifySignature(vector)).toBe(false);
  });
});

const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
const text = (maxLength: number) =>
  fc.string({ unit: "grapheme", minLength: 1, maxLength }).filter((value) => value.isWellFormed());
const signed = fc.record({ id: text(80), raw: text(300), timestampMs: fc.maxSafeNat() });

test("what an author signs is accepted in any letter case, once normalised, and verifies elsewhere", () => {
  fc.assert(
    fc.property(signed, (item) => {
      const signature = authorSignature(item, key);
      expect(normaliseSignature(signature.toUpperCase())).toBe(signature);
      expect(verifySignature({ ...item, signature })).toBe(true);
      const bytes = Buffer.from(signature.slice(-128), "hex");
      expect(verify(null, signedBytes(item), publicKey, bytes)).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test("a change of any field is refused", () => {
  fc.assert(
    fc.property(signed, signed, (item, other) => {
      const signature = authorSignature(item, key);
      for (const field of ["id", "raw", "timestampMs"] as const) {
        if (item[field] === other[field]) continue;
        expect(verifySignature({ ...item, [field]: other[field], signature })).toBe(false);
      }
    }),
    { numRuns: 50 },
  );
});

test("different items never have the same bytes to sign", () => {
  fc.assert(
    fc.property(signed, signed, (a, b) => {
      const same = a.id === b.id && a.raw === b.raw && a.timestampMs === b.timestampMs;
      expect(signedBytes(a).equals(signedBytes(b))).toBe(same);
    }),
  );
});

test("there is nothing to check of a signature that has letters which only read as digits, or is spelled otherwise", () => {
  const item = { id: "a", raw: "b", timestampMs: 1 };
  const signature = authorSignature(item, key);
  expect(proofOf({ ...item, signature })).toBeDefined();
  fc.assert(
    fc.property(fc.nat({ max: signature.length - 1 }), fc.constantFrom(0x100, 0x200, 0xff00), (at, above) => {
      const letter = String.fromCharCode(signature.charCodeAt(at) + above);
      const altered = `${signature.slice(0, at)}${letter}${signature.slice(at + 1)}`;
      expect(proofOf({ ...item, signature: altered })).toBeUndefined();
    }),
  );
  for (const altered of [
    signature.toUpperCase(),
    `${signature}0`,
    `${signature}00`,
    signature.slice(0, -2),
    "ed25519:",
  ])
    expect(proofOf({ ...item, signature: altered })).toBeUndefined();
});

test("any text is a signature or none, and never an error", () => {
  const hex = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF:"), maxLength: 220 });
  const forms = fc.oneof(
    fc.string(),
    hex,
    hex.map((text) => `ed25519:${text}`),
    fc.uint8Array({ minLength: 96, maxLength: 96 }).map((bytes) => {
      const digits = Buffer.from(bytes).toString("hex");
      return `ed25519:${digits.slice(0, 64)}:${digits.slice(64)}`;
    }),
  );
  fc.assert(
    fc.property(forms, (signature) => {
      expect(verifySignature({ id: "a", raw: "b", timestampMs: 1, signature })).toBe(false);
      schemeOf(normaliseSignature(signature));
    }),
    { numRuns: 300 },
  );
});

test("integrity schemes say nothing of the author: anyone can date an item anew", () => {
  const item = { id: "a", raw: "b", signature: integritySignature("b") };
  expect(verifySignature({ ...item, timestampMs: 1 })).toBe(true);
  expect(verifySignature({ ...item, timestampMs: 2 })).toBe(true);
  expect(signerOf(item.signature)).toBeUndefined();
});

function privateKey(seed: string) {
  // RFC 8410: what stands before the 32 bytes of a private key in its DER encoding.
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}
