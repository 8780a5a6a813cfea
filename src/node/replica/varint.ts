/** Bytes that the largest safe integer takes. */
export const VARINT_BYTES_MAX = 8;

/**
 * Writes a number as a Negentropy varint: base-128 digits, most significant first, as few as possible, the
 * high bit set on every byte but the last (specification, "Varint").
 * @param value a safe integer, 0 or more
 * @returns the offset behind the last byte
 */
export function writeVarint(value: number, target: Uint8Array, offset: number): number {
  const end = offset + varintLength(value);
  target[end - 1] = value % 128;
  // Division, not shifts: timestamps in milliseconds do not fit in 32 bits.
  for (let rest = Math.floor(value / 128), at = end - 2; at >= offset; at--) {
    target[at] = 128 + (rest % 128);
    rest = Math.floor(rest / 128);
  }
  return end;
}

/** Bytes that `writeVarint` takes for a value. */
function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
