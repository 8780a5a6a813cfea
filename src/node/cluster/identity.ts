import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { Ed25519 } from "../replica/signature.js";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** The prefix of the 32 bytes of a private key in PKCS#8, DER. */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
/** The prefix of the 32 bytes of a public key in an id: identity hash of 36 bytes, key type Ed25519, length. */
const ID_PREFIX = Buffer.from("002408011220", "hex");
/** An id has 52 characters; what is longer is not read. */
const ID_CHARACTERS_MAX = 64;

/** An Ed25519 key and the id made of it. Every engine is one, so that a data directory keeps its id under each. */
export class Identity {
  /** Text of a libp2p peer id. */
  readonly id: string;
  /** 32 bytes of the private key. */
  readonly seed: Uint8Array;
  readonly #key: KeyObject;
  /** Keeps the keys used last. */
  readonly #ed25519 = new Ed25519();

  /** @param seed 32 bytes; without it the identity is a new one */
  constructor(seed: Uint8Array = randomBytes(32)) {
    this.seed = seed;
    this.#key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
    const publicKey = createPublicKey(this.#key).export({ format: "der", type: "spki" }).subarray(-32);
    this.id = toBase58(Buffer.concat([ID_PREFIX, publicKey]));
  }

  /** @returns 64 bytes (RFC 8032); costs about 0.06 ms */
  sign(bytes: Uint8Array): Uint8Array {
    return sign(null, bytes, this.#key);
  }

  /** Costs about 0.2 ms. @returns false also when `peer` is no id of an Ed25519 key */
  verify(peer: string, bytes: Uint8Array, signature: Uint8Array): boolean {
    const publicKey = publicKeyOf(peer);
    return publicKey !== undefined && this.#ed25519.accepts({ publicKey, signature, message: bytes });
  }
}

function publicKeyOf(id: string): Uint8Array | undefined {
  const bytes = id.length > ID_CHARACTERS_MAX ? undefined : fromBase58(id);
  if (bytes?.length !== ID_PREFIX.length + 32 || bytes.indexOf(ID_PREFIX) !== 0) return undefined;
  return bytes.subarray(ID_PREFIX.length);
}

function toBase58(bytes: Uint8Array): string {
  let text = "";
  for (let rest = BigInt(`0x${Buffer.from(bytes).toString("hex")}`); rest > 0n; rest /= 58n) {
    text = ALPHABET[Number(rest % 58n)]! + text;
  }
  // Every zero byte in front is a digit of its own.
  return "1".repeat(bytes.findIndex((byte) => byte !== 0)) + text;
}

function fromBase58(text: string): Buffer | undefined {
  let number = 0n;
  let zeros = 0;
  for (const digit of text) {
    const value = ALPHABET.indexOf(digit);
    if (value < 0) return undefined;
    number = number * 58n + BigInt(value);
    if (number === 0n) zeros++;
  }
  const hex = number === 0n ? "" : number.toString(16);
  return Buffer.concat([
    Buffer.alloc(zeros),
    Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex"),
  ]);
}
