import { isUtf8 } from "node:buffer";
import { LineBlocks, type Lines } from "../core/buffers.js";
import { ERRORS, type ErrorCode, HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { counted } from "../core/text.js";
import type { ItemDraft, PostOptions, PostResult } from "../node/broadcast.js";
import { type BulkLine, draftLine, type HttpNode } from "../node/client.js";
import { lateError } from "./failure.js";
import { readChunks } from "./input.js";
import { errorDocument, type Output } from "./output.js";

/** A request of which nothing more comes for so long is ended, and another begun: the node waits for none for good. */
const IDLE_MS = 1_000;

/** Lines that wait for their holders at a time, and their UTF-16 units. */
const WAITING_LINES_MAX = 512;
const WAITING_LENGTH_MAX = 8_388_608;

/** Refusals that are not of a line, but of all that this user may post. */
const REFUSED_ALTOGETHER: ReadonlySet<ErrorCode> = new Set([
  "certificateRefused",
  "forbidden",
  "foreignHost",
  "tooManyGuesses",
  "unauthorized",
]);

const LINE_BREAK = 10;

export interface PostLinesOptions {
  /** Path; absent: standard input. */
  readonly file: string | undefined;
  readonly draftOf: (raw: string) => ItemDraft;
  /** The other nodes that must hold each line; absent: the node that is asked takes it, and that is all. */
  readonly wait: PostOptions | undefined;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/**
 * Posts each line as an item, as it comes: many in one request, with the outcomes of the first while the next are read.
 * Prints the id of each that was taken, in their order, and names the others by their line.
 * @throws the code of the first line that was not taken, else deadline when one was not held in time; what reading and
 *   the node's answer throw
 */
export async function postLines(node: HttpNode, options: PostLinesOptions): Promise<void> {
  await new LinePosting(node, options).run();
}

class LinePosting {
  #lines = 0;
  #refused = 0;
  #firstRefusal: { readonly line: number; readonly code: ErrorCode } | undefined;
  #late = 0;
  #firstLate: { readonly line: number; readonly error: HubcastError } | undefined;
  /** Numbers of the lines that were sent and not answered yet, oldest first, from `#answered` on. */
  #sent: number[] = [];
  #answered = 0;

  constructor(
    private readonly node: HttpNode,
    private readonly options: PostLinesOptions,
  ) {}

  async run(): Promise<void> {
    const { wait } = this.options;
    await (wait ? this.#postEach(wait) : this.#postMany());
    const lines = counted(this.#lines, "line");
    if (this.#firstRefusal) {
      const { line, code } = this.#firstRefusal;
      const known = ERRORS[code].exitCode === 4 ? code : "badRequest";
      const message = `${this.#refused} of ${lines} ${wasOrWere(this.#refused)} not taken; the first is line ${line} (${code})`;
      throw new HubcastError(known, message);
    }
    if (!this.#firstLate) return;
    const { line, error } = this.#firstLate;
    const message = `${this.#late} of ${lines} ${wasOrWere(this.#late)} not held in time; the first is line ${line}: ${error.message}`;
    throw new HubcastError("deadline", message, { suggestions: error.suggestions });
  }

  async #postMany(): Promise<void> {
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
      throw unknownFrom(this.#sent[this.#answered]!, error);
    }
  }

  /** Each line is a post of its own, many at a time: the client sends those of one moment in one request. */
  async #postEach(wait: PostOptions): Promise<void> {
    const failed = new AbortController();
    const waiting: { readonly told: Promise<void>; readonly length: number }[] = [];
    let [told, length] = [Promise.resolve(), 0];
    for await (const lines of this.#read(AbortSignal.any([this.options.signal, failed.signal]))) {
      for (const { line, text } of lines) {
        const posting = Promise.allSettled([this.node.post(this.options.draftOf(text), wait)]);
        const before = told;
        told = before.then(async () => this.#tell(line, (await posting)[0]));
        // The next line may never come.
        told.catch((error) => failed.abort(error));
        waiting.push({ told, length: text.length });
        length += text.length;
        while (waiting.length >= WAITING_LINES_MAX || length > WAITING_LENGTH_MAX) {
          const oldest = waiting.shift()!;
          length -= oldest.length;
          await oldest.told;
        }
      }
    }
    await told;
  }

  async #tell(line: number, outcome: PromiseSettledResult<PostResult>): Promise<void> {
    const { output } = this.options;
    if (outcome.status === "rejected") {
      const { reason } = outcome;
      if (!(reason instanceof HubcastError) || REFUSED_ALTOGETHER.has(reason.code)) throw reason;
      if (ERRORS[reason.code].exitCode !== 4) throw unknownFrom(line, reason);
      this.#refuse(line, reason.code);
      return;
    }
    const { id, receipt } = outcome.value;
    const late = receipt && !receipt.complete ? lateError(receipt) : undefined;
    const error = late && { error: errorDocument(late) };
    output.results([{ text: id, document: { type: "posted", line, ...outcome.value, ...error } }]);
    if (late) {
      this.#late++;
      this.#firstLate ??= { line, error: late };
      output.warning(`line ${line} was not held in time: ${late.message}`);
    }
    await output.drained();
  }

  /** The lines that come at once as one piece of a request's body. */
  async *#pieces(): AsyncGenerator<string, void, undefined> {
    for await (const lines of this.#read(this.options.signal)) {
      let piece = "";
      for (const { line, text } of lines) {
        this.#sent.push(line);
        piece += draftLine(this.options.draftOf(text));
      }
      if (piece !== "") yield piece;
    }
  }

  /** The lines that come at once, without those that are too long or no UTF-8. */
  async *#read(signal: AbortSignal): AsyncGenerator<readonly Line[], void, undefined> {
    const blocks = new LineBlocks(LIMITS.rawBytesMax);
    for await (const chunk of readChunks(this.options.file, signal)) yield this.#linesIn(blocks.push(chunk));
    yield this.#linesIn(blocks.end());
  }

  #linesIn(found: readonly Lines[]): readonly Line[] {
    const lines: Line[] = [];
    for (const part of found) {
      if (part === "tooLong") {
        const why = `it has more than ${LIMITS.rawBytesMax} bytes, the limit of an item`;
        this.#refuse(++this.#lines, "tooLarge", { why });
        continue;
      }
      for (const text of textsIn(part.block)) {
        const line = ++this.#lines;
        if (text === undefined) this.#refuse(line, "invalidItem", { why: "it is not valid UTF-8" });
        else lines.push({ line, text });
      }
    }
    return lines;
  }

  #take(outcomes: readonly BulkLine[]): void {
    const results: { text: string; document: object }[] = [];
    for (const outcome of outcomes) {
      const { id, status, code = "badRequest" } = outcome;
      const line = this.#sent[this.#answered++]!;
      const isTaken = status === "accepted" || status === "held";
      if (isTaken) results.push({ text: id, document: { type: "posted", line, ...outcome } });
      else this.#refuse(line, code, { id });
    }
    if (results.length > 0) this.options.output.results(results);
    // All that was sent is answered, or much of it.
    if (this.#answered < this.#sent.length && this.#answered < 10_000) return;
    this.#sent = this.#sent.slice(this.#answered);
    this.#answered = 0;
  }

  #refuse(line: number, code: ErrorCode, { id, why = ERRORS[code].meaning }: Refusal = {}): void {
    const { output } = this.options;
    this.#refused++;
    this.#firstRefusal ??= { line, code };
    output.document({ type: "refused", line, ...(id !== undefined && { id }), code });
    output.warning(`line ${line} was not taken: ${code}: ${why}`);
  }
}

/** A line to post, and its number: the first is 1. */
interface Line {
  readonly line: number;
  readonly text: string;
}

interface Refusal {
  readonly id?: string | undefined;
  /** Absent: what the code means. */
  readonly why?: string;
}

function wasOrWere(count: number): string {
  return count === 1 ? "was" : "were";
}

/** The node was lost while lines were under way. */
function unknownFrom(line: number, error: HubcastError): HubcastError {
  const { code, message, suggestions } = error;
  return new HubcastError(code, `${message}; nobody knows what became of line ${line} and those behind it`, {
    suggestions: ["Post again from that line on: whatever was taken gets a second id.", ...suggestions],
    cause: error,
  });
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
