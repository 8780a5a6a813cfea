import type { FastifyInstance } from "fastify";
import { type Figure, reasonsFigure, secondsOf, Timing } from "../../runtime/http/metrics.js";
import { flag, list, ref } from "../bodies.js";
import { type NodeStatus, REASONS } from "../broadcast.js";
import { sendLong } from "./answer-stream.js";
import type { ApiContext, Timings } from "./options.js";
import { body, instant, instantOf, query, refusals } from "./schemas.js";

/** Some 60 KB of JSON. */
const FEW_PEERS = 100;

/** GET /v1/status, /v1/peers and /v1/access, and the probes /healthz and /readyz. */
export async function statusRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  const { node, tokens } = context;
  app.get<{ Querystring: { since?: string } }>(
    "/v1/status",
    {
      config: { role: "read" },
      schema: {
        operationId: "getStatus",
        summary: "The node and the set it holds",
        tags: ["node"],
        querystring: query({ since: instant("Take the fingerprint from here") }),
        response: { 200: body("The status.", ref("NodeStatus")), ...refusals("badRequest", "unauthorized") },
      },
    },
    async (request, reply) => {
      const sinceMs = instantOf("since", request.query.since);
      reply.header("cache-control", "no-store");
      return node.statusNow(sinceMs === undefined ? undefined : { sinceMs });
    },
  );

  app.get<{ Querystring: { fresh?: boolean } }>(
    "/v1/peers",
    {
      config: { role: "read" },
      schema: {
        operationId: "listPeers",
        summary: "The other members, as this node knows them",
        tags: ["node"],
        querystring: query({ fresh: flag("`true`: ask all members what they hold, for 1 s at most.") }),
        response: {
          200: body("All other members, and those that left or were lost.", list("Members.", ref("Peer"))),
          ...refusals("badRequest", "unauthorized"),
        },
      },
    },
    async (request, reply) => {
      reply.header("cache-control", "no-store");
      const peers = request.query.fresh ? await node.peers({ fresh: true }) : node.peersNow();
      if (peers.length <= FEW_PEERS) return peers;
      await sendLong(context, reply, () => node.peersNow());
      return undefined;
    },
  );

  app.get(
    "/v1/access",
    {
      schema: {
        operationId: "getAccess",
        summary: "What the caller may do with the token that it shows, or without one",
        tags: ["node"],
        response: {
          200: body("The role of the caller.", ref("Access")),
          ...refusals("unauthorized", "tooManyGuesses"),
        },
      },
    },
    async (request, reply) => {
      reply.header("cache-control", "no-store");
      return { role: tokens.roleOf(request.headers.authorization, request.raw.socket.remoteAddress) };
    },
  );

  app.get(
    "/healthz",
    {
      exposeHeadRoute: true,
      schema: {
        operationId: "getHealth",
        summary: "Whether the process answers",
        tags: ["probes"],
        response: { 200: body("It does.", ref("Probe")), ...refusals() },
      },
    },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/readyz",
    {
      exposeHeadRoute: true,
      schema: {
        operationId: "getReady",
        summary: "Whether the node has caught up with its cluster",
        tags: ["probes"],
        response: {
          ...refusals(),
          200: body("It has, or it found no peer.", ref("Probe")),
          503: {
            description: "Not yet, or not any more.",
            content: {
              "application/json": { schema: ref("Probe") },
              "application/problem+json": { schema: ref("Problem") },
            },
          },
        },
      },
    },
    async (_request, reply) => {
      if (node.ready) return { status: "ready" };
      reply.code(503);
      return { status: node.statusNow().state };
    },
  );
}

/** The figures of a node that GET /metrics shows; docs/metrics.md explains each. */
export function nodeFigures({ node, refusals }: ApiContext): readonly Figure[] {
  return [
    ...STATUS_FIGURES.map(([name, help, figure]) => ({ name, help, read: () => figure(node.statusNow()) })),
    {
      name: "hubcast_ready",
      help: "1 when the node has caught up with its cluster.",
      read: () => Number(node.ready),
    },
    reasonsFigure(
      "hubcast_degraded",
      "1 for each reason why the node is degraded.",
      REASONS,
      () => node.statusNow().reasons,
    ),
    {
      name: "hubcast_certificate_expires_seconds",
      help: "When the certificate of the API expires, epoch seconds; absent without TLS.",
      read: () => secondsOf(node.statusNow().certificateExpiresAtMs),
    },
    {
      name: "hubcast_node_info",
      help: "Always 1; the labels say which node this is.",
      labels: ["name", "id", "cluster", "version", "engine"],
      read() {
        const { name, id, cluster, version, engine } = node.statusNow();
        return [[{ name, id, cluster, version, engine }, 1]];
      },
    },
    {
      name: "hubcast_peers",
      help: "Peers by state.",
      labels: ["state"],
      read: () =>
        ["connected", "left", "lost", "unreached"].map((state) => [
          { state },
          node.peersNow().filter((peer) => peer.state === state).length,
        ]),
    },
    {
      name: "hubcast_peer_round_trip_seconds",
      help: "Round trip of the last heartbeat, by peer.",
      labels: ["peer"],
      read: () =>
        node
          .peersNow()
          .filter(({ state, roundTripMs }) => state === "connected" && roundTripMs !== undefined)
          .map(({ name, roundTripMs }) => [{ peer: name }, roundTripMs! / 1000]),
    },
    {
      name: "hubcast_http_refusals_total",
      help: "Requests refused, by error code.",
      labels: ["code"],
      read: () => [...refusals].map(([code, count]) => [{ code }, count]),
    },
  ];
}

/** Figures of the status, by the name Prometheus knows them by. */
const STATUS_FIGURES: readonly (readonly [string, string, (status: NodeStatus) => number])[] = [
  ["hubcast_uptime_seconds", "Time since the node started.", (s) => s.uptimeMs / 1000],
  ["hubcast_items", "Visible items.", (s) => s.items],
  ["hubcast_items_hidden", "Items hidden behind another of the same id.", (s) => s.hidden],
  [
    "hubcast_items_ahead",
    "Items stamped ahead of the node's clock: peers do not take them yet, and report `itemsAhead`.",
    (s) => s.ahead,
  ],
  ["hubcast_items_left_out", "Stored items that the start found damaged and left out.", (s) => s.leftOut],
  ["hubcast_posted_items_total", "Items posted to this node and accepted.", (s) => s.posted],
  [
    "hubcast_items_not_taken_total",
    "Items of peers that were not taken: by policy, by their time, or for want of room.",
    (s) => s.notTaken,
  ],
  ["hubcast_item_bytes", "Bytes of all held items.", (s) => s.bytes],
  ["hubcast_sync_rounds_total", "Reconciliation rounds.", (s) => s.sync.rounds],
  ["hubcast_sync_rounds_failed_total", "Reconciliation rounds that failed.", (s) => s.sync.roundsFailed],
  [
    "hubcast_sync_rounds_by_sketch_total",
    "Reconciliation rounds in which a sketch told what differs, in place of ranges.",
    (s) => s.sync.roundsBySketch,
  ],
  [
    "hubcast_sync_sketches_failed_total",
    "Sketches that did not tell what differs: ranges did.",
    (s) => s.sync.sketchesFailed,
  ],
  ["hubcast_sync_items_received_total", "Items fetched from peers.", (s) => s.sync.itemsReceived],
  ["hubcast_sync_items_sent_total", "Items given to peers.", (s) => s.sync.itemsSent],
  ["hubcast_sync_received_bytes_total", "Bytes of reconciliation received.", (s) => s.sync.bytesReceived],
  ["hubcast_sync_sent_bytes_total", "Bytes of reconciliation sent.", (s) => s.sync.bytesSent],
  ["hubcast_gossip_batches_received_total", "Gossip batches received.", (s) => s.gossip.batchesReceived],
  [
    "hubcast_gossip_copies_received_total",
    "Copies received of gossip batches: as many as batches is the least.",
    (s) => s.gossip.copiesReceived,
  ],
  ["hubcast_gossip_batches_sent_total", "Gossip batches sent, to each peer.", (s) => s.gossip.batchesSent],
  [
    "hubcast_gossip_repairs_total",
    "Gossip batches asked for: they were announced and not pushed.",
    (s) => s.gossip.repairs,
  ],
  ["hubcast_gossip_items_received_total", "Items received by gossip.", (s) => s.gossip.itemsReceived],
  ["hubcast_gossip_items_sent_total", "Items sent by gossip.", (s) => s.gossip.itemsSent],
  [
    "hubcast_gossip_duplicates_total",
    "Items received by gossip and held already.",
    (s) => s.gossip.duplicates,
  ],
  ["hubcast_gossip_rejected_total", "Gossip batches rejected.", (s) => s.gossip.rejected],
  [
    "hubcast_gossip_skipped_total",
    "Gossip batches left to reconciliation: too many signatures waited.",
    (s) => s.gossip.skipped,
  ],
  [
    "hubcast_links_held_total",
    "Times that a link was not read for a moment: its peer asked for more than its share.",
    (s) => s.gossip.heldUp,
  ],
];

const SECONDS = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The durations that a node measures. */
export function timingsOf(): Timings {
  const timing = (name: string, help: string) => new Timing(`hubcast_${name}_seconds`, help, SECONDS);
  return {
    post: timing("post", "From when posts were handed to the node until it had accepted or refused them."),
    receipt: timing("receipt", "How long posts waited for others to hold them (`wait`)."),
    delivery: timing("delivery", "From the stamp of an item of another node until this one took it."),
  };
}
