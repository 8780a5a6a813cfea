import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { HubcastError } from "../../core/errors.js";
import { errorOfAnswer, errorOfTransport, notHubcast } from "./faults.js";

/** Connections kept for calls; streams have their own. */
const CALL_SOCKETS_MAX = 64;

export interface Call {
  readonly method: "GET" | "POST";
  /** Path and query below the node's URL. */
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
  /** Time that the node may take on top of the usual, because it was asked to wait. */
  readonly extraMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether it does no harm to send it twice. */
  readonly repeatable?: boolean;
}

export interface CallerOptions {
  readonly token?: string | undefined;
  readonly timeoutMs: number;
  /** PEM of an authority to trust, for a node with a certificate of its own making. */
  readonly ca?: string | Buffer | undefined;
}

/**
 * Speaks HTTP to one node and turns whatever goes wrong into a HubcastError. Built on node:http because every
 * command loads it: a first request costs 22 ms of CPU over an empty Node, with undici 90 to 180 ms.
 */
export class Caller {
  readonly url: URL;
  readonly #options: CallerOptions;
  readonly #module: typeof http;
  readonly #agent: http.Agent;
  readonly #streamAgent: http.Agent;
  readonly #streams = new Set<ClientRequest>();
  #closed = false;

  static async create(url: URL, options: CallerOptions): Promise<Caller> {
    const secure = url.protocol === "https:";
    return new Caller(url, options, secure ? ((await import("node:https")) as unknown as typeof http) : http);
  }

  private constructor(url: URL, options: CallerOptions, module: typeof http) {
    this.url = url;
    this.#options = options;
    this.#module = module;
    this.#agent = new module.Agent({ keepAlive: true, maxSockets: CALL_SOCKETS_MAX });
    this.#streamAgent = new module.Agent({ keepAlive: false });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @returns the parsed body of a 2xx answer @throws the refusal, unreachable, notHubcast, connectionLost, deadline */
  async json(call: Call): Promise<unknown> {
    const deadline = new AbortController();
    const timeoutMs = this.#options.timeoutMs + (call.extraMs ?? 0);
    const timer = setTimeout(() => deadline.abort(this.#tooLate(timeoutMs)), timeoutMs);
    const signal = call.signal ? AbortSignal.any([call.signal, deadline.signal]) : deadline.signal;
    try {
      const response = await this.#answerTo({ ...call, signal });
      const text = await this.#textOf(response, signal);
      if ((response.statusCode ?? 0) >= 300) throw errorOfAnswer(response, text, this.url);
      return parsed(text, response, this.url);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Starts a request whose body or answer is a stream; the caller ends it. `answer` resolves with the head of a 200.
   * Aborting `signal`, or `close`, ends both.
   */
  stream(call: Omit<Call, "body">): { request: ClientRequest; answer: Promise<IncomingMessage> } {
    const request = this.#start(call, this.#streamAgent);
    this.#streams.add(request);
    request.once("close", () => this.#streams.delete(request));
    const answer = this.#headOf(request, call.signal).then(async (response) => {
      if (response.statusCode === 200) return response;
      throw errorOfAnswer(response, await this.#textOf(response, call.signal), this.url);
    });
    return { request, answer };
  }

  close(): void {
    this.#closed = true;
    for (const request of this.#streams) request.destroy();
    this.#agent.destroy();
    this.#streamAgent.destroy();
  }

  /** A kept connection may be closed by the node at the very moment it is used again: then once more. */
  async #answerTo(call: Call): Promise<IncomingMessage> {
    const request = this.#start(call, this.#agent);
    request.end(call.body);
    try {
      return await this.#headOf(request, call.signal);
    } catch (error) {
      const lost = error instanceof HubcastError && error.code === "connectionLost";
      if (!lost || !request.reusedSocket || !call.repeatable) throw error;
    }
    const again = this.#start(call, this.#agent);
    again.end(call.body);
    return this.#headOf(again, call.signal);
  }

  #start({ method, path, headers, signal, body }: Call, agent: http.Agent): ClientRequest {
    if (this.#closed)
      throw new HubcastError("connectionLost", `the connection to ${this.url.origin} is closed`);
    signal?.throwIfAborted();
    const { token, ca } = this.#options;
    const options = {
      method,
      agent,
      path: `${this.url.pathname.replace(/\/+$/, "")}${path}`,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...headers,
      },
      ...(signal ? { signal } : {}),
      ...(ca === undefined ? {} : { ca }),
    };
    return this.#module.request(this.url, options);
  }

  #headOf(request: ClientRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", (error) =>
        reject(signal?.aborted ? signal.reason : errorOfTransport(error, this.url)),
      );
    });
  }

  /** By events, not by iterating: half the cost, and the dashboard asks some fifty times a second (bench/top.ts). */
  #textOf(response: IncomingMessage, signal: AbortSignal | undefined): Promise<string> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const fail = (error: NodeJS.ErrnoException) =>
        reject(signal?.aborted ? signal.reason : errorOfTransport(error, this.url));
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("end", () => resolve(Buffer.concat(chunks).toString()));
      response.once("error", fail);
      response.once("close", () => {
        if (!response.complete) fail(Object.assign(new Error("cut off"), { code: "ECONNRESET" }));
      });
    });
  }

  #tooLate(timeoutMs: number): HubcastError {
    return new HubcastError("deadline", `${this.url.origin} did not answer within ${timeoutMs} ms`, {
      suggestions: ["Try again, or ask another node: this one may be overloaded or frozen."],
    });
  }
}

function parsed(text: string, response: IncomingMessage, url: URL): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notHubcast(url, response);
  }
}
