import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { uuidv7 } from "./ids.js";
import type { ItemDraft } from "./replica/item.js";
import { authorSignature, publicKeyHex } from "./replica/signature.js";

// Third door of the node: keys, and what is done with them before anything is posted.

/** A new Ed25519 key for signing items. @returns PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it */
export function newSigningKey(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** A new key that all nodes of a closed cluster share. @returns 64 hex digits */
export function newClusterKey(): string {
  return randomBytes(32).toString("hex");
}

/** @returns the private key; `undefined` when the text is no PEM of an Ed25519 private key without passphrase */
export function readSigningKey(pem: string): KeyObject | undefined {
  return ed25519Only(() => createPrivateKey(pem));
}

/**
 * The public key, as a trust file has it.
 * @param pem of a private or public Ed25519 key
 * @returns 64 hex digits; `undefined` when the text is none
 */
export function publicKeyOf(pem: string): string | undefined {
  const key = ed25519Only(() => createPublicKey(pem));
  return key && publicKeyHex(key);
}

/**
 * Signs an item as its author, ready to be posted to any node within 2 min.
 * @param draft without an id it gets a UUIDv7; without a time it is stamped now
 * @param key an Ed25519 private key
 */
export function signItem(
  { id, raw, timestampMs = Date.now() }: Omit<ItemDraft, "signature">,
  key: KeyObject,
): Required<ItemDraft> {
  const signed = { id: id ?? uuidv7(timestampMs), raw, timestampMs };
  return { ...signed, signature: authorSignature(signed, key) };
}

function ed25519Only(read: () => KeyObject): KeyObject | undefined {
  try {
    const key = read();
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}
