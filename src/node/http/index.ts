import { hostname } from "node:os";
import { fastify } from "fastify";
import { HubcastError } from "../../core/errors.js";
import { isLoopbackHost } from "../../net/loopback.js";
import { Deadlines } from "./deadlines.js";
import { Gate } from "./gate.js";
import { KeyRate } from "./key-rate.js";
import { type CompleteOptions, completeOptions, type HttpApiOptions } from "./options.js";
import { PostRate } from "./post-rate.js";
import { RefusalBook } from "./refusal-book.js";
import type { ApiContext, Route } from "./route.js";
import { missingRoute, routesOf } from "./routes.js";
import { HttpServer } from "./server.js";
import { TokenTable } from "./tokens.js";

export type { HttpApiOptions, HttpLogger, Role, Token } from "./options.js";

/** The HTTP API of a running node. */
export interface HttpApi {
  /** Where a program on this machine reaches it. */
  readonly url: string;
  /** What it is bound to. */
  readonly address: { readonly host: string; readonly port: number };
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
  const refusals = new RefusalBook(complete.limits, complete.logger);
  const context: ApiContext = {
    service: complete.service,
    limits: complete.limits,
    logger: complete.logger,
    bodyDeadlines: new Deadlines(complete.limits.requestTimeoutMs),
    closing: closing.signal,
    refusals,
    postRate: new PostRate(complete.postRate, complete.limits),
    keyRate: new KeyRate(complete.keyRate, complete.limits),
  };
  const scheme = complete.tls ? "https" : "http";
  const ownNames = isLoopbackHost(complete.host) ? [] : [hostname(), `${hostname()}.local`];
  const gate = new Gate([complete.host, ...ownNames, ...complete.boundNames], scheme);
  const server = await HttpServer.create(complete, (request) => gate.refusal(request), refusals);
  const app = await routerOf(routesOf(context), complete, refusals, server);
  try {
    const address = await server.listen(complete.host, complete.port);
    let closed: Promise<void> | undefined;
    const close = async () => {
      closing.abort();
      await server.close();
      await app.close();
    };
    return {
      url: `${scheme}://${urlHost(address.host)}:${address.port}`,
      address,
      close() {
        closed ??= close();
        return closed;
      },
    };
  } catch (error) {
    await app.close();
    throw error;
  }
}

/** fastify finds the route; bodies, queries and errors are ours. */
async function routerOf(
  routes: readonly Route[],
  { tokens, limits }: CompleteOptions,
  refusals: RefusalBook,
  server: HttpServer,
) {
  const app = fastify({
    serverFactory: (handle) => server.serve(handle),
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 3 * limits.idBytesMax },
    frameworkErrors: (error, _request, reply) => {
      // The only two are a path that is no UTF-8, and an id longer than any item has.
      const code = error.code === "FST_ERR_BAD_URL" ? "badRequest" : "notFound";
      refusals.answer(reply.raw, new HubcastError(code, error.message, { cause: error }));
    },
  });
  // Each route reads its own body, as it comes: the parsers of fastify would look at content types first.
  app.addHttpMethod("POST", { hasBody: false, overrideExisting: true });

  const table = new TokenTable(tokens);
  for (const route of routes) {
    const { method, url, role } = route;
    app.route({
      method,
      url,
      exposeHeadRoute: method === "GET" && role === undefined,
      handler: async (request, reply) => {
        try {
          if (role !== undefined && !table.isEmpty) table.check(request.headers.authorization, role);
          return await route.handle(request, reply);
        } catch (thrown) {
          reply.hijack();
          refusals.answer(reply.raw, thrown);
        }
      },
    });
  }
  app.setNotFoundHandler((request, reply) => {
    reply.hijack();
    const { error, allow } = missingRoute(routes, request.method, request.raw.url!);
    refusals.answer(reply.raw, error, allow === undefined ? {} : { allow });
  });
  await app.ready();
  return app;
}

/** How a URL writes the address; a wildcard is reached by loopback. */
function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
