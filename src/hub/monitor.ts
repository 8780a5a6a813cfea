import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type ErrorCode, HubcastError } from "../core/errors.js";
import { hubMetrics } from "./metrics.js";
import type { HubClientStatus, HubStatus } from "./stats.js";
import { tokenMatcher } from "./token-matcher.js";

const HOST = "127.0.0.1";

/** What monitoring looks at. */
interface Watched {
  status(): HubStatus;
  clients(): readonly HubClientStatus[];
}

export interface Monitor {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves what a hub is doing, for people and for Prometheus: /healthz, /metrics, /v1/status and
 * /v1/clients?sort=FIELD&order=asc|desc. On loopback only; with the hub's token, where it has one.
 * @throws portInUse, cannotListen
 */
export async function startMonitor(port: number, hub: Watched, token: string | undefined): Promise<Monitor> {
  const server = createServer((request, response) => answer(request, response, hub, token));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const code = error.code === "EADDRINUSE" ? "portInUse" : "cannotListen";
      reject(
        new HubcastError(code, `cannot serve monitoring on ${HOST}:${port}: ${error.message}`, {
          cause: error,
          suggestions: ["Pass --monitor-port 0 to take a free one."],
        }),
      );
    });
    server.listen(port, HOST, resolve);
  });
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://${HOST}:${bound}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function answer(request: IncomingMessage, response: ServerResponse, hub: Watched, token?: string): void {
  const { status, type, body } = reply(request, hub, token);
  response.writeHead(status, {
    "content-type": type,
    "cache-control": "no-store",
    ...(status === 401 && { "www-authenticate": "Bearer" }),
  });
  response.end(request.method === "HEAD" ? "" : body);
}

function reply(request: IncomingMessage, hub: Watched, token: string | undefined): Reply {
  const { pathname, searchParams } = new URL(request.url ?? "/", `http://${HOST}`);
  if (request.method !== "GET" && request.method !== "HEAD")
    return problem(405, "methodNotAllowed", "GET only");
  if (!isLocal(request)) return problem(403, "foreignHost", "the Host header names no loopback address");
  if (pathname === "/healthz") return json({ status: "ok" });
  if (token !== undefined && !hasToken(request, token)) {
    return problem(401, "unauthorized", "send the hub's token: Authorization: Bearer TOKEN");
  }
  if (pathname === "/v1/status") return json(hub.status());
  if (pathname === "/v1/clients") return clients(hub, searchParams);
  if (pathname !== "/metrics") return problem(404, "notFound", `there is no ${pathname}`);
  return { status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body: hubMetrics(hub.status()) };
}

/** Sorted by any field that a client has; those without it come last. */
function clients(hub: Watched, query: URLSearchParams): Reply {
  const list = [...hub.clients()];
  const field = query.get("sort");
  if (field === null) return json({ clients: list });
  const known = list.some((client) => field in client);
  if (list.length > 0 && !known) return problem(400, "badRequest", `clients have no field "${field}"`);
  const sign = query.get("order") === "desc" ? -1 : 1;
  const fieldOf = (client: HubClientStatus): string | number | undefined =>
    client[field as keyof HubClientStatus];
  list.sort((a, b) => compare(fieldOf(a), fieldOf(b), sign));
  return json({ clients: list });
}

function compare(a: string | number | undefined, b: string | number | undefined, sign: number): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return a < b ? -sign : a > b ? sign : 0;
}

/** A page that rebinds its name to loopback, or another origin, is not served. */
function isLocal(request: IncomingMessage): boolean {
  const host = request.headers.host?.replace(/:\d+$/, "");
  const site = request.headers["sec-fetch-site"];
  const foreign = request.headers.origin !== undefined || site === "cross-site";
  return !foreign && (host === HOST || host === "localhost");
}

function hasToken(request: IncomingMessage, token: string): boolean {
  return tokenMatcher(`Bearer ${token}`)(Buffer.from(request.headers.authorization ?? ""));
}

function json(document: object): Reply {
  return { status: 200, type: "application/json", body: JSON.stringify(document) };
}

/** RFC 9457. */
function problem(status: number, code: ErrorCode, detail: string): Reply {
  const body = JSON.stringify({ type: "about:blank", status, code, detail });
  return { status, type: "application/problem+json", body };
}
