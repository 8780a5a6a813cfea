import { isUtf8 } from "node:buffer";
import type { ItemDraft } from "../protocol/item.js";
import type { BulkLine } from "../service.js";
import { draftFault } from "./draft.js";
import type { Lines } from "./lines.js";

/**
 * The lines of one chunk: drafts for the node, and outcomes of the lines that are none. One batch costs one
 * decoding and one call of the node; a line costs its JSON.parse and little else (bench/http-bulk.ts).
 */
export class BulkBatch {
  readonly drafts: ItemDraft[] = [];
  /** What to answer for lines that are no draft, by their place among all lines of the batch. */
  readonly #faults = new Map<number, BulkLine>();
  readonly bytes: number;

  constructor(chunks: readonly Lines[]) {
    let bytes = 0;
    for (const lines of chunks) {
      if (lines === "tooLong") this.#refuse({ id: "", status: "invalid", code: "tooLarge" });
      else {
        bytes += lines.block.length;
        this.#takeBlock(lines.block);
      }
    }
    this.bytes = bytes;
  }

  get lineCount(): number {
    return this.drafts.length + this.#faults.size;
  }

  /** The answer to all lines, in their order. @param outcomes one per draft */
  answer(outcomes: readonly BulkLine[]): string {
    let text = "";
    if (this.#faults.size === 0) {
      for (const outcome of outcomes) text += answerLine(outcome);
      return text;
    }
    for (let line = 0, draft = 0; line < this.lineCount; line++) {
      text += answerLine(this.#faults.get(line) ?? outcomes[draft++]!);
    }
    return text;
  }

  /** A newline is one byte in UTF-8, so a block is valid exactly when its lines are. */
  #takeBlock(block: Buffer): void {
    if (isUtf8(block)) {
      this.#takeText(block.toString());
      return;
    }
    let start = 0;
    while (start <= block.length) {
      const newline = block.indexOf(0x0a, start);
      const line = block.subarray(start, newline < 0 ? block.length : newline);
      if (isUtf8(line)) this.#takeLine(line.toString());
      else this.#refuse({ id: "", status: "invalid", code: "badRequest" });
      start += line.length + 1;
    }
  }

  #takeText(text: string): void {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#takeLine(text.slice(start, end));
      start = end + 1;
    }
    this.#takeLine(text.slice(start));
  }

  /** JSON.parse takes the `\r` of CRLF for white space. */
  #takeLine(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      // An empty line is no item and gets no answer.
      if (line.trim() !== "") this.#refuse({ id: "", status: "invalid", code: "badRequest" });
      return;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.#refuse({ id: "", status: "invalid", code: "badRequest" });
    } else if (draftFault(value) !== undefined) {
      const { id } = value as { id?: unknown };
      this.#refuse({ id: typeof id === "string" ? id : "", status: "invalid", code: "invalidItem" });
    } else {
      this.drafts.push(value as ItemDraft);
    }
  }

  #refuse(outcome: BulkLine): void {
    this.#faults.set(this.lineCount, outcome);
  }
}

/** Ids longer than any valid one are cut: an answer must not be larger than what was asked. */
function answerLine({ id, status, code }: BulkLine): string {
  const known = id.length > 256 ? id.slice(0, 256) : id;
  const quoted = PLAIN.test(known) ? `"${known}"` : JSON.stringify(known);
  return code === undefined
    ? `{"id":${quoted},"status":"${status}"}\n`
    : `{"id":${quoted},"status":"${status}","code":"${code}"}\n`;
}

/** Printable ASCII without quote and backslash: JSON writes it as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;
