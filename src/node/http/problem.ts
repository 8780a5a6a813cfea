import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { ERRORS, type ErrorCode, type HubcastError } from "../../core/errors.js";

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
    // What broke inside is for the log, not for the caller.
    detail: error.code === "bug" ? "The request could not be carried out." : error.message,
    code: error.code,
    suggestions: error.suggestions,
  };
}

/**
 * Answers with a problem, unless an answer has begun already; then the connection is cut.
 * @param refusedBodyMs how long the rest of a body may take that is still being sent
 */
export function sendProblem(
  response: ServerResponse,
  error: HubcastError,
  refusedBodyMs: number,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify(problemOf(error));
  response.writeHead(error.httpStatus, {
    "content-type": "application/problem+json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...HEADERS_OF[error.code],
    ...headers,
  });
  if (response.req.complete) {
    response.end(body);
    return;
  }
  response.write(body);
  endBehindBody(response, refusedBodyMs);
}

const HEADERS_OF: { readonly [Code in ErrorCode]?: OutgoingHttpHeaders } = {
  unauthorized: { "www-authenticate": 'Bearer realm="hubcast"' },
  rateLimited: { "retry-after": "1" },
  keyRateLimited: { "retry-after": "1" },
  stopping: { "retry-after": "5" },
  clockSkew: { "retry-after": "60" },
  tooManySubscribers: { "retry-after": "10" },
};

/**
 * Reads and forgets what is left of a refused body, for a bounded time, and only then ends the answer, which is out
 * already. A socket closed with unread bytes sends a reset, and the client would lose the answer that says why.
 */
function endBehindBody(response: ServerResponse, refusedBodyMs: number): void {
  const request = response.req;
  const timer = setTimeout(() => request.socket.destroy(), refusedBodyMs).unref();
  request.once("end", () => response.end());
  request.once("close", () => clearTimeout(timer));
  request.resume();
}
