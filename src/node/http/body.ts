import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { JoinedBytes } from "../../core/buffers.js";
import { HubcastError } from "../../core/errors.js";
import type { Limits } from "../../core/limits.js";

interface BodyRules {
  readonly limits: Limits;
  readonly bodyDeadlines: Deadlines;
}

/**
 * A parser of fastify for JSON, whatever the content type says.
 * @param done called with the value, or with badRequest (empty, no UTF-8, no JSON), tooLarge, requestTimeout, connectionLost
 */
export function readJson(request: IncomingMessage, context: BodyRules, done: Done): void {
  readText(request, context, (error, text) => {
    if (error) done(error);
    else parse(text!, done);
  });
}

/**
 * A parser of fastify for a text that is read whole. Fastify's own keeps each chunk as a Buffer: a body of
 * `requestBytesMax` in chunks of one byte takes 1.5 GB, here 6 MB. It also takes bytes that are no UTF-8, and waits for
 * ever.
 * @param done called with the text, or with badRequest (empty, no UTF-8), tooLarge, requestTimeout, connectionLost
 */
export function readText(request: IncomingMessage, context: BodyRules, done: Done<string>): void {
  const { limits, bodyDeadlines } = context;
  if (Number(request.headers["content-length"]) > limits.requestBytesMax) {
    done(tooLarge(limits));
    return;
  }
  const body = new JoinedBytes();
  let isOver = false;
  const end = () => {
    isOver = true;
    bodyDeadlines.meet(deadline);
    request.off("data", onData).off("end", onEnd);
  };
  const fail = (error: HubcastError) => {
    if (isOver) return;
    end();
    done(error);
  };
  const onData = (chunk: Buffer) => {
    body.push(chunk);
    if (body.length > limits.requestBytesMax) fail(tooLarge(limits));
  };
  const onEnd = () => {
    end();
    const bytes = body.take();
    if (bytes.length === 0) done(badRequest("the body is empty", "Send one JSON object."));
    else if (!isUtf8(bytes)) done(badRequest("the body is not valid UTF-8", "Encode the JSON as UTF-8."));
    else done(null, bytes.toString());
  };
  const deadline = bodyDeadlines.set(() => fail(tooSlow(limits)));
  request.on("data", onData).on("end", onEnd);
  // It stays: a connection may also fail when its body is read.
  request.on("error", () => fail(new HubcastError("connectionLost", "the client left inside its body")));
}

type Done<Value = unknown> = (error: Error | null, value?: Value) => void;

function parse(text: string, done: Done): void {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (fault) {
    done(badRequest(`the body is not JSON: ${(fault as Error).message}`, "Send one JSON object."));
    return;
  }
  done(null, value);
}

function badRequest(message: string, suggestion: string): HubcastError {
  return new HubcastError("badRequest", message, { suggestions: [suggestion] });
}

function tooLarge(limits: Limits): HubcastError {
  const message = `the body has more than ${limits.requestBytesMax} bytes (requestBytesMax)`;
  return new HubcastError("tooLarge", message, {
    suggestions: [`Keep raw under ${limits.rawBytesMax} bytes; announce where to fetch what is larger.`],
  });
}

function tooSlow(limits: Limits): HubcastError {
  const message = `the body did not arrive within ${limits.requestTimeoutMs} ms (requestTimeoutMs)`;
  return new HubcastError("requestTimeout", message, {
    suggestions: ["Send the whole body at once, with the right Content-Length."],
  });
}

/** One thing that must be over in time. */
interface Deadline {
  readonly atMs: number;
  readonly expire: () => void;
}

/**
 * Many deadlines of one length, on one timer: a timer of its own for each request costs as much as parsing its JSON
 * (bench/http-post.ts). They expire in the order in which they were set.
 */
export class Deadlines {
  readonly #lengthMs: number;
  readonly #pending = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  /** @param expire called once when the time is over, unless the deadline is met before */
  set(expire: () => void): Deadline {
    const deadline = { atMs: performance.now() + this.#lengthMs, expire };
    this.#pending.add(deadline);
    this.#timer ??= setTimeout(() => this.#sweep(), this.#lengthMs).unref();
    return deadline;
  }

  meet(deadline: Deadline): void {
    this.#pending.delete(deadline);
  }

  #sweep(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const deadline of this.#pending) {
      if (deadline.atMs > nowMs) {
        this.#timer = setTimeout(() => this.#sweep(), deadline.atMs - nowMs).unref();
        return;
      }
      this.#pending.delete(deadline);
      deadline.expire();
    }
  }
}
