import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { FastifyReply } from "fastify";
import { asHubcastError, ERRORS, type ErrorCode, HubcastError, isInternal } from "../../core/errors.js";
import type { ReadTurns } from "./read-turns.js";

/** The logger of a server; a pino logger fits. */
export interface HttpLogger {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Body of every refusal: RFC 9457, `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly suggestions: readonly string[];
}

/** @param status another than the code's own, where HTTP has a finer one (431) */
export function problemOf(error: HubcastError, status: number = error.httpStatus): Problem {
  return {
    type: `urn:hubcast:error:${error.code}`,
    title: ERRORS[error.code].meaning,
    status,
    // Internal details go to the log, not to the caller.
    detail: isInternal(error) ? "The request could not be carried out." : error.message,
    code: error.code,
    suggestions: isInternal(error) ? [] : error.suggestions,
  };
}

/** Method and path of a request, for the log. The query is left out: it may hold a token by mistake. */
export function calledOf({ method, url }: IncomingMessage): { method: string | undefined; path: string } {
  return { method, path: url!.split("?", 1)[0]! };
}

/** An unread body up to this size, announced by its length, costs less than a new connection would. */
const CHEAP_BODY_BYTES = 65_536;

/** Whether parsing the body could cost more than its client paid: it comes in chunks of any size, or is large. */
export function isCostly({ headers }: IncomingMessage): boolean {
  return (
    headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > CHEAP_BODY_BYTES
  );
}

/** The answer is sent, but an unwanted body still arrives: reading it has a limit. */
export function limitBody(request: IncomingMessage, refusedBodyMs: number): void {
  const timer = setTimeout(() => request.socket.destroy(), refusedBodyMs).unref();
  request.once("close", () => clearTimeout(timer));
}

/** Refusals of callers that are not allowed in, or whose body broke a limit. */
const CLOSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unauthorized",
  "tooManyGuesses",
  "forbidden",
  "foreignHost",
  "foreignOrigin",
  "tooLarge",
  "requestTimeout",
]);

const HEADERS_OF: { readonly [Code in ErrorCode]?: Record<string, string> } = {
  unauthorized: { "www-authenticate": 'Bearer realm="hubcast"' },
  tooManyGuesses: { "retry-after": "1" },
  rateLimited: { "retry-after": "1" },
  keyRateLimited: { "retry-after": "1" },
  stopping: { "retry-after": "5" },
  clockSkew: { "retry-after": "60" },
  tooManySubscribers: { "retry-after": "10" },
};

/** Answers refusals and counts each under its code. */
export class RefusalCounter extends Map<string, number> {
  readonly #turns: ReadTurns;
  readonly #logger: HttpLogger;

  constructor(turns: ReadTurns, logger: HttpLogger) {
    super();
    this.#turns = turns;
    this.#logger = logger;
  }

  /**
   * Answers with a problem, unless an answer has begun already; then the connection is cut. A body that is not read yet
   * is not parsed any more, and the connection is closed behind the answer; only after a refusal for a while is a small
   * body read, and the connection kept.
   */
  answer(reply: FastifyReply, thrown: unknown): void {
    const error = refusalOf(thrown);
    this.count(error.code);
    const { raw, request } = reply;
    const fields = calledOf(request.raw);
    if (isInternal(error)) this.#logger.error({ err: thrown, ...fields }, "a request failed");
    else this.#logger.debug({ code: error.code, ...fields }, error.message);
    // A client that is gone reads no answer. Thousands may go at once.
    if (raw.headersSent || request.raw.socket.destroyed) {
      raw.destroy();
      return;
    }
    reply.code(error.httpStatus).headers({
      "content-type": "application/problem+json; charset=utf-8",
      "cache-control": "no-store",
      ...HEADERS_OF[error.code],
    });
    // A parser of fastify that fails closes the connection; here the next lines decide.
    if (error.code !== "stopping") reply.removeHeader("connection");
    const isUnread = !request.raw.complete;
    if (isUnread && (CLOSING.has(error.code) || isCostly(request.raw))) this.#answerAndClose(reply, error);
    else reply.send(problemOf(error));
  }

  count(code: string): void {
    this.set(code, (this.get(code) ?? 0) + 1);
  }

  /**
   * Out of fastify's hands: node:http would destroy the socket behind the answer, and its client, which sends, not read
   * it.
   */
  #answerAndClose(reply: FastifyReply, error: HubcastError): void {
    reply.hijack();
    const { raw } = reply;
    const { socket } = raw.req;
    const body = JSON.stringify(problemOf(error));
    raw.writeHead(error.httpStatus, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      "content-length": Buffer.byteLength(body),
      connection: "close",
    });
    this.#turns.discard(socket);
    // Without a body to write, the head would wait for the end.
    if (raw.req.method === "HEAD") raw.flushHeaders();
    raw.write(body, () => this.#turns.close(socket));
  }
}

/** Translates an error that fastify throws. */
function refusalOf(thrown: unknown): HubcastError {
  switch ((thrown as { readonly code?: unknown } | undefined)?.code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new HubcastError("unsupportedMediaType", "the content type is not taken here", {
        suggestions: ["Send `Content-Type: application/json` for one item, `application/x-ndjson` for many."],
      });
    case "FST_ERR_BAD_URL":
      return new HubcastError("badRequest", (thrown as Error).message, { cause: thrown });
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new HubcastError("notFound", "no id is that long", { cause: thrown });
    default:
      return asHubcastError(thrown);
  }
}
