/** A block of memory outside of the heap, which records fill one behind the other. What was written never changes. */
export class Slab {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the next record goes. */
  end = 0;
  /** Bytes of records whose items are still held. */
  heldBytes = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.bytes.buffer);
  }

  get size(): number {
    return this.bytes.length;
  }

  get room(): number {
    return this.size - this.end;
  }

  /** Counts what was written from `end` on as one record of a held item. @returns where it begins */
  append(recordBytes: number): number {
    const at = this.end;
    this.end += recordBytes;
    this.heldBytes += recordBytes;
    return at;
  }
}
