import type { IncomingMessage, ServerResponse } from "node:http";
import { asHubcastError, HubcastError } from "../../core/errors.js";
import type { ItemDraft } from "../protocol/item.js";
import type { BulkLine } from "../service.js";
import { AnswerStream } from "./answer-stream.js";
import { BulkBatch } from "./bulk-batch.js";
import { LineBlocks } from "./lines.js";
import type { ApiContext } from "./route.js";

/**
 * Carries one bulk request: reads while the node decides and the client takes results, in three bounded stages.
 * Batches are handed over as they arrive, several at a time, so that a disk can group their commits; results
 * leave in the order of the lines.
 */
export class BulkRequest {
  readonly #context: ApiContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #answer: AnswerStream;
  /** Resolves when all batches so far are answered. */
  #answered: Promise<void> = Promise.resolve();
  #inFlightBytes = 0;

  constructor(context: ApiContext, request: IncomingMessage, response: ServerResponse) {
    this.#context = context;
    this.#request = request;
    this.#response = response;
    this.#answer = new AnswerStream(
      response,
      { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-store" },
      context.limits.streamStallMs,
    );
  }

  /** Resolves when the last line is answered, or the client is gone. */
  async run(): Promise<void> {
    const { limits, logger } = this.#context;
    const idle = setTimeout(() => this.#stalled(idle), limits.streamStallMs).unref();
    const lines = new LineBlocks(limits.bulkLineBytesMax);
    try {
      for await (const chunk of this.#request as AsyncIterable<Buffer>) {
        this.#hand(new BulkBatch(lines.push(chunk)));
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
    }
    this.#hand(new BulkBatch(lines.end()));
    await this.#answered;
    await this.#answer.end();
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
    this.#answered.catch(() => this.#response.destroy());
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
      return await this.#context.service.postMany(drafts);
    } catch (thrown) {
      const { code, message } = asHubcastError(thrown);
      if (code === "bug") this.#context.logger.error({ err: thrown }, message);
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
    refusals.answer(this.#response, new HubcastError("requestTimeout", message));
  }
}
