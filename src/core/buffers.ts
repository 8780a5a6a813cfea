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
