/** Ids are u64 on the wire and numbers here: a hub that gives out a million a second needs 285 years to 2^53. */
const HIGH = 2 ** 32;

/** The id at `offset`, or 0, which nobody has, when it is 2^53 or more. No BigInt: this is the hot path. */
export function readId(bytes: Buffer, offset: number): number {
  const low =
    bytes[offset + 4]! * 0x100_0000 +
    ((bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!);
  const high =
    (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  if (high === 0) return low;
  return high > 0 && high < 0x20_0000 ? high * HIGH + low : 0;
}

export function writeId(bytes: Buffer, id: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(id / HIGH), offset);
  bytes.writeUInt32BE(id % HIGH, offset + 4);
}
