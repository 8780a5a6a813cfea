import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { JoinedBytes, type SharedBytes, textOf } from "../../core/buffers.js";
import { HubcastError } from "../../core/errors.js";
import type { Limits } from "../../core/limits.js";

interface BodyRules {
  readonly limits: Limits;
  readonly bodyDeadlines: Deadlines;
  readonly bodiesHeld: SharedBytes;
  longTurn(): Promise<void>;
}

/** Smaller bodies do not count among those that are held: most come in one piece. */
export const SMALL_BODY_BYTES = 16_384;
/** Longer bodies are parsed one in a turn of the event loop, with turns for others between: 6 MB of escapes take 40 ms. */
const LONG_BODY_BYTES = 262_144;

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
  const { limits, bodyDeadlines, bodiesHeld } = context;
  if (Number(request.headers["content-length"]) > limits.requestBytesMax) {
    done(tooLarge(limits));
    return;
  }
  const body = new JoinedBytes();
  const keeper = { cut: () => request.socket.destroy() };
  let isOver = false;
  const end = () => {
    isOver = true;
    bodyDeadlines.meet(deadline);
    if (body.length > SMALL_BODY_BYTES) bodiesHeld.release(keeper);
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
    else if (body.length > SMALL_BODY_BYTES) {
      bodiesHeld.release(keeper);
      bodiesHeld.keep(keeper, body.length);
    }
  };
  const onEnd = () => {
    bodyDeadlines.meet(deadline);
    if (body.length > LONG_BODY_BYTES) void context.longTurn().then(finish);
    else finish();
  };
  const finish = () => {
    if (isOver) return;
    end();
    const bytes = body.take();
    if (bytes.length === 0) done(badRequest("the body is empty", "Send one JSON object."));
    else if (!isUtf8(bytes)) done(badRequest("the body is not valid UTF-8", "Encode the JSON as UTF-8."));
    else done(null, textOf(bytes));
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
    value = parseJson(text);
  } catch (fault) {
    done(
      badRequest(`the body is not the JSON of an item: ${(fault as Error).message}`, "Send one JSON object."),
    );
    return;
  }
  done(null, value);
}

/** Longer texts are looked at before they are parsed: of shorter ones no shape takes more than 2 ms. */
const PLAIN_LENGTH_MAX = 16_384;
/** Signs `{`, `[`, `:` and `,` outside of strings. An item has 8 at most, and each further field some two. */
const STRUCTURE_MAX = 1_024;

/**
 * Parses the JSON of one item. A long text is nearly all in its strings, which are cheap: 6 MB of brackets would take a
 * second. A byte order mark is skipped: files of some systems begin with one.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  if (text.length > PLAIN_LENGTH_MAX && !isPlain(text))
    throw new SyntaxError(`it has more than ${STRUCTURE_MAX} brackets, colons and commas`);
  return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
}

/** Takes 2.5 ns a character (bench/abuse.ts: structure). */
function isPlain(text: string): boolean {
  let inString = false;
  let found = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === COMMA || code === COLON || code === BRACKET || code === BRACE) {
      if (++found > STRUCTURE_MAX) return false;
    }
  }
  return true;
}

const [QUOTE, BACKSLASH, COMMA, COLON, BRACKET, BRACE] = [0x22, 0x5c, 0x2c, 0x3a, 0x5b, 0x7b];

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
