import { FINGERPRINT_BYTES, ReconcileError } from "./message.js";
import { CELL_WORDS, CELLS_MAX, type Sketch } from "./sketch.js";

/**
 * First byte of both messages: a version of Negentropy that there is not. A peer that does not know it answers with its
 * own.
 */
export const SKETCH = 0x6f;

const CELL_BYTES = 4 * CELL_WORDS;
const HEAD_BYTES = 1 + FINGERPRINT_BYTES;

/**
 * Cells of which an ask has one byte each: those that differ tell how many differences there are, give or take a
 * tenth, since ever fewer digests are in later cells.
 */
const SAMPLED: readonly number[] = [...sampled()];
const ASK_BYTES = 3 + SAMPLED.length;

function* sampled(): Generator<number> {
  for (let index = 16; index < CELLS_MAX; index += 1 + (index >> 6)) yield index;
}

/** A responder's description of its set: its fingerprint, and its first cells. */
export interface SketchAnswer {
  readonly fingerprint: string;
  readonly cells: Int32Array;
}

/** Ask := 0x6f, cells (u16), samples. @param cells that the answer must have; 0 leaves it to the responder */
export function encodeAsk({ cells }: Sketch, cellCount = 0): Uint8Array {
  const ask = Buffer.alloc(ASK_BYTES);
  ask[0] = SKETCH;
  ask.writeUInt16BE(cellCount, 1);
  SAMPLED.forEach((index, at) => {
    ask[3 + at] = checkByte(cells, index);
  });
  return ask;
}

export function isAsk(message: Uint8Array): boolean {
  return message[0] === SKETCH;
}

/**
 * How many cells answer an ask.
 * @returns Infinity when the sets differ in too much
 * @throws ReconcileError malformed
 */
export function cellsAsked(message: Uint8Array, { cells }: Sketch): number {
  if (message.length !== ASK_BYTES) throw new ReconcileError("malformed", `ask of ${message.length} bytes`);
  const differing = SAMPLED.filter((index, at) => message[3 + at] !== checkByte(cells, index)).length;
  const least = Buffer.from(message.buffer, message.byteOffset).readUInt16BE(1);
  const cellCount = Math.max(least, cellsFor(differencesOf(differing)));
  return cellCount <= CELLS_MAX ? cellCount : Number.POSITIVE_INFINITY;
}

/** Answer := 0x6f, fingerprint, cells of nine little-endian words. @param fingerprint of the whole set */
export function encodeAnswer({ cells }: Sketch, cellCount: number, fingerprint: string): Uint8Array {
  const answer = Buffer.alloc(answerBytes(cellCount));
  answer[0] = SKETCH;
  answer.write(fingerprint, 1, "hex");
  for (let word = 0, at = HEAD_BYTES; word < cellCount * CELL_WORDS; word++)
    at = answer.writeInt32LE(cells[word]!, at);
  return answer;
}

export function answerBytes(cellCount: number): number {
  return HEAD_BYTES + cellCount * CELL_BYTES;
}

/** @throws ReconcileError malformed */
export function decodeAnswer(message: Uint8Array): SketchAnswer {
  const cellCount = (message.length - HEAD_BYTES) / CELL_BYTES;
  if (!Number.isInteger(cellCount) || cellCount < 1 || cellCount > CELLS_MAX)
    throw new ReconcileError("malformed", `sketch of ${message.length} bytes`);
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const cells = Int32Array.from({ length: cellCount * CELL_WORDS }, (_, word) =>
    bytes.readInt32LE(HEAD_BYTES + 4 * word),
  );
  return { fingerprint: bytes.toString("hex", 1, HEAD_BYTES), cells };
}

function checkByte(cells: Int32Array, index: number): number {
  return cells[index * CELL_WORDS + CELL_WORDS - 1]! & 255;
}

/** The number of differences with which so many of the sampled cells differ. */
function differencesOf(differing: number): number {
  let [from, to] = [0, CELLS_MAX];
  while (to - from > 0.1) {
    const middle = (from + to) / 2;
    const expected = SAMPLED.reduce((sum, index) => sum + 1 - Math.exp(-middle / (1 + index / 2)), 0);
    // A byte is equal by chance in one of 256.
    if (expected * (255 / 256) < differing) from = middle;
    else to = middle;
  }
  return to;
}

/** Cells that tell so many differences, and with 95 % chance a tenth more: the number is a guess. */
function cellsFor(differences: number): number {
  return Math.ceil(1.6 * differences + 3 * Math.sqrt(differences) + 6);
}
