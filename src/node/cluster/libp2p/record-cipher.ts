import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";

const CIPHER = "chacha20-poly1305";
const TAG_BYTES = 16;

/** Bytes in one piece or in several; `subarray` joins them. */
export type Pieces = Pick<Uint8Array, "byteLength"> & { subarray(): Uint8Array };

/** Keys of records as Node takes them. Given bare bytes it finds out anew for each record what they are, by an exception. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>();

/** ChaCha20-Poly1305 as RFC 8439 has it. @returns ciphertext and tag, in one piece */
export function seal(plaintext: Pieces, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv(CIPHER, keyObject(key), nonce, { authTagLength: TAG_BYTES });
  if (ad.length > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength });
  const text = cipher.update(plaintext.subarray());
  cipher.final();
  return Buffer.concat([text, cipher.getAuthTag()], text.length + TAG_BYTES);
}

/** @param sealed ciphertext and tag @throws when it was not sealed with this key, nonce and `ad` */
export function open(sealed: Pieces, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array): Uint8Array {
  const bytes = sealed.subarray();
  const textBytes = bytes.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, keyObject(key), nonce, { authTagLength: TAG_BYTES });
  if (ad.length > 0) decipher.setAAD(ad, { plaintextLength: textBytes });
  decipher.setAuthTag(bytes.subarray(textBytes));
  const text = decipher.update(bytes.subarray(0, textBytes));
  decipher.final();
  return text;
}

function keyObject(key: Uint8Array): KeyObject {
  let known = keyObjects.get(key);
  if (!known) {
    known = createSecretKey(key);
    keyObjects.set(key, known);
  }
  return known;
}
