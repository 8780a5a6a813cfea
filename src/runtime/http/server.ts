import { createServer, type ServerOptions } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import AjvCompiler, { type Ajv, type ValidatorFactory } from "@fastify/ajv-compiler";
import {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchemaCompiler,
  type FastifySchemaValidationError,
  fastify,
} from "fastify";
import { HubcastError } from "../../core/errors.js";
import type { LIMITS } from "../../core/limits.js";
import { ServedCertificate, type TlsPair } from "../certificate.js";
import { connectionsThatFit, type ListenFlags, listen } from "../listen.js";
import type { Role, TokenTable } from "../tokens.js";
import { paceHandshakes } from "../turns.js";
import type { Gate } from "./gate.js";
import { calledOf, type HttpLogger, isCostly, limitBody, problemOf, RefusalCounter } from "./problem.js";
import { type Arrivals, ReadTurns } from "./read-turns.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The right that a token must have; absent for probes, which show no token. */
    readonly role?: Role;
  }
  interface FastifyRequest {
    /** Names the token that it showed and that is one of the server's (see TokenTable). */
    token?: string | undefined;
  }
}

export interface HttpSettings {
  /** PEM; the server then speaks HTTPS only. */
  readonly tls?: TlsPair | undefined;
  readonly limits: { readonly [Name in ServerLimit]: number };
  readonly logger: HttpLogger;
  /** Asked before anything else looks at a request. */
  readonly gate: Gate;
  readonly tokens: TokenTable;
  /** Where to go on from a path that is not there. */
  readonly advice: string;
}

type ServerLimit = Extract<
  keyof typeof LIMITS,
  | "requestHeaderBytesMax"
  | "requestTimeoutMs"
  | "httpConnectionsMax"
  | "filesReserved"
  | "refusedBodyMs"
  | "closeMs"
  | "idBytesMax"
>;

/** A limit of open files that leaves fewer is worth a warning; most nodes never see as many. */
const FEW_CONNECTIONS = 1_000;

/** How long a connection may idle between two requests; longer than the 60 s that proxies and clients keep one. */
const KEEP_ALIVE_MS = 65_000;

/**
 * A fastify instance with the needs of every server here: access, deadlines, refusals, and an orderly end. Routes are
 * fastify's own; `config.role` is the right that a token must have.
 */
export class HttpServer {
  readonly app: FastifyInstance;
  readonly refusals: RefusalCounter;
  readonly certificate: ServedCertificate;
  readonly #settings: HttpSettings;
  readonly #turns: ReadTurns;
  readonly #calls: { readonly method: string; readonly url: string }[] = [];
  #runningCount = 0;
  #closing = false;
  #idle = () => {};

  /** @throws invalidOption when the certificate or key cannot be used */
  constructor(settings: HttpSettings) {
    const { tls, limits, logger } = settings;
    this.#settings = settings;
    this.certificate = new ServedCertificate(tls, (fault) => logger.warn({}, fault));
    this.#turns = new ReadTurns(limits.refusedBodyMs, () => {
      this.refusals.count("rateLimited");
      logger.debug({}, "an HTTP connection is cut: it causes more work than its share");
    });
    this.refusals = new RefusalCounter(this.#turns, logger);
    const options: ServerOptions = {
      maxHeaderSize: limits.requestHeaderBytesMax,
      // Covers connections that send nothing, too. Bodies have their own deadlines: a bulk body may take for ever.
      headersTimeout: limits.requestTimeoutMs,
      requestTimeout: 0,
      // Often, so that thousands of connections that came together are not all closed in one go.
      connectionsCheckingInterval: Math.min(50, limits.requestTimeoutMs),
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    this.app = fastify({
      serverFactory: (handle) => {
        const ofTls = { ...options, ...tls, handshakeTimeout: limits.requestTimeoutMs };
        const server = tls ? createTlsServer(ofTls, handle) : createServer(options, handle);
        if (tls) paceHandshakes(server as unknown as TlsServer, limits.requestTimeoutMs);
        // Answered like any request; whether its body is asked for, #enter decides. Other expectations count for nothing.
        return server.on("checkContinue", handle).on("checkExpectation", handle);
      },
      clientErrorHandler: (error, socket) => this.#misunderstood(error, socket as Socket),
      frameworkErrors: (error, request, reply) => {
        this.#count(request as FastifyRequest, reply as FastifyReply);
        this.#turns.asked(request.raw.socket, () =>
          this.refusals.answer(reply as FastifyReply, settings.gate.refusal(request.raw) ?? error),
        );
      },
      routerOptions: { maxParamLength: 3 * limits.idBytesMax },
      exposeHeadRoutes: false,
      schemaErrorFormatter: queryFault,
      schemaController: { compilersFactory: { buildValidator: validators() } },
    });
    // For small bodies JSON.stringify is as fast as a serializer made from a schema, and costs nothing at the start.
    this.app.setSerializerCompiler(() => JSON.stringify);
    this.app.removeAllContentTypeParsers();
    this.app.setErrorHandler((error, _request, reply) => this.refusals.answer(reply, error));
    this.app.setNotFoundHandler(() => {});
    this.app.decorateRequest("token", undefined);
    this.app.addHook("onRoute", ({ method, url }) => {
      for (const each of [method].flat()) if (each !== "HEAD") this.#calls.push({ method: each, url });
    });
    this.app.addHook("onRequest", (request, reply, done) => {
      this.#count(request, reply);
      this.#turns.asked(request.raw.socket, () => {
        try {
          this.#enter(request, reply);
        } catch (refusal) {
          done(refusal as Error);
          return;
        }
        done();
      });
    });
    const { server } = this.app;
    server.on(tls ? "secureConnection" : "connection", (socket: Socket) => this.#turns.add(socket));
    server.on("drop", () => {
      this.refusals.count("tooManyConnections");
      logger.warn({ httpConnectionsMax: server.maxConnections }, "too many HTTP connections: one is closed");
    });
  }

  get arrivals(): Arrivals {
    return this.#turns.arrivals;
  }

  /** @param flags of the command that set port and host. @throws portInUse, cannotListen */
  async listen(
    host: string,
    port: number,
    flags: ListenFlags = { port: "--port", host: "--host" },
  ): Promise<{ host: string; port: number }> {
    await this.app.ready();
    const { server } = this.app;
    server.maxConnections = this.#connectionsMax();
    // A backlog for bursts of connections; the kernel caps it (net.core.somaxconn).
    const bound = await listen(server, { host, port, backlog: 4_096 }, flags);
    server.on("error", () => {});
    return { host: bound.address, port: bound.port };
  }

  /** @throws invalidOption, as ServedCertificate.renew */
  renew(tls: TlsPair): void {
    this.certificate.renew(tls, this.app.server as unknown as TlsServer);
  }

  /** Stops listening; running requests may finish for `closeMs`, then every connection is cut. */
  async close(): Promise<void> {
    this.#closing = true;
    const { server } = this.app;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    if (this.#runningCount > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        setTimeout(resolve, this.#settings.limits.closeMs).unref();
      });
    }
    server.closeAllConnections();
    await closed;
    await this.app.close();
  }

  #connectionsMax(): number {
    const { limits, logger } = this.#settings;
    const wanted = limits.httpConnectionsMax;
    const { count, openFilesMax } = connectionsThatFit(wanted, limits.filesReserved);
    if (count < wanted) {
      const text = `takes ${count} HTTP connections, not ${wanted}: raise the limit of open files (ulimit -n)`;
      const level = count < FEW_CONNECTIONS ? "warn" : "debug";
      logger[level]({ httpConnectionsMax: count, wanted, openFilesMax }, text);
    }
    return count;
  }

  #count({ raw }: FastifyRequest, reply: FastifyReply): void {
    this.#runningCount++;
    const beganMs = performance.now();
    reply.raw.once("close", () => {
      this.#turns.answered(raw.socket);
      const { statusCode } = reply.raw;
      const ms = Math.round(performance.now() - beganMs);
      const { remoteAddress } = raw.socket;
      this.#settings.logger.debug({ ...calledOf(raw), statusCode, ms, remoteAddress }, "request");
      if (--this.#runningCount === 0) this.#idle();
      if (!raw.complete) limitBody(raw, this.#turns.refusedBodyMs);
    });
  }

  /** Checks every request before a byte of its body is read. @throws its refusal */
  #enter(request: FastifyRequest, reply: FastifyReply): void {
    const { raw } = request;
    const { gate, tokens } = this.#settings;
    if (this.#closing) {
      reply.header("connection", "close");
      throw stopping();
    }
    const refusal = gate.refusal(raw);
    if (refusal) throw refusal;
    if (request.is404) throw this.#missing(request.method, raw.url!, reply);
    const { role } = request.routeOptions.config;
    if (role !== undefined && !tokens.isEmpty)
      request.token = tokens.check(raw.headers.authorization, role, raw.socket.remoteAddress);
    if (raw.method !== "POST" && isCostly(raw)) {
      // No call but a POST reads a body.
      reply.raw.setHeader("connection", "close");
      this.#turns.discard(raw.socket);
    } else if (raw.headers.expect?.toLowerCase() === "100-continue") reply.raw.writeContinue();
  }

  /** Why no route fits: the path has other methods (`allow` names them), or there is no such path. */
  #missing(method: string, url: string, reply: FastifyReply): HubcastError {
    const path = url.split("?", 1)[0]!;
    const methods = this.#calls.filter((call) => fits(call.url, path)).map((call) => call.method);
    if (methods.length > 0) {
      reply.header("allow", methods.join(", "));
      return new HubcastError("methodNotAllowed", `${path.slice(0, 200)} does not answer ${method}`, {
        suggestions: [`Use ${methods.join(" or ")}.`],
      });
    }
    const last = path.split("/").findLast((part) => part !== "");
    const near = this.#calls.find((call) => last !== undefined && call.url.endsWith(`/${last}`));
    return new HubcastError("notFound", `there is no ${path.slice(0, 200)} here`, {
      suggestions: [...(near ? [`Did you mean ${near.method} ${near.url}?`] : []), this.#settings.advice],
    });
  }

  /** Answers bytes that are not HTTP, or a head that did not arrive in time, unless another answer may be under way. */
  #misunderstood(error: NodeJS.ErrnoException, socket: Socket): void {
    if (!socket.writable || socket.bytesWritten > 0) {
      socket.destroy();
      return;
    }
    const { status, reason, problem } = misunderstanding(error.code);
    this.refusals.count(problem.code);
    const isUnbegun = error.code === "ERR_HTTP_REQUEST_TIMEOUT" && socket.bytesRead === 0;
    if (isUnbegun || error.code === "HPE_INVALID_EOF_STATE") {
      // No request was begun, or the client left inside of one. There may be thousands of them at once, and an answer costs
      // more than the connection did.
      socket.destroy();
      return;
    }
    const body = JSON.stringify(problemOf(problem, status));
    socket.end(
      `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    setTimeout(() => socket.destroy(), 500).unref();
  }
}

/** Values of a query are texts, read as numbers where the schema says so; those of a JSON body keep their type. */
function validators(): ValidatorFactory {
  const pool = AjvCompiler() as (schemas: object, options: object) => FastifySchemaCompiler<unknown>;
  const build = (schemas: object, options: object): FastifySchemaCompiler<unknown> => {
    const [ofText, ofJson] = [true, false].map((coerceTypes) =>
      pool(schemas, {
        ...options,
        customOptions: { ...AJV, coerceTypes },
        onCreate: (ajv: Ajv) => coerceTypes || leaveToNode(ajv),
      }),
    ) as [FastifySchemaCompiler<unknown>, FastifySchemaCompiler<unknown>];
    return (route) => (route.httpPart === "body" ? ofJson : ofText)(route);
  };
  return build as ValidatorFactory;
}

/**
 * The node checks lengths and characters, for all inputs, and its errors name the fault. In the schemas they document
 * the API (/openapi.json).
 */
function leaveToNode(ajv: Ajv): void {
  for (const keyword of ["pattern", "minLength", "maxLength"]) ajv.removeKeyword(keyword);
}

const AJV = {
  strict: false,
  removeAdditional: false,
  // A fault shows the value, and the schema it broke.
  verbose: true,
  // To compile the schema of schemas, and check ours with it, takes longer than all else of a start.
  meta: false,
  validateSchema: false,
};

/** The error for the first fault that the schema of a query finds. */
export function queryFault(faults: FastifySchemaValidationError[]): HubcastError {
  const { instancePath, params, data, parentSchema } = faults[0] as FastifySchemaValidationError & Shown;
  const name = String(params.additionalProperty ?? params.missingProperty ?? instancePath.slice(1));
  let fault: string;
  let advice = parentSchema.description ?? "";
  if (params.missingProperty !== undefined) fault = "is missing";
  else if (params.additionalProperty !== undefined) {
    fault = "is not known here";
    advice = `Known parameters: ${Object.keys(parentSchema.properties ?? {}).join(", ")}.`;
  } else if (Array.isArray(data)) fault = "is given twice";
  else fault = `cannot be ${JSON.stringify(String(data).slice(0, 100))}`;
  return new HubcastError("badRequest", `the query parameter "${name.slice(0, 100)}" ${fault}`, {
    suggestions: advice === "" ? [] : [advice],
  });
}

/** Fields that ajv adds to a fault when it is verbose. */
interface Shown {
  readonly data: unknown;
  readonly parentSchema: { readonly description?: string; readonly properties?: object };
}

/** Whether a path is one of a route, which has one parameter at most, at its end. */
function fits(pattern: string, path: string): boolean {
  const parameter = pattern.indexOf(":");
  if (parameter < 0) return pattern === path;
  const prefix = pattern.slice(0, parameter);
  return path.startsWith(prefix) && path.length > prefix.length && !path.includes("/", prefix.length);
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
  return new HubcastError("stopping", "the server is shutting down", {
    suggestions: ["Ask another node of the cluster, or come back when this one runs again."],
  });
}
