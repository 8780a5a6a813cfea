interface Texts {
  readonly id: string;
  readonly signature: string;
  readonly raw: string;
}

/** Bytes of an item's texts in UTF-8. */
export function textBytes({ id, signature, raw }: Texts): number {
  return Buffer.byteLength(id) + Buffer.byteLength(signature) + Buffer.byteLength(raw);
}

/** A bound on them that costs nothing: a UTF-16 unit takes at most 3 bytes. */
export function textBytesMax({ id, signature, raw }: Texts): number {
  return 3 * (id.length + signature.length + raw.length);
}
