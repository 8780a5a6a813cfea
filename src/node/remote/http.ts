import type { Readable } from "node:stream";
import type { Dispatcher, Pool } from "undici";
import { CONNECT_REASONS, HubcastError } from "../../core/errors.js";
import { type TokenSource, tokenOf, unlessAborted } from "../../core/options.js";
import { checkConnectOptions } from "../arguments.js";
import { refusalIn } from "./answers.js";

/** Connections for calls; each stream has one of its own. */
const CALL_SOCKETS_MAX = 64;

/** Bytes of one answer that is read whole: ten items as large as can be. A page that has more is asked for in parts. */
const ANSWER_BYTES_MAX = 67_108_864;

const JSON_TYPE = { "content-type": "application/json" };

export interface Call {
  readonly method: "GET" | "POST";
  /** Path and query below the node's URL. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Readable;
  /** Time that the node may take on top of the usual, because it was asked to wait. */
  readonly extraMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether it does no harm to send it twice. */
  readonly repeatable?: boolean;
  /** Of a stream: the node sends something within this time. */
  readonly silenceMs?: number;
}

export interface HttpOptions {
  readonly token?: TokenSource | undefined;
  readonly timeoutMs: number;
  /** PEM of an authority to trust besides the system's. */
  readonly ca?: string | Buffer | undefined;
}

/** HTTP to one node, by undici; whatever goes wrong becomes a HubcastError. */
export class NodeHttp {
  readonly #calls: Pool;
  readonly #repeatable: Dispatcher;
  readonly #streams: Pool;
  readonly #closing = new AbortController();

  /** Loads undici, which a program that only starts nodes does not need. */
  static async open(url: URL, options: HttpOptions): Promise<NodeHttp> {
    const { Pool, RetryAgent } = await import("undici");
    const { timeoutMs: timeout, ca } = options;
    const trusted = ca === undefined ? undefined : [...(await import("node:tls")).getCACertificates(), ca];
    const connect = { timeout, ...(trusted && { ca: trusted }) };
    // The bundle of the commands leaves HTTP/2 out.
    const shared = { connect, allowH2: false, headersTimeout: 0, bodyTimeout: 0 };
    // Each call has one deadline of ours, for head and body together.
    const bounds = { connections: CALL_SOCKETS_MAX, maxResponseSize: ANSWER_BYTES_MAX };
    const calls = new Pool(url.origin, { ...shared, ...bounds });
    // A kept connection may be closed by the node at the very moment it is used again: then once more. What a node
    // answered, be it a refusal, is an answer.
    const repeatable = new RetryAgent(calls, {
      maxRetries: 1,
      minTimeout: 1,
      methods: ["GET", "POST"],
      errorCodes: ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"],
      statusCodes: [],
    });
    const streams = new Pool(url.origin, shared);
    return new NodeHttp(url, options, calls, repeatable, streams);
  }

  private constructor(
    readonly url: URL,
    private readonly options: HttpOptions,
    calls: Pool,
    repeatable: Dispatcher,
    streams: Pool,
  ) {
    this.#calls = calls;
    this.#repeatable = repeatable;
    this.#streams = streams;
  }

  /** Aborts when it is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * @returns the parsed body of a 2xx answer
   * @throws the refusal, unreachable, notHubcast, connectionLost, deadline
   */
  async json(call: Call): Promise<unknown> {
    const { answer, answered } = await this.#exchange(call);
    return parsed(answered, answer, this.url);
  }

  /** @returns the lines of a 2xx answer @throws as `json` */
  async lines(call: Call): Promise<readonly string[]> {
    const { answered } = await this.#exchange(call);
    return answered.replace(/\n$/, "").split("\n");
  }

  async #exchange(call: Call): Promise<{ readonly answer: Answer; readonly answered: string }> {
    const { method, headers, body, extraMs = 0, signal: given, repeatable = false } = call;
    const timeoutMs = this.options.timeoutMs + extraMs;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(this.#tooLate(timeoutMs)), timeoutMs);
    const signal = given ? AbortSignal.any([given, deadline.signal]) : deadline.signal;
    try {
      const answer = await (repeatable ? this.#repeatable : this.#calls).request({
        origin: this.url.origin,
        path: this.#path(call.path),
        method,
        headers: { ...(await this.#authorization(signal)), ...(body !== undefined && JSON_TYPE), ...headers },
        body: body ?? null,
        signal,
      });
      const answered = await answer.body.text();
      if (answer.statusCode >= 300) throw refusalOf(answer, answered, this.url);
      return { answer, answered };
    } catch (error) {
      signal.throwIfAborted();
      throw errorOf(error, this.url);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends a request whose body or answer is a stream. Leaving it, aborting `signal`, or `close` ends the request.
   * @returns the body of a 200, and the node's clock, epoch ms, up to a second late @throws as `json`
   */
  async stream(call: Call): Promise<{ readonly chunks: AsyncIterable<string>; readonly clockMs: number }> {
    const { method, headers, body = null, silenceMs = 0, signal } = call;
    try {
      const answer = await this.#streams.request({
        path: this.#path(call.path),
        method,
        headers: { ...(await this.#authorization(signal)), ...headers },
        body,
        headersTimeout: silenceMs,
        bodyTimeout: silenceMs,
        ...(signal && { signal }),
      });
      if (answer.statusCode !== 200) throw refusalOf(answer, await answer.body.text(), this.url);
      const clockMs = Date.parse(String(answer.headers.date)) || Date.now() - 1_000;
      return { chunks: answer.body.setEncoding("utf8"), clockMs };
    } catch (error) {
      signal?.throwIfAborted();
      throw errorOf(error, this.url);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(closed(this.url));
    await Promise.all([this.#calls.destroy(), this.#streams.destroy()]);
  }

  /** @param signal ends the wait for a token that is a function's; so do `close` and the deadline of a call */
  async #authorization(signal: AbortSignal | undefined): Promise<Readonly<Record<string, string>>> {
    const { token: source, timeoutMs } = this.options;
    if (typeof source !== "function")
      return source === undefined ? {} : { authorization: `Bearer ${source}` };
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(noToken(timeoutMs)), timeoutMs);
    const ends = [late.signal, this.closing, ...(signal ? [signal] : [])];
    try {
      const token = await unlessAborted(tokenOf(source), AbortSignal.any(ends));
      // A token that is no function's was checked when the client was made.
      if (token !== undefined) checkConnectOptions({ token });
      return { authorization: `Bearer ${token}` };
    } finally {
      clearTimeout(timer);
    }
  }

  #tooLate(timeoutMs: number): HubcastError {
    return new HubcastError("deadline", `${this.url.origin} did not answer within ${timeoutMs} ms`, {
      suggestions: ["Try again, or ask another node: this one may be overloaded or frozen."],
    });
  }

  #path(path: string): string {
    return `${this.url.pathname.replace(/\/+$/, "")}${path}`;
  }
}

function noToken(timeoutMs: number): HubcastError {
  return new HubcastError(
    "deadline",
    `the function that is the option token gave none within ${timeoutMs} ms`,
  );
}

type Answer = Pick<Dispatcher.ResponseData, "statusCode" | "headers">;

/** Why an answer is not a 2xx: the node's own words, or notHubcast when they are not a node's. */
function refusalOf(answer: Answer, answered: string, url: URL): HubcastError {
  const refusal = refusalIn(answered, url);
  if (refusal) return refusal;
  // A proxy says so while the node behind it is away.
  if ([502, 503, 504].includes(answer.statusCode))
    return unreachable(url, `status ${answer.statusCode}, of a proxy`, undefined);
  return notHubcast(url, answer);
}

function parsed(answered: string, answer: Answer, url: URL): unknown {
  try {
    return JSON.parse(answered);
  } catch {
    throw notHubcast(url, answer);
  }
}

/** Translates a failure below HTTP by the code of undici or of the system. Any other error is rethrown. */
export function errorOf(error: unknown, url: URL): unknown {
  if (error instanceof HubcastError || !(error instanceof Error)) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error.name === "HTTPParserError" || code === "UND_ERR_HEADERS_OVERFLOW") return notHubcast(url);
  if (code === undefined) return error;
  switch (code) {
    case "UND_ERR_DESTROYED":
    case "UND_ERR_CLOSED":
      return closed(url);
    case "UND_ERR_HEADERS_TIMEOUT":
    case "UND_ERR_BODY_TIMEOUT":
      return new HubcastError("connectionLost", `${url.origin} sent nothing for too long`, { cause: error });
    case "UND_ERR_RES_EXCEEDED_MAX_SIZE":
      return new HubcastError("tooLarge", `${url.origin} answered more than ${ANSWER_BYTES_MAX} bytes`);
    case "UND_ERR_SOCKET":
    case "UND_ERR_REQ_RETRY":
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
    case "ECONNRESET":
    case "ECONNABORTED":
    case "EPIPE":
      if (syscall === "connect") break;
      return new HubcastError(
        "connectionLost",
        `${url.origin} closed the connection before its answer was complete`,
        { cause: error, suggestions: ["Look whether the node still runs, and try again."] },
      );
  }
  return unreachable(
    url,
    (code === "UND_ERR_CONNECT_TIMEOUT" ? CONNECT_REASONS.ETIMEDOUT : CONNECT_REASONS[code]) ??
      (error.message || code),
    error,
  );
}

function closed(url: URL): HubcastError {
  return new HubcastError("connectionLost", `the connection to ${url.origin} is closed`);
}

function unreachable(url: URL, reason: string, cause: Error | undefined): HubcastError {
  const certificate = /CERT|SSL|EPROTO/.test((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
  return new HubcastError("unreachable", `no node answers at ${url.origin} (${reason})`, {
    cause,
    suggestions: certificate
      ? ["Check http or https, and let NODE_EXTRA_CA_CERTS name the file of the authority to trust."]
      : [
          "Start a node there: hubcast broadcast start.",
          "Or name another one with --url or HUBCAST_URL; hubcast discover lists those on this network.",
        ],
  });
}

/** @param answer absent when it was not even HTTP */
export function notHubcast(url: URL, answer?: Answer): HubcastError {
  const what = answer
    ? `status ${answer.statusCode}, ${answer.headers["content-type"] ?? "no content type"}`
    : "not HTTP";
  return new HubcastError("notHubcast", `what answers at ${url.origin} is not a hubcast node (${what})`, {
    suggestions: [
      "Check the port: a node says where it listens when it starts.",
      "A hub is no node: it speaks on its own port (9999), without HTTP.",
    ],
  });
}
