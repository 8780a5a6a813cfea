/** Ids are u64 on the wire and numbers here: a hub that gives out a million a second needs 285 years to 2^53. */
const HIGH = 2 ** 32;

/** The id at `offset`, or 0, which nobody has, when it is 2^53 or more. No BigInt: this is the hot path. */
export function readId(bytes: Buffer, offset: number): number {
  const high = bytes.readUInt32BE(offset);
  return high < 0x20_0000 ? high * HIGH + bytes.readUInt32BE(offset + 4) : 0;
}

export function writeId(bytes: Buffer, id: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(id / HIGH), offset);
  bytes.writeUInt32BE(id % HIGH, offset + 4);
}
