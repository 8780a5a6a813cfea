import { LIMITS } from "../core/limits.js";
import { VERSION } from "../core/version.js";
import { Gate } from "../runtime/http/gate.js";
import { type Figure, reasonsFigure, secondsOf, serveMetrics } from "../runtime/http/metrics.js";
import { HttpServer } from "../runtime/http/server.js";
import type { TokenTable } from "../runtime/tokens.js";
import { PacedCalls } from "../runtime/turns.js";
import { HUB_LIMITS } from "./machine/limits.js";
import { HUB_REASONS, type HubClientStatus, type HubStatus } from "./status.js";

const HOST = "127.0.0.1";

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
 * Serves the state of a hub, for people and for Prometheus: /healthz, /readyz, /metrics, /v1/status and
 * /v1/clients?state=connected|closed|all&sort=FIELD&order=asc|desc&limit=NUMBER. On loopback only; with the hub's
 * token, where it has one.
 * @throws portInUse, cannotListen
 */
export async function startMonitor(port: number, hub: Watched, tokens: TokenTable): Promise<Monitor> {
  const server = new HttpServer({
    limits: { ...LIMITS, httpConnectionsMax: HUB_LIMITS.monitorConnectionsMax },
    // The hub's log is about its clients; a refusal of monitoring is told to its caller alone.
    logger: { debug() {}, warn() {}, error() {} },
    gate: new Gate([HOST], "http", "hub"),
    tokens,
    advice: "Ask for /healthz, /readyz, /metrics, /v1/status or /v1/clients.",
  });
  const { app } = server;
  app.addHook("onRequest", async (_request, reply) => {
    reply.header("cache-control", "no-store");
  });
  // A request that looks at all clients takes milliseconds. One is answered in each turn, so that messages go between.
  const turns = new PacedCalls(1);
  const read = { config: { role: "read" }, exposeHeadRoute: true } as const;
  app.get("/healthz", { exposeHeadRoute: true }, async () => ({ status: "ok" }));
  app.get("/readyz", { exposeHeadRoute: true }, async (_request, reply) => {
    const { state } = hub.status();
    reply.code(state === "ready" ? 200 : 503);
    return { status: state };
  });
  const turn = () => new Promise<void>((resolve) => turns.add([resolve]));
  app.get("/v1/status", read, async () => {
    await turn();
    return hub.status();
  });
  app.get<{ Querystring: ClientQuery }>(
    "/v1/clients",
    { ...read, schema: { querystring: CLIENT_QUERY } },
    async ({ query }) => {
      await turn();
      return { clients: clientsOf(hub, query) };
    },
  );
  serveMetrics(app, hubFigures(hub), { turn });
  const bound = await server.listen(HOST, port, { port: "--monitor-port" });
  return {
    url: `http://${HOST}:${bound.port}`,
    port: bound.port,
    close: () => server.close(),
  };
}

interface ClientQuery {
  readonly state: "connected" | "closed" | "all";
  readonly sort?: keyof HubClientStatus;
  readonly order: "asc" | "desc";
  readonly limit?: number;
}

const CLIENT_FIELDS: readonly (keyof HubClientStatus)[] = [
  "id",
  "name",
  "address",
  "version",
  "sinceMs",
  "bytesIn",
  "bytesOut",
  "messagesIn",
  "messagesOut",
  "outboxBytes",
  "outboxPieces",
  "pauses",
  "pausedMs",
  "roundTripMs",
  "closedMs",
  "reason",
];

/** The query parameters of /v1/clients, and the values of each. */
const CLIENT_QUERY = {
  type: "object",
  additionalProperties: false,
  properties: {
    state: { enum: ["connected", "closed", "all"], default: "connected" },
    sort: { enum: CLIENT_FIELDS },
    order: { enum: ["asc", "desc"], default: "asc" },
    limit: { type: "integer", minimum: 1 },
  },
};

/** Clients in the `state` of the query, sorted by any field; clients without that field come last. */
function clientsOf(hub: Watched, { state, sort, order, limit }: ClientQuery): readonly HubClientStatus[] {
  const list = hub
    .clients()
    .filter(({ closedMs }) => state === "all" || (closedMs !== undefined) === (state === "closed"));
  const sign = order === "desc" ? -1 : 1;
  if (sort !== undefined) list.sort((a, b) => compare(a[sort], b[sort], sign));
  else if (sign < 0) list.reverse();
  return list.slice(0, limit);
}

function compare(a: string | number | undefined, b: string | number | undefined, sign: number): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return a < b ? -sign : a > b ? sign : 0;
}

/** The figures of GET /metrics; docs/metrics.md explains each. */
function hubFigures(hub: Watched): readonly Figure[] {
  let status: HubStatus | undefined;
  /** Of this turn: it walks all clients, and twenty figures are read from it. */
  const statusNow = (): HubStatus => {
    if (status === undefined) setImmediate(() => (status = undefined));
    status ??= hub.status();
    return status;
  };
  return [
    ...STATUS_FIGURES.map(([name, help, figure]) => ({ name, help, read: () => figure(statusNow()) })),
    reasonsFigure(
      "hubcast_hub_degraded",
      "1 for each reason why the hub is degraded.",
      HUB_REASONS,
      () => statusNow().reasons,
    ),
    {
      name: "hubcast_hub_closed_total",
      help: "Connections that ended, by reason.",
      labels: ["reason"],
      read: () => Object.entries(statusNow().closed).map(([reason, count]) => [{ reason }, count]),
    },
    {
      name: "hubcast_hub_certificate_expires_seconds",
      help: "When its certificate expires, epoch seconds; absent without TLS.",
      read: () => secondsOf(statusNow().certificateExpiresAtMs),
    },
    {
      name: "hubcast_hub_info",
      help: "Always 1; the labels say which hub this is.",
      labels: ["name", "version", "engine"],
      read() {
        const { name, router } = statusNow();
        return [[{ name, version: VERSION, engine: router?.engine ?? "local" }, 1]];
      },
    },
  ];
}

/** Figures of the status, by the name Prometheus knows them by. */
const STATUS_FIGURES: readonly (readonly [string, string, (status: HubStatus) => number])[] = [
  ["hubcast_hub_clients", "Clients that others can see.", (s) => s.clients],
  ["hubcast_hub_groups", "Groups with a member.", (s) => s.groups],
  ["hubcast_hub_connections_total", "Connections since the start.", (s) => s.connections],
  ["hubcast_hub_received_bytes_total", "Bytes from clients.", (s) => s.bytesIn],
  ["hubcast_hub_sent_bytes_total", "Bytes to clients.", (s) => s.bytesOut],
  ["hubcast_hub_received_frames_total", "Frames from clients.", (s) => s.messagesIn],
  ["hubcast_hub_sent_frames_total", "Frames to clients: deliveries and answers.", (s) => s.messagesOut],
  ["hubcast_hub_memory_bytes", "What frames and queues take.", (s) => s.memoryBytes],
  ["hubcast_hub_memory_max_bytes", "What they may take.", (s) => s.memoryMaxBytes],
  [
    "hubcast_hub_engine_connected",
    "1 while what connects it with other hubs is there; 0 also without an engine.",
    (s) => Number(s.router?.connected === true),
  ],
  ["hubcast_hub_remote_hubs", "Other hubs.", (s) => s.router?.hubs.length ?? 0],
  ["hubcast_hub_remote_clients", "Clients of other hubs.", (s) => s.router?.clients ?? 0],
  [
    "hubcast_hub_remote_queued_bytes",
    "Bytes that wait for other hubs.",
    (s) => s.router?.hubs.reduce((total, { queuedBytes }) => total + queuedBytes, 0) ?? 0,
  ],
  ["hubcast_hub_gaps_total", "Clients told that something may be lost.", (s) => s.router?.gaps ?? 0],
  ["hubcast_hub_uptime_seconds", "Since the start.", (s) => s.uptimeMs / 1000],
];
