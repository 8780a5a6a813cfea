/**
 * Frees memory at once. Left to the collector, it would stay until others need memory: a busy hub would read into
 * memory that is not in the processor's cache, and a quiet one would keep it for good.
 * @param whole all of its memory
 */
export function free(whole: Buffer): void {
  (whole.buffer as ArrayBuffer).transfer(0);
}

/** Whether nothing else lies in the same memory. */
export function isWhole(bytes: Buffer): boolean {
  return bytes.length === bytes.buffer.byteLength;
}

/** Hex texts of one length as the wire has them: their bytes, back to back. */
export function packHex(texts: Iterable<string>): Buffer {
  return Buffer.from([...texts].join(""), "hex");
}

/** The hex texts in packed bytes. @param bytes of each; what is left over at the end is ignored */
export function unpackHex(packed: Uint8Array, bytes: number): string[] {
  const hex = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength).toString("hex");
  const digits = 2 * bytes;
  return Array.from({ length: Math.floor(packed.length / bytes) }, (_, index) =>
    hex.slice(index * digits, (index + 1) * digits),
  );
}
