/** One block of whole lines, or a line that is too long to look at. */
export type Lines = { readonly block: Buffer } | "tooLong";

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into blocks that end where a line ends, so that a block can be decoded at once. Bytes are
 * copied only for the line that straddles two chunks; a line that grows past the limit is forgotten as it arrives.
 */
export class LineBlocks {
  readonly #lineBytesMax: number;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #skipping = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** @param chunk any number of bytes; may cut a line, or a character, anywhere */
  push(chunk: Buffer): Lines[] {
    const first = chunk.indexOf(NEWLINE);
    if (first < 0) {
      this.#keep(chunk);
      return [];
    }
    const found: Lines[] = [];
    let start = 0;
    if (this.#skipping || this.#pieceBytes > 0) {
      this.#keep(chunk.subarray(0, first));
      found.push(...this.end());
      start = first + 1;
    }
    const last = chunk.lastIndexOf(NEWLINE);
    if (last >= start) found.push({ block: chunk.subarray(start, last) });
    if (last + 1 < chunk.length) this.#keep(chunk.subarray(last + 1));
    return found;
  }

  /** The last line, when it has no newline. */
  end(): Lines[] {
    const line: Lines[] = this.#skipping ? ["tooLong"] : [];
    if (this.#pieceBytes > 0) line.push({ block: Buffer.concat(this.#pieces, this.#pieceBytes) });
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#skipping = false;
    return line;
  }

  #keep(piece: Buffer): void {
    if (this.#skipping) return;
    this.#pieceBytes += piece.length;
    this.#pieces.push(piece);
    if (this.#pieceBytes <= this.#lineBytesMax) return;
    this.#skipping = true;
    this.#pieces = [];
    this.#pieceBytes = 0;
  }
}
