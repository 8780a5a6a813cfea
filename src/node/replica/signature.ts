import { createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";

// Imports nothing of ours: the verification thread loads this file by itself, built or not.

/**
 * How a signature proves its item. `md5` and `sha256` prove integrity only: anyone can compute them, and date the item
 * anew. `ed25519` proves who wrote it, under which id, and when.
 * @see docs/protocol-signatures.md
 */
export type SignatureScheme = "md5" | "sha256" | "ed25519";

/** Schemes that anyone can compute from raw alone. */
export type IntegrityScheme = Exclude<SignatureScheme, "ed25519">;

export const SCHEMES: readonly SignatureScheme[] = ["md5", "sha256", "ed25519"];

/** The bytes that an author signs. */
export interface Signed {
  readonly id: string;
  readonly raw: string;
  readonly timestampMs: number;
}

/** Each is as long as no other is: one look tells which may fit. */
const FORMS: ReadonlyMap<number, readonly [SignatureScheme, RegExp]> = new Map([
  [32, ["md5", /^[0-9a-f]{32}$/i]],
  [71, ["sha256", /^sha256:[0-9a-f]{64}$/i]],
  [201, ["ed25519", /^ed25519:[0-9a-f]{64}:[0-9a-f]{128}$/i]],
]);

/** The first bytes of what is signed: a signature made for another purpose never fits an item. */
const DOMAIN = Buffer.from("hubcast/1/item\0");
const KEY_START = "ed25519:".length;
const KEY_END = KEY_START + 64;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** The scheme a signature names by its form; `undefined` when it is none of ours. */
export function schemeOf(signature: string): SignatureScheme | undefined {
  const form = FORMS.get(signature.length);
  return form?.[1].test(signature) ? form[0] : undefined;
}

/** The one spelling of a signature: hex in lower case. Digests are taken over it. */
export function normaliseSignature(signature: string): string {
  return schemeOf(signature) ? signature.toLowerCase() : signature;
}

/** Bytes that those signatures have; none of another scheme has as many. */
export const IMPLIED_BYTES: Readonly<Record<IntegrityScheme, number>> = { md5: 32, sha256: 71 };

/**
 * The scheme of a signature that is but a hash of raw, by its length alone: enough for a verified item, and cheaper than
 * `schemeOf`, which looks at every digit.
 */
export function impliedScheme(signature: string): IntegrityScheme | undefined {
  if (signature.length === IMPLIED_BYTES.md5) return "md5";
  return signature.length === IMPLIED_BYTES.sha256 ? "sha256" : undefined;
}

/** A signature that proves integrity only; by `sha256` is the one that a node makes for a draft without one. */
export function integritySignature(raw: string | Uint8Array, scheme: IntegrityScheme = "sha256"): string {
  return scheme === "md5" ? hash("md5", raw) : `sha256:${hash("sha256", raw)}`;
}

/** Whether its check takes long enough (0.2 ms) to be made on another thread. */
export function isAuthored(signature: string): boolean {
  return signature.startsWith("ed25519:");
}

/** The public key of who signed, 64 hex digits; `undefined` when the scheme names nobody. */
export function signerOf(signature: string): string | undefined {
  return isAuthored(signature) ? signature.slice(KEY_START, KEY_END) : undefined;
}

/** Whether the signature's scheme accepts the item. Only the normalised spelling is accepted. */
export function verifySignature(item: Signed & { readonly signature: string }): boolean {
  const { raw, signature } = item;
  // Only one of the right form is equal to what is computed: no need to look at every digit before.
  const scheme = impliedScheme(signature);
  if (scheme) return integritySignature(raw, scheme) === signature;
  const proof = proofOf(item);
  return proof !== undefined && new Ed25519().accepts(proof);
}

/** The inputs to verify an authored item; `undefined` when its signature is malformed, or not normalised. */
export function proofOf(item: Signed & { readonly signature: string }): Proof | undefined {
  const { signature } = item;
  if (!isAuthored(signature) || signature[KEY_END] !== ":") return undefined;
  const publicKey = bytesOf(signature.slice(KEY_START, KEY_END), KEY_BYTES);
  const proof = bytesOf(signature.slice(KEY_END + 1), SIGNATURE_BYTES);
  return publicKey && proof && { publicKey, signature: proof, message: signedBytes(item) };
}

/**
 * So many bytes, spelled in lower case. Spelling them again costs a tenth of a pattern that looks at each digit; reading
 * alone takes other letters for digits too.
 */
function bytesOf(hex: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(hex, "hex");
  return bytes.length === length && bytes.toString("hex") === hex ? bytes : undefined;
}

/**
 * The bytes that an author signs (docs/protocol-signatures.md#ed25519), integers big-endian: the domain
 * `hubcast/1/item` and a zero byte, u16 length and id, u64 timestampMs, u32 length and raw.
 */
export function signedBytes({ id, timestampMs, raw }: Signed): Buffer {
  const idBytes = Buffer.byteLength(id);
  const rawBytes = Buffer.byteLength(raw);
  const bytes = Buffer.allocUnsafe(DOMAIN.length + 2 + idBytes + 8 + 4 + rawBytes);
  let end = DOMAIN.copy(bytes);
  end = bytes.writeUInt16BE(idBytes, end);
  end += bytes.write(id, end);
  end = bytes.writeUInt32BE(Math.floor(timestampMs / 0x1_0000_0000), end);
  end = bytes.writeUInt32BE(timestampMs >>> 0, end);
  end = bytes.writeUInt32BE(rawBytes, end);
  bytes.write(raw, end);
  return bytes;
}

/** Signs as an author does. @param privateKey of Ed25519 */
export function authorSignature(item: Signed, privateKey: KeyObject): string {
  return `ed25519:${publicKeyHex(privateKey)}:${sign(null, signedBytes(item), privateKey).toString("hex")}`;
}

/** The public key of an Ed25519 key, 64 hex digits. */
export function publicKeyHex(key: KeyObject): string {
  const publicKey = key.type === "public" ? key : createPublicKey(key);
  return publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
}

/** The inputs of an Ed25519 verification. */
export interface Proof {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  readonly message: Uint8Array;
}

/** RFC 8410: what stands before the 32 bytes of an Ed25519 public key in its DER encoding. */
const KEY_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Reading a key costs a third of a verification: the keys used last are kept. */
const KEYS_MAX = 1_024;

/** Checks Ed25519 signatures (RFC 8032), remembering keys; about 0.2 ms each. */
export class Ed25519 {
  readonly #keys = new Map<string, KeyObject>();

  accepts({ publicKey, signature, message }: Proof): boolean {
    return verify(null, message, this.#key(publicKey), signature);
  }

  #key(publicKey: Uint8Array): KeyObject {
    const bytes = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength);
    const name = bytes.toString("latin1");
    const known = this.#keys.get(name);
    if (known) return known;
    const key = createPublicKey({ key: Buffer.concat([KEY_PREFIX, bytes]), format: "der", type: "spki" });
    if (this.#keys.size >= KEYS_MAX) this.#keys.delete(this.#keys.keys().next().value!);
    this.#keys.set(name, key);
    return key;
  }
}
