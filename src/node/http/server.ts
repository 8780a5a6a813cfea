import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { HubcastError } from "../../core/errors.js";
import type { CompleteOptions } from "./options.js";
import { problemOf } from "./problem.js";
import type { RefusalBook } from "./refusal-book.js";

/** How long a connection may idle between two requests; longer than the 60 s that proxies and clients keep one. */
const KEEP_ALIVE_MS = 65_000;

/** The listening socket and its connections: who is let in, how long things may take, and how it ends. */
export class HttpServer {
  readonly #server: Server;
  readonly #refusal: (request: IncomingMessage) => HubcastError | undefined;
  readonly #refusals: RefusalBook;
  readonly #closeMs: number;
  readonly #refusedBodyMs: number;
  #handle: RequestListener = () => {};
  #runningCount = 0;
  #closing = false;
  #idle = () => {};

  /** @param refusal says why a request must not go on; asked before anything else looks at it */
  static async create(
    options: CompleteOptions,
    refusal: (request: IncomingMessage) => HubcastError | undefined,
    refusals: RefusalBook,
  ): Promise<HttpServer> {
    const { tls, limits } = options;
    const settings: ServerOptions = {
      maxHeaderSize: limits.requestHeaderBytesMax,
      // Covers connections that send nothing, too. Bodies have their own deadlines: a bulk body may take for ever.
      headersTimeout: limits.requestTimeoutMs,
      requestTimeout: 0,
      // Often, so that thousands of connections that came together are not all closed in one go.
      connectionsCheckingInterval: Math.min(50, limits.requestTimeoutMs),
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    if (!tls) return new HttpServer(createServer(settings), options, refusal, refusals);
    const { createServer: createTlsServer } = await import("node:https");
    let server: Server;
    try {
      server = createTlsServer({ ...settings, ...tls });
    } catch (cause) {
      throw new HubcastError(
        "invalidOption",
        `the TLS certificate or key cannot be used: ${messageOf(cause)}`,
        {
          cause,
          suggestions: ["Give a PEM certificate with --tls-cert and its own key with --tls-key."],
        },
      );
    }
    return new HttpServer(server, options, refusal, refusals);
  }

  private constructor(
    server: Server,
    { limits, logger }: CompleteOptions,
    refusal: (request: IncomingMessage) => HubcastError | undefined,
    refusals: RefusalBook,
  ) {
    this.#server = server;
    this.#refusal = refusal;
    this.#refusals = refusals;
    this.#closeMs = limits.closeMs;
    this.#refusedBodyMs = limits.refusedBodyMs;
    server.maxConnections = limits.httpConnectionsMax;
    server.on("request", (request, response) => this.#take(request, response, false));
    server.on("checkContinue", (request, response) => this.#take(request, response, true));
    server.on("clientError", (error, socket) => this.#misunderstood(error, socket as Socket));
    server.on("drop", () => {
      refusals.count("tooManyConnections");
      logger.warn(
        { httpConnectionsMax: limits.httpConnectionsMax },
        "too many HTTP connections: one is closed",
      );
    });
  }

  /** Who answers the requests that are let in. */
  serve(handle: RequestListener): Server {
    this.#handle = handle;
    return this.#server;
  }

  /** @throws portInUse, cannotListen */
  async listen(host: string, port: number): Promise<{ host: string; port: number }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => reject(listenError(error, host, port)));
      // A backlog for bursts of connections; the kernel caps it (net.core.somaxconn).
      this.#server.listen({ host, port, backlog: 4_096 }, resolve);
    });
    this.#server.removeAllListeners("error");
    this.#server.on("error", () => {});
    const { address, port: bound } = this.#server.address() as AddressInfo;
    return { host: address, port: bound };
  }

  /** Stops listening; running requests may finish for `closeMs`, then every connection is cut. */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#runningCount > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        setTimeout(resolve, this.#closeMs).unref();
      });
    }
    this.#server.closeAllConnections();
    await closed;
  }

  #take(request: IncomingMessage, response: ServerResponse, waitsForContinue: boolean): void {
    this.#runningCount++;
    response.once("close", () => {
      if (--this.#runningCount === 0) this.#idle();
      if (!request.complete) this.#endBody(request);
    });
    const refusal = this.#closing ? stopping() : this.#refusal(request);
    if (refusal) {
      this.#refusals.answer(response, refusal, this.#closing ? { connection: "close" } : {});
      return;
    }
    if (waitsForContinue) response.writeContinue();
    this.#handle(request, response);
  }

  /** The answer is out, but a body that nobody asked for still comes: not for ever. */
  #endBody(request: IncomingMessage): void {
    const timer = setTimeout(() => request.socket.destroy(), this.#refusedBodyMs).unref();
    request.once("close", () => clearTimeout(timer));
  }

  /** What came is no HTTP, or its head did not come in time. Answered only where no other answer can be under way. */
  #misunderstood(error: NodeJS.ErrnoException, socket: Socket): void {
    if (!socket.writable || socket.bytesWritten > 0) {
      socket.destroy();
      return;
    }
    if (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && socket.bytesRead === 0) {
      // Nobody asked anything. There may be thousands of them at once, and an answer costs more than the connection did.
      this.#refusals.count("requestTimeout");
      socket.destroy();
      return;
    }
    const { status, reason, problem } = misunderstanding(error.code);
    this.#refusals.count(problem.code);
    const body = JSON.stringify(problemOf(problem, status));
    socket.end(
      `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    setTimeout(() => socket.destroy(), 500).unref();
  }
}

function misunderstanding(code: string | undefined): {
  status: number;
  reason: string;
  problem: HubcastError;
} {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return {
        status: 408,
        reason: "Request Timeout",
        problem: new HubcastError("requestTimeout", "the head of the request did not arrive in time"),
      };
    case "HPE_HEADER_OVERFLOW":
      return {
        status: 431,
        reason: "Request Header Fields Too Large",
        problem: new HubcastError("tooLarge", "the head of the request is too large (requestHeaderBytesMax)"),
      };
    default:
      return {
        status: 400,
        reason: "Bad Request",
        problem: new HubcastError("badRequest", "this is not an HTTP request"),
      };
  }
}

function stopping(): HubcastError {
  return new HubcastError("stopping", "the node is shutting down", {
    suggestions: ["Ask another node of the cluster, or come back when this one runs again."],
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): HubcastError {
  if (error.code === "EADDRINUSE") {
    return new HubcastError("portInUse", `port ${port} is already in use; pass --port 0 to take a free one`, {
      cause: error,
      suggestions: ["Pass --port 0 to take a free port, or another port."],
    });
  }
  return new HubcastError("cannotListen", `cannot listen on ${host} port ${port}: ${error.message}`, {
    cause: error,
    suggestions: [
      error.code === "EACCES"
        ? "Take a port from 1024 on, or run with the right to bind low ports."
        : "Pass an address of this machine as --host, or leave it out for 127.0.0.1.",
    ],
  });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
