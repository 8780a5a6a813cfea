import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import { Uint8ArrayList } from "uint8arraylist";

const CIPHER = "chacha20-poly1305";
const TAG_BYTES = 16;

/** Bytes in one piece or in several. */
export type Pieces = Uint8Array | Uint8ArrayList;

/**
 * From here on pieces stay pieces. To copy a record of 64 KiB costs little, but V8 collects the heap by the bytes of buffers:
 * a node that gives 100,000 items made five times what it sent, and collected ten times (bench/join.ts).
 */
const PIECES_BYTES_MIN = 16_384;

/** Keys of records as Node takes them. Given bare bytes it finds out anew for each record what they are, by an exception. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>();

/** ChaCha20-Poly1305 as RFC 8439 has it. @returns ciphertext and tag */
export function seal(plaintext: Pieces, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array): Pieces {
  const cipher = createCipheriv(CIPHER, keyObject(key), nonce, { authTagLength: TAG_BYTES });
  if (ad.length > 0) cipher.setAAD(ad, { plaintextLength: plaintext.byteLength });
  const text = piecesOf(plaintext).map((piece) => cipher.update(piece));
  cipher.final();
  return joined([...text, cipher.getAuthTag()]);
}

/** @param sealed ciphertext and tag @throws when it was not sealed with this key, nonce and `ad` */
export function open(sealed: Pieces, nonce: Uint8Array, ad: Uint8Array, key: Uint8Array): Pieces {
  const textBytes = sealed.byteLength - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, keyObject(key), nonce, { authTagLength: TAG_BYTES });
  if (ad.length > 0) decipher.setAAD(ad, { plaintextLength: textBytes });
  decipher.setAuthTag(sealed.subarray(textBytes));
  const text = piecesOf(sealed, textBytes).map((piece) => decipher.update(piece));
  decipher.final();
  return joined(text);
}

/** The first so many bytes. */
function piecesOf(bytes: Pieces, count = bytes.byteLength): Uint8Array[] {
  if (bytes instanceof Uint8Array || count < PIECES_BYTES_MIN) return [bytes.subarray(0, count)];
  return [...bytes.sublist(0, count)];
}

function joined(pieces: readonly Uint8Array[]): Pieces {
  if (pieces.length === 1) return pieces[0]!;
  const list = new Uint8ArrayList(...pieces);
  return list.byteLength < PIECES_BYTES_MIN ? list.subarray() : list;
}

function keyObject(key: Uint8Array): KeyObject {
  let known = keyObjects.get(key);
  if (!known) {
    known = createSecretKey(key);
    keyObjects.set(key, known);
  }
  return known;
}
