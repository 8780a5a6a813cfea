/** One block of whole lines, or a line that is too long to look at. */
export type Lines = { readonly block: Buffer } | "tooLong";

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into blocks that end where a line ends, so that a block can be decoded at once. Bytes are
 * copied only for the line that straddles two chunks; a line that grows past the limit is forgotten as it arrives.
 */
export class LineBlocks {
  readonly #lineBytesMax: number;
  readonly #rest = new JoinedBytes();
  #skipping = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Of the line that is not whole yet. */
  get restBytes(): number {
    return this.#rest.length;
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
    if (this.#skipping || this.#rest.length > 0) {
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
    if (this.#rest.length > 0) line.push({ block: this.#rest.take() });
    this.#skipping = false;
    return line;
  }

  #keep(piece: Buffer): void {
    if (this.#skipping) return;
    this.#rest.push(piece);
    if (this.#rest.length <= this.#lineBytesMax) return;
    this.#skipping = true;
    this.#rest.clear();
  }
}

/**
 * Cuts lines into portions of so many lines at most, in their order. Each `block` of a portion ends where a line ends.
 * Empty lines count, too.
 */
export function* portionsOf(lines: readonly Lines[], linesMax: number): Generator<Lines[], void, undefined> {
  let portion: Lines[] = [];
  let left = linesMax;
  for (const part of lines) {
    const { block } = part === "tooLong" ? { block: Buffer.alloc(0) } : part;
    let start = 0;
    for (let end = block.indexOf(NEWLINE); end >= 0; end = block.indexOf(NEWLINE, end + 1)) {
      if (--left > 0) continue;
      portion.push({ block: block.subarray(start, end) });
      yield portion;
      portion = [];
      left = linesMax;
      start = end + 1;
    }
    portion.push(part === "tooLong" ? part : { block: block.subarray(start) });
    if (--left > 0) continue;
    yield portion;
    portion = [];
    left = linesMax;
  }
  if (portion.length > 0) yield portion;
}

/** The first pieces are copied into a block of this size: one byte kept as a Buffer of its own takes some 250... */
const BLOCK_BYTES = 16_384;
/** ... and further ones into blocks that are parked. */
const PARKED_BLOCK_BYTES = 65_536;

/** Bytes that come in pieces of any size, and take little more memory than they are. */
export class JoinedBytes {
  #pieces: Buffer[] = [];
  /** Where small pieces are copied to, and how much of it is taken by them. */
  #block: Buffer = Buffer.alloc(0);
  #blockBytes = 0;
  length = 0;

  /** The first piece is kept as it is: a small post is one piece. Further ones are parked when they are long, else joined. */
  push(piece: Buffer): void {
    if (this.length === 0 || piece.length >= PARKED_BYTES_MIN) {
      this.#endBlock();
      this.#pieces.push(this.length === 0 ? piece : park(piece));
    } else {
      let left = piece;
      while (left.length > 0) {
        if (this.#blockBytes === this.#block.length) {
          this.#endBlock();
          this.#block =
            this.length < BLOCK_BYTES ? Buffer.allocUnsafeSlow(BLOCK_BYTES) : parkedBytes(PARKED_BLOCK_BYTES);
        }
        const copied = left.copy(this.#block, this.#blockBytes);
        this.#blockBytes += copied;
        left = left.subarray(copied);
      }
    }
    this.length += piece.length;
  }

  /** All of them, and forgets them. One piece is not copied. */
  take(): Buffer {
    this.#endBlock();
    const joined = this.#pieces.length === 1 ? this.#pieces[0]! : this.#joined();
    this.clear();
    return joined;
  }

  #joined(): Buffer {
    const joined =
      this.length < PARKED_BYTES_MIN ? Buffer.allocUnsafe(this.length) : parkedBytes(this.length);
    let at = 0;
    for (const piece of this.#pieces) at += piece.copy(joined, at);
    return joined;
  }

  clear(): void {
    this.#pieces = [];
    this.#block = Buffer.alloc(0);
    this.#blockBytes = 0;
    this.length = 0;
  }

  /** The rest of the block takes the short pieces behind the next long one. */
  #endBlock(): void {
    if (this.#blockBytes === 0) return;
    this.#pieces.push(this.#block.subarray(0, this.#blockBytes));
    this.#block = this.#block.subarray(this.#blockBytes);
    this.#blockBytes = 0;
  }
}

/**
 * Frees memory at once. Left to the collector, it would stay until others need memory: a busy hub would read into
 * memory that is not in the processor's cache, and a quiet one would keep it for good.
 * @param whole all of its memory
 */
export function free(whole: Buffer): void {
  (whole.buffer as ArrayBuffer).transfer(0);
}

/** Shorter chunks are not worth it. */
const PARKED_BYTES_MIN = 16_384;

/**
 * Bytes that wait for long, copied to memory that returns to the system when it is freed: V8 maps the pages of resizable
 * buffers itself. The C library keeps the blocks of 64 KiB that sockets are read into, wherever a small block lies behind
 * them: 900 flooding clients would leave 190 MB (bench/abuse-hub.ts lists).
 * @returns those bytes themselves where they are few, or parked already
 */
export function park(bytes: Buffer): Buffer {
  const { length, buffer } = bytes;
  if (length < PARKED_BYTES_MIN || (buffer as ArrayBuffer).resizable) return bytes;
  const parked = parkedBytes(length);
  bytes.copy(parked);
  return parked;
}

function parkedBytes(length: number): Buffer {
  return Buffer.from(new ArrayBuffer(length, { maxByteLength: length }));
}

/** Node keeps a text of more than 1,031,913 bytes outside of V8's heap. */
const TEXT_BYTES_MAX = 524_288;

/**
 * Decodes valid UTF-8. A long text comes in parts, which lie in V8's heap: for one outside of it the C library takes memory, and keeps
 * it (bench/abuse.ts unread).
 */
export function textOf(bytes: Buffer): string {
  if (bytes.length <= TEXT_BYTES_MAX) return bytes.toString();
  let text = "";
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = Math.min(start + TEXT_BYTES_MAX, bytes.length);
    // Not inside a character.
    while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--;
    text += bytes.toString("utf8", start, end);
  }
  return text;
}

/** Bytes that many keep under one limit. Past it those are cut whose bytes have not moved for longest. */
export class SharedBytes {
  readonly #kept = new Map<{ cut(): void }, number>();
  #total = 0;

  /** @param onCut called for each that is cut */
  constructor(
    private readonly bytesMax: number,
    private readonly onCut: () => void,
  ) {}

  /** @param bytes that this one keeps now */
  keep(keeper: { cut(): void }, bytes: number): void {
    this.#total += bytes - (this.#kept.get(keeper) ?? 0);
    this.#kept.set(keeper, bytes);
    for (const oldest of this.#kept.keys()) {
      if (this.#total <= this.bytesMax) return;
      this.release(oldest);
      oldest.cut();
      this.onCut();
    }
  }

  /** Its bytes are gone, or some have moved: it comes behind all others when it keeps bytes again. */
  release(keeper: { cut(): void }): void {
    this.#total -= this.#kept.get(keeper) ?? 0;
    this.#kept.delete(keeper);
  }
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
