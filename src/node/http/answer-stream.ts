import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import type { SharedBytes } from "../../core/buffers.js";
import type { Item } from "../replica/item.js";
import type { ApiContext } from "./options.js";

/** Texts are joined into blocks of about this size, before the client takes them and other requests have a turn. */
const BLOCK_LENGTH = 65_536;

/**
 * The body of an answer that is written bit by bit. It takes whatever it is given, passes it on as fast as the
 * client reads, and says how much waits. A client that takes nothing for `streamStallMs` is cut off, and one that takes
 * nothing for longest when answers wait with more than `answerBytesWaitingMax` in all.
 */
export class AnswerStream {
  readonly #response: ServerResponse;
  readonly #stallMs: number;
  readonly #waiting: SharedBytes;
  readonly #head: OutgoingHttpHeaders;
  #queued: (string | Buffer)[] = [];
  #queuedBytes = 0;
  #blocked = false;
  #gone: boolean;
  /** Some of it may wait for others too, and is not counted for each of them. */
  #isShared = false;
  #stall: NodeJS.Timeout | undefined;
  #waiters: (() => void)[] = [];

  constructor(
    response: ServerResponse,
    head: OutgoingHttpHeaders,
    { limits, answersWaiting }: Pick<ApiContext, "limits" | "answersWaiting">,
  ) {
    this.#response = response;
    this.#head = head;
    this.#stallMs = limits.streamStallMs;
    this.#waiting = answersWaiting;
    this.#gone = response.destroyed;
    response.on("drain", () => this.#unblock());
    response.on("close", () => this.#leave());
    // A failed write closes the response too; without a listener it would be thrown.
    response.on("error", () => this.#leave());
  }

  /** The client closed the connection, or was cut off: nothing that is pushed goes anywhere. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Bytes that the client has not taken yet, as far as this process knows. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#response.writableLength;
  }

  /** Sends the head with status 200, if it has not gone out yet. */
  open(): void {
    if (!this.#response.headersSent && !this.#gone) this.#response.writeHead(200, this.#head).flushHeaders();
  }

  /** @param text as it is, or in UTF-8: then it is kept and not copied, and may be pushed to others too */
  push(text: string | Buffer): void {
    if (this.#gone || text.length === 0) return;
    if (typeof text !== "string") this.#isShared = true;
    if (!this.#blocked) {
      this.#write(text);
      return;
    }
    this.#queuedBytes += Buffer.byteLength(text);
    const last = this.#queued.at(-1);
    if (typeof text === "string" && typeof last === "string" && last.length < BLOCK_LENGTH)
      this.#queued[this.#queued.length - 1] = last + text;
    else this.#queued.push(text);
    this.#count();
  }

  /** Resolves when no more than so many bytes wait, or the client is gone. */
  async whenBelow(bytes: number): Promise<void> {
    while (!this.#gone && this.waitingBytes > bytes && this.#blocked) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  /** By its connection: an answer that waits behind others on it has none yet. */
  cut(): void {
    this.#response.req.socket.destroy();
  }

  /** Ends the answer behind what was pushed. */
  async end(): Promise<void> {
    await this.whenBelow(0);
    if (this.#gone) return;
    this.open();
    this.#response.end();
  }

  #write(text: string | Buffer): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, this.#head);
    if (this.#response.write(text)) return;
    this.#blocked = true;
    this.#count();
    if (this.#stall) this.#stall.refresh();
    else this.#stall = setTimeout(() => this.#cutIfBlocked(), this.#stallMs).unref();
  }

  #count(): void {
    if (this.#isShared) this.#waiting.release(this);
    else this.#waiting.keep(this, this.waitingBytes);
  }

  #unblock(): void {
    this.#blocked = false;
    this.#waiting.release(this);
    while (this.#queued.length > 0 && !this.#blocked) {
      const block = this.#queued.shift()!;
      this.#queuedBytes -= Buffer.byteLength(block);
      this.#write(block);
    }
    this.#wake();
  }

  #cutIfBlocked(): void {
    this.#stall = undefined;
    if (this.#blocked) this.cut();
  }

  #leave(): void {
    this.#gone = true;
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#waiting.release(this);
    clearTimeout(this.#stall);
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/**
 * Writes many items without ever holding more than a block of text: as a list inside a JSON document, or one a line.
 * @param items nothing among them where others should have a turn
 * @param toText one item as it stands between `before` and `after`
 */
export async function streamItems(
  answer: AnswerStream,
  items: Iterable<Item | undefined>,
  frame: { readonly before: string; readonly between: string; readonly after: string },
  toText: (item: Item) => string,
): Promise<void> {
  let block = frame.before;
  let separator = "";
  for (const item of items) {
    if (item !== undefined) {
      block += separator + toText(item);
      separator = frame.between;
      if (block.length < BLOCK_LENGTH) continue;
      answer.push(block);
      block = "";
      await answer.whenBelow(BLOCK_LENGTH);
    }
    // A client that reads as fast as we write would otherwise keep everybody else waiting.
    await new Promise(setImmediate);
    if (answer.gone) return;
  }
  answer.push(block + frame.after);
  await answer.end();
}

/**
 * Takes the answer out of fastify's hands to write it bit by bit. As a stream that fastify pipes, a list of 100,000 items
 * comes in objects of their own, and nothing says how much waits for whom.
 */
export async function streamOf(
  context: Pick<ApiContext, "limits" | "refusals" | "answersWaiting">,
  reply: FastifyReply,
  mediaType: string,
  write: (answer: AnswerStream) => Promise<void>,
): Promise<void> {
  reply.hijack();
  const head = {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    "content-type": `${mediaType}; charset=utf-8`,
    "cache-control": "no-store",
  };
  try {
    await write(new AnswerStream(reply.raw, head, context));
  } catch (thrown) {
    context.refusals.answer(reply, thrown);
  }
}

/**
 * Answers with JSON that may be long. It is made one in a turn of the event loop, and written as the client reads it; fastify
 * would write it at once, and wait for ever.
 * @param make called when it is this answer's turn: thousands that wait hold nothing
 */
export async function sendLong(
  context: ApiContext,
  reply: FastifyReply,
  make: () => object | Promise<object>,
): Promise<void> {
  await context.longTurn();
  await streamOf(context, reply, "application/json", async (answer) => {
    // Thousands may have left while they waited.
    if (answer.gone) return;
    const text = JSON.stringify(await make());
    for (let start = 0, end = 0; start < text.length; start = end) {
      end = start + BLOCK_LENGTH;
      // Not between the two halves of a character.
      if (/[\ud800-\udbff]/.test(text.charAt(end - 1))) end++;
      answer.push(text.slice(start, end));
    }
    await answer.end();
  });
}
