import { createPublicKey, type KeyObject, verify } from "node:crypto";

// Imports nothing of ours: the verification thread loads this file by itself, built or not.

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
