import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** What stands before the 32 bytes of a private key in PKCS#8, DER. */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
/** What stands before the 32 bytes of a public key in an id: identity hash of 36 bytes, key type Ed25519, length. */
const ID_PREFIX = Buffer.from("002408011220", "hex");

/**
 * The id that a node has over libp2p, too, so that a data directory keeps its id whatever the engine.
 * @param seed 32 bytes of an Ed25519 key; without it the id is a new one
 */
export function nodeId(seed: Uint8Array = randomBytes(32)): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  return base58(Buffer.concat([ID_PREFIX, publicKey]));
}

function base58(bytes: Uint8Array): string {
  let text = "";
  for (let rest = BigInt(`0x${Buffer.from(bytes).toString("hex")}`); rest > 0n; rest /= 58n) {
    text = ALPHABET[Number(rest % 58n)]! + text;
  }
  // Every zero byte in front is a digit of its own.
  return "1".repeat(bytes.findIndex((byte) => byte !== 0)) + text;
}
