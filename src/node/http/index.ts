import { hash } from "node:crypto";
import { hostname } from "node:os";
import { gunzipSync } from "node:zlib";
import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { SharedBytes } from "../../core/buffers.js";
import { isLoopbackHost, urlHost } from "../../core/hosts.js";
import { VERSION } from "../../core/version.js";
import type { ServedCertificate } from "../../runtime/certificate.js";
import { Gate } from "../../runtime/http/gate.js";
import { serveMetrics } from "../../runtime/http/metrics.js";
import { HttpServer } from "../../runtime/http/server.js";
import { startStep } from "../../runtime/start-step.js";
import { TokenTable } from "../../runtime/tokens.js";
import { PacedCalls, turnsOf } from "../../runtime/turns.js";
import { text } from "../bodies.js";
import type { Access } from "../broadcast.js";
import { peerConnectionsMax } from "../cluster/port.js";
import { Deadlines } from "./body.js";
import { eventRoutes } from "./events.js";
import { itemRoutes } from "./items.js";
import {
  type ApiContext,
  type CompleteOptions,
  checkTokens,
  completeOptions,
  type HttpApiOptions,
} from "./options.js";
import { KeyRate, PostRate } from "./rates.js";
import { body, refusals, SCHEMAS } from "./schemas.js";
import { listAllRecentData, postNewData } from "./seed.js";
import { nodeFigures, statusRoutes } from "./status.js";

export type { HttpLogger } from "../../runtime/http/problem.js";
export type { Role, Token } from "../../runtime/tokens.js";
export type { HttpApiOptions } from "./options.js";
export { timingsOf } from "./status.js";

const ROUTES = [itemRoutes, eventRoutes, statusRoutes, boardRoutes, postNewData, listAllRecentData];

/** A long body or answer takes up to 40 ms, and a request of somebody else some eight turns of the event loop. */
const TURNS_BETWEEN_LONG = 8;

/** The HTTP API of a running node. */
export interface HttpApi {
  /** Where a program on this machine reaches it. */
  readonly url: string;
  /** The address it is bound to. */
  readonly address: { readonly host: string; readonly port: number };
  readonly certificate: Pick<ServedCertificate, "expiresAtMs">;
  /**
   * Takes another certificate and other tokens from now on; connections that are open stay.
   * @throws invalidOption when one of them cannot be used; nothing changes then
   */
  renew(access: Access): void;
  /** Idempotent. Takes no new request, ends event streams, lets running requests finish for a while. */
  close(): Promise<void>;
}

/**
 * Serves the HTTP API of docs/http.md. Resolves when it listens; when it rejects, nothing stays open.
 * @throws invalidOption, portInUse, cannotListen
 */
export async function openHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  const complete = completeOptions(options);
  const closing = new AbortController();
  const scheme = complete.tls ? "https" : "http";
  const ownNames = isLoopbackHost(complete.host) ? [] : [hostname(), `${hostname()}.local`];
  const tokens = new TokenTable(complete.tokens, "node", (address) => {
    complete.logger.warn(
      { address },
      "too many wrong tokens from one address: further ones are refused for now",
    );
  });
  const { limits } = complete;
  const server = new HttpServer({
    ...complete,
    limits: { ...limits, filesReserved: limits.filesReserved + peerConnectionsMax() },
    gate: new Gate([complete.host, ...ownNames, ...complete.boundNames], scheme, "node"),
    tokens,
    advice: "See GET /openapi.json for every call.",
  });
  const { app } = server;
  const longTurn = turnsOf(1, TURNS_BETWEEN_LONG);
  const onCut = () => {
    server.refusals.count("rateLimited");
    complete.logger.debug(
      {},
      "an HTTP connection is cut: too many bytes of its kind are kept, and its are the oldest",
    );
  };
  const context: ApiContext = {
    node: complete.node,
    limits: complete.limits,
    logger: complete.logger,
    tokens,
    bodyDeadlines: new Deadlines(complete.limits.requestTimeoutMs),
    closing: closing.signal,
    refusals: server.refusals,
    bulkTurns: new PacedCalls(1),
    subscriberTurns: new PacedCalls(1, server.arrivals.watch()),
    longTurn,
    answersWaiting: new SharedBytes(complete.limits.answerBytesWaitingMax, onCut),
    bodiesHeld: new SharedBytes(complete.limits.bodyBytesHeldMax, onCut),
    postRate: new PostRate(complete.postRate, complete.limits),
    keyRate: new KeyRate(complete.keyRate, complete.limits),
  };
  // In the order in which OpenAPI shows them; each in a scope of its own, with its own parsers.
  await describe(app, complete);
  for (const routes of ROUTES) await app.register((scope) => routes(scope, context));
  serveMetrics(app, nodeFigures(context), {
    timings: Object.values(complete.node.timings),
    turn: longTurn,
    response: {
      200: {
        description: "Prometheus text format.",
        content: { "text/plain": { schema: text("Metrics named hubcast_..., and those of the process.") } },
      },
      ...refusals("unauthorized"),
    },
  });
  try {
    const { host, port, logger } = complete;
    const late = () => server.close();
    const address = await startStep(`listening on ${host}`, server.listen(host, port), { logger, late });
    let closed: Promise<void> | undefined;
    const close = async () => {
      closing.abort();
      await server.close();
    };
    return {
      url: `${scheme}://${reachableHost(address.host)}:${address.port}`,
      address,
      certificate: server.certificate,
      renew(access) {
        if (access.tokens) checkTokens(access.tokens);
        // The API asks nobody while it allows everybody.
        const asked = options.allowAnonymous ? undefined : access.tokens;
        if (asked) tokens.checkRenewal(asked);
        if (access.tls) server.renew(access.tls);
        if (asked) tokens.renew(asked);
      },
      close() {
        closed ??= close();
        return closed;
      },
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The part of /openapi.json about the API itself. The part about a call stands beside its route. */
async function describe(app: FastifyInstance, { tokens }: CompleteOptions): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "hubcast node",
        version: VERSION,
        description: "A node of a broadcast cluster: post items to any node, read them from every other.",
      },
      servers: [{ url: "/" }],
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    },
    refResolver: { buildLocalReference: ({ $id }) => $id as string },
    // A client made from it asks for a token where this node does.
    transform: ({ schema, url, route }) => {
      const isAsked = route.config?.role !== undefined && tokens.length > 0;
      return { schema: { ...schema, security: isAsked ? [{ bearer: [] }] : [] }, url };
    },
  });
  for (const [name, schema] of Object.entries(SCHEMAS)) app.addSchema({ $id: name, ...schema });
  let description: Buffer | undefined;
  app.get(
    "/openapi.json",
    {
      config: { role: "read" },
      schema: {
        operationId: "getOpenApi",
        summary: "This description",
        tags: ["probes"],
        response: { 200: body("OpenAPI 3.1.", { type: "object" }), ...refusals("unauthorized") },
      },
    },
    async (_request, reply) => {
      description ??= Buffer.from(JSON.stringify(app.swagger()));
      return reply.type("application/json; charset=utf-8").send(description);
    },
  );
}

/** How a URL writes the address; a wildcard is reached by loopback. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return urlHost(host);
}

interface Page {
  readonly html: Buffer;
  readonly gzip: Buffer;
  readonly policy: string;
  readonly etag: string;
}

/**
 * GET /: the web page of the board (src/node/board). It is the same for everybody and has no item in it, so it is served
 * without a token; what it shows it asks for with one. The gate holds for it as for every call.
 */
async function boardRoutes(app: FastifyInstance): Promise<void> {
  let page: Promise<Page> | undefined;
  app.get("/", { exposeHeadRoute: true, schema: { hide: true } as object }, async (request, reply) => {
    page ??= readPage();
    const { html, gzip, policy, etag } = await page;
    reply.headers({
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
      vary: "accept-encoding",
      etag,
    });
    if (request.headers["if-none-match"]?.includes(etag)) return reply.code(304).send();
    reply.type("text/html; charset=utf-8");
    if (!/\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) return reply.send(html);
    return reply.header("content-encoding", "gzip").send(gzip);
  });
}

/** Loaded when somebody asks for it. */
async function readPage(): Promise<Page> {
  const { builtPage } = await import("./page.js");
  const { gzip, policy } = await builtPage();
  const bytes = Buffer.from(gzip, "base64");
  // Weak: the compressed and the plain text are the same page.
  return {
    html: gunzipSync(bytes),
    gzip: bytes,
    policy,
    etag: `W/"${hash("sha256", bytes, "base64url").slice(0, 22)}"`,
  };
}
