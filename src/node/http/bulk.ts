import { isUtf8 } from "node:buffer";
import type { FastifyReply, FastifyRequest } from "fastify";
import { LineBlocks, type Lines, portionsOf } from "../../core/buffers.js";
import { asHubcastError, HubcastError, isInternal } from "../../core/errors.js";
import { problemOf } from "../../runtime/http/problem.js";
import { checkDraft, draftFault } from "../arguments.js";
import type { BulkLine, PostOptions, PostResult } from "../broadcast.js";
import type { ItemDraft } from "../replica/item.js";
import { AnswerStream, streamOf } from "./answer-stream.js";
import { parseJson, SMALL_BODY_BYTES } from "./body.js";
import type { ApiContext } from "./options.js";

export const BULK_TYPES: ReadonlySet<string> = new Set([
  "application/x-ndjson",
  "application/ndjson",
  "application/jsonl",
]);

/** Some 5 ms of work, however short the lines are: all bulk requests together hand over one batch in a turn. */
const BATCH_LINES = 256;
/** Characters of lines that are posted one by one in a turn: as many as a request of the library has, so it is one batch. */
const BATCH_LENGTH = 262_144;
/** Batches of such lines whose results, or receipts, are not there yet: 4,096 lines. */
const BATCHES_IN_FLIGHT_MAX = 16;
/** Characters of their results that wait for the client, before further lines are posted. */
const RESULTS_LENGTH_MAX = 65_536;

/**
 * Carries one bulk request: reads while the node decides and the client takes results, in three bounded stages.
 * Batches are handed over as they arrive, several at a time, so that a disk can group their commits; results
 * leave in the order of the lines.
 */
export class BulkRequest {
  readonly #context: ApiContext;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #answer: AnswerStream;
  /** Resolves when all batches so far are answered. */
  #answered: Promise<void> = Promise.resolve();
  #inFlightBytes = 0;

  /** @param reply out of fastify's hands */
  constructor(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
    this.#context = context;
    this.#request = request;
    this.#reply = reply;
    this.#answer = new AnswerStream(
      reply.raw,
      { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-store" },
      context,
    );
  }

  /** Resolves when the last line is answered, or the client is gone. */
  async run(): Promise<void> {
    const { limits, logger, bulkTurns, bodiesHeld } = this.#context;
    const idle = setTimeout(() => this.#stalled(idle), limits.streamStallMs).unref();
    const lines = new LineBlocks(limits.bulkLineBytesMax);
    try {
      for await (const chunk of this.#request.raw as AsyncIterable<Buffer>) {
        for (const portion of portionsOf(lines.push(chunk), BATCH_LINES)) {
          await new Promise<void>((resolve) => bulkTurns.add([resolve]));
          this.#hand(new BulkBatch(portion));
        }
        bodiesHeld.release(this);
        if (lines.restBytes > SMALL_BODY_BYTES) bodiesHeld.keep(this, lines.restBytes);
        if (this.#inFlightBytes > limits.bulkInFlightBytesMax) await this.#answered;
        await this.#answer.whenBelow(limits.bulkResultBytesMax);
        if (this.#answer.gone) return;
        idle.refresh();
      }
    } catch (error) {
      logger.debug({ err: error }, "a bulk request broke off");
      return;
    } finally {
      clearTimeout(idle);
      bodiesHeld.release(this);
    }
    this.#hand(new BulkBatch(lines.end()));
    await this.#answered;
    await this.#answer.end();
  }

  cut(): void {
    this.#request.raw.socket.destroy();
  }

  #hand(batch: BulkBatch): void {
    if (batch.lineCount === 0) return;
    this.#inFlightBytes += batch.bytes;
    const outcomes = batch.drafts.length > 0 ? this.#decide(batch) : [];
    this.#answered = this.#answered.then(async () => {
      this.#answer.push(batch.answer(await outcomes));
      this.#inFlightBytes -= batch.bytes;
    });
    // Only a bug gets here. It must not wait for somebody to look: the client would wait for its line.
    this.#answered.catch(() => this.#reply.raw.destroy());
  }

  /** A node that cannot take a batch, or not all of it from this caller, refuses each such line; the stream goes on. */
  async #decide({ drafts }: BulkBatch): Promise<readonly BulkLine[]> {
    const { postRate, keyRate, refusals } = this.#context;
    const excess = keyRate.excess(this.#request, drafts);
    const wanted = excess.size === 0 ? drafts : drafts.filter((draft) => !excess.has(draft));
    const granted = postRate.grant(this.#request, wanted.length);
    const taken = granted === wanted.length ? wanted : wanted.slice(0, granted);
    const outcomes = taken.length === 0 ? [] : await this.#post(taken);
    for (const [index, { status }] of outcomes.entries())
      keyRate.charge(this.#request, taken[index]!, status);
    if (taken.length === drafts.length) return outcomes;
    let next = 0;
    return drafts.map((draft): BulkLine => {
      if (draft === taken[next]) return outcomes[next++]!;
      const code = excess.has(draft) ? "keyRateLimited" : "rateLimited";
      refusals.count(code);
      return { id: draft.id ?? "", status: "refused", code };
    });
  }

  async #post(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]> {
    try {
      return await this.#context.node.acceptMany(drafts);
    } catch (thrown) {
      const error = asHubcastError(thrown);
      const { code, message } = error;
      if (isInternal(error)) this.#context.logger.error({ err: thrown }, message);
      return drafts.map(({ id = "" }) => ({ id, status: "refused", code }));
    }
  }

  /** Nothing came for a while. That is the client's fault only when nothing of it is still being worked on. */
  #stalled(idle: NodeJS.Timeout): void {
    if (this.#inFlightBytes > 0 || this.#answer.waitingBytes > 0) {
      idle.refresh();
      return;
    }
    const { limits, refusals } = this.#context;
    const message = `no byte of the bulk body arrived for ${limits.streamStallMs} ms (streamStallMs)`;
    refusals.answer(this.#reply, new HubcastError("requestTimeout", message));
  }
}

/**
 * The lines of one chunk: drafts for the node, and outcomes of the lines that are none. One batch costs one
 * decoding and one call of the node; a line costs its JSON.parse and little else (bench/bulk.ts).
 */
export class BulkBatch {
  readonly drafts: ItemDraft[] = [];
  /** Answers for lines that are no draft, by their index among all lines of the batch. */
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
    // Not left to JSON.parse below: what it throws costs 5 us.
    if (line === "") return;
    let value: unknown;
    try {
      value = parseJson(line);
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

/** Posts one item for a caller whose rate allows it. @throws as `Broadcast.post`, and keyRateLimited */
export async function postOne(
  { node, keyRate }: Pick<ApiContext, "node" | "keyRate">,
  request: FastifyRequest,
  draft: ItemDraft,
  options: PostOptions | undefined,
): Promise<PostResult> {
  keyRate.check(request, draft);
  const result = await node.accept(draft, options);
  keyRate.charge(request, draft, result.status);
  return result;
}

/**
 * Posts each line of a body as an item of its own, some thousand at once. The answer has a line for each that is not empty,
 * in their order: a `PostResult`, or the `Problem` that refuses the item. Lines wait while their client does not read.
 */
export async function postEach(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  body: string,
  options: PostOptions | undefined,
): Promise<void> {
  const { bodiesHeld } = context;
  await streamOf(context, reply, "application/x-ndjson", async (answer) => {
    const inFlight: Promise<string[]>[] = [];
    const isLarge = body.length > SMALL_BODY_BYTES;
    if (isLarge) reply.raw.once("close", () => bodiesHeld.release(answer));
    const tellOldest = async () => {
      answer.push((await inFlight.shift()!).join(""));
      await answer.whenBelow(RESULTS_LENGTH_MAX);
    };
    for (const lines of batchesOf(body)) {
      await new Promise<void>((resolve) => context.bulkTurns.add([resolve]));
      if (answer.gone) return;
      if (isLarge) {
        bodiesHeld.release(answer);
        bodiesHeld.keep(answer, body.length);
      }
      inFlight.push(Promise.all(lines.map((line) => postLine(context, request, line, options))));
      if (inFlight.length === BATCHES_IN_FLIGHT_MAX) await tellOldest();
    }
    while (inFlight.length > 0) await tellOldest();
    await answer.end();
  });
}

/** The lines of a body, in batches of bounded count and size. Empty lines are left out, but count: to find them is work, too. */
function* batchesOf(body: string): Generator<readonly string[], void, undefined> {
  let lines: string[] = [];
  let begin = 0;
  let count = 0;
  for (let start = 0, end = 0; start < body.length; start = end + 1) {
    end = body.indexOf("\n", start);
    if (end < 0) end = body.length;
    const line = body.slice(start, end);
    if (line !== "" && line.trim() !== "") lines.push(line);
    if (++count < BATCH_LINES && end - begin < BATCH_LENGTH) continue;
    yield lines;
    lines = [];
    begin = end;
    count = 0;
  }
  yield lines;
}

async function postLine(
  context: ApiContext,
  request: FastifyRequest,
  line: string,
  options: PostOptions | undefined,
): Promise<string> {
  try {
    // Before the line is parsed: a bad one costs as much.
    context.postRate.takeOne(request);
    const draft = draftIn(line);
    return `${JSON.stringify(await postOne(context, request, draft, options))}\n`;
  } catch (thrown) {
    const error = asHubcastError(thrown);
    context.refusals.count(error.code);
    if (isInternal(error)) context.logger.error({ err: thrown }, error.message);
    return `${JSON.stringify(problemOf(error))}\n`;
  }
}

/** @throws badRequest, invalidItem */
function draftIn(line: string): ItemDraft {
  let draft: ItemDraft;
  try {
    draft = parseJson(line) as ItemDraft;
  } catch (fault) {
    throw new HubcastError("badRequest", `the line is not the JSON of an item: ${(fault as Error).message}`, {
      suggestions: ["Send one JSON object a line."],
    });
  }
  checkDraft(draft);
  return draft;
}
