import { isUtf8 } from "node:buffer";
import { ERRORS, type ErrorCode, HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { LineBlocks, type Lines } from "../core/line-blocks.js";
import { counted } from "../core/text.js";
import type { ItemDraft } from "../node/broadcast.js";
import { type BulkLine, draftLine, type HttpNode } from "../node/client.js";
import { readChunks } from "./input.js";
import type { Output } from "./output.js";

/** A request of which nothing more comes for so long is ended, and another begun: the node waits for none for good. */
const IDLE_MS = 1_000;

const LINE_BREAK = 10;

export interface PostLinesOptions {
  /** Path; absent: standard input. */
  readonly file: string | undefined;
  readonly draftOf: (raw: string) => ItemDraft;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/**
 * Posts each line as an item, as it comes: many in one request, with the outcomes of the first while the next are read.
 * Prints the id of each that was taken, and names the others by their line.
 * @throws the code of the first line that was not taken; what reading and the node's answer throw
 */
export async function postLines(node: HttpNode, options: PostLinesOptions): Promise<void> {
  await new LinePosting(node, options).run();
}

class LinePosting {
  #lines = 0;
  #refused = 0;
  #firstRefusal: { readonly line: number; readonly code: ErrorCode } | undefined;
  /** Numbers of the lines that were sent and not answered yet, oldest first, from `#answered` on. */
  #sent: number[] = [];
  #answered = 0;

  constructor(
    private readonly node: HttpNode,
    private readonly options: PostLinesOptions,
  ) {}

  async run(): Promise<void> {
    const { signal, output } = this.options;
    const pieces = this.#pieces();
    let next = pieces.next();
    try {
      for (let first = await next; !first.done; first = await next) {
        const body = async function* () {
          yield first.value!;
          for (;;) {
            next = pieces.next();
            const more = await soon(next);
            if (!more || more.done) return;
            yield more.value;
          }
        };
        for await (const outcomes of this.node.postPieces(body(), signal)) {
          this.#take(outcomes);
          await output.drained();
        }
      }
    } catch (error) {
      if (!(error instanceof HubcastError) || this.#sent.length === this.#answered) throw error;
      const { code, message, suggestions } = error;
      const from = this.#sent[this.#answered]!;
      throw new HubcastError(
        code,
        `${message}; nobody knows what became of line ${from} and those behind it`,
        {
          suggestions: ["Post again from that line on: whatever was taken gets a second id.", ...suggestions],
          cause: error,
        },
      );
    }
    if (!this.#firstRefusal) return;
    const { line, code } = this.#firstRefusal;
    const known = ERRORS[code].exitCode === 4 ? code : "badRequest";
    throw new HubcastError(
      known,
      `${this.#refused} of ${counted(this.#lines, "line")} were not taken; the first is line ${line} (${code})`,
    );
  }

  /** The lines that come at once as one piece of a request's body. */
  async *#pieces(): AsyncGenerator<string, void, undefined> {
    const blocks = new LineBlocks(LIMITS.rawBytesMax);
    for await (const chunk of readChunks(this.options.file, this.options.signal)) {
      const piece = this.#piece(blocks.push(chunk));
      if (piece !== "") yield piece;
    }
    const last = this.#piece(blocks.end());
    if (last !== "") yield last;
  }

  #piece(found: readonly Lines[]): string {
    let piece = "";
    for (const part of found) {
      if (part === "tooLong") this.#refuse(++this.#lines, "tooLarge");
      else for (const text of textsIn(part.block)) piece += this.#line(text);
    }
    return piece;
  }

  #line(text: string | undefined): string {
    this.#lines++;
    if (text === undefined) {
      this.#refuse(this.#lines, "invalidItem");
      return "";
    }
    this.#sent.push(this.#lines);
    return draftLine(this.options.draftOf(text));
  }

  #take(outcomes: readonly BulkLine[]): void {
    const results: { text: string; document: object }[] = [];
    for (const outcome of outcomes) {
      const { id, status, code = "badRequest" } = outcome;
      const line = this.#sent[this.#answered++]!;
      const isTaken = status === "accepted" || status === "held";
      if (isTaken) results.push({ text: id, document: { type: "posted", line, ...outcome } });
      else this.#refuse(line, code, id);
    }
    if (results.length > 0) this.options.output.results(results);
    // All that was sent is answered, or much of it.
    if (this.#answered < this.#sent.length && this.#answered < 10_000) return;
    this.#sent = this.#sent.slice(this.#answered);
    this.#answered = 0;
  }

  #refuse(line: number, code: ErrorCode, id?: string): void {
    const { output } = this.options;
    this.#refused++;
    this.#firstRefusal ??= { line, code };
    output.document({ type: "refused", line, ...(id !== undefined && { id }), code });
    output.warning(`line ${line} was not taken: ${code}: ${ERRORS[code].meaning}`);
  }
}

/** The lines of a block; nothing in the place of one that is no UTF-8. */
function textsIn(block: Buffer): readonly (string | undefined)[] {
  if (isUtf8(block)) return block.toString().split("\n");
  const texts: (string | undefined)[] = [];
  for (let start = 0; start <= block.length; ) {
    const found = block.indexOf(LINE_BREAK, start);
    const end = found < 0 ? block.length : found;
    const line = block.subarray(start, end);
    texts.push(isUtf8(line) ? line.toString() : undefined);
    start = end + 1;
  }
  return texts;
}

/** The value of the promise; undefined when it takes longer than IDLE_MS. */
async function soon<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const idle = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, IDLE_MS, undefined);
  });
  try {
    return await Promise.race([work, idle]);
  } finally {
    clearTimeout(timer);
  }
}
