import type { Gauge, Registry } from "prom-client";
import type { NodeStatus } from "../broadcast.js";
import { refusals, text } from "./json-schema.js";
import type { ApiContext, Route } from "./route.js";

/** GET /metrics, for Prometheus. Nothing is loaded or measured before the first scrape. */
export function metrics(context: ApiContext): Route {
  let registry: Promise<Registry> | undefined;
  return {
    method: "GET",
    url: "/metrics",
    role: "read",
    schema: {
      summary: "Figures for Prometheus",
      tags: ["probes"],
      response: {
        200: {
          description: "Prometheus text format.",
          content: { "text/plain": { schema: text("Metrics named hubcast_..., and those of the process.") } },
        },
        ...refusals("unauthorized"),
      },
    },
    async handle(_request, reply) {
      registry ??= openRegistry(context);
      const { contentType, metrics: render } = await registry.then((opened) => ({
        contentType: opened.contentType,
        metrics: () => opened.metrics(),
      }));
      reply.header("content-type", contentType);
      return render();
    },
  };
}

/** Figures of the status, by the name Prometheus knows them by. Those that end in `_total` only grow. */
const STATUS_FIGURES: readonly (readonly [string, string, (status: NodeStatus) => number])[] = [
  ["hubcast_uptime_seconds", "Time since the node started.", (s) => s.uptimeMs / 1000],
  ["hubcast_items", "Visible items.", (s) => s.items],
  ["hubcast_items_hidden", "Items hidden behind another of the same id.", (s) => s.hidden],
  ["hubcast_posted_items_total", "Items posted to this node and accepted.", (s) => s.posted],
  ["hubcast_item_bytes", "Bytes of all held items.", (s) => s.bytes],
  ["hubcast_sync_rounds_total", "Reconciliation rounds.", (s) => s.sync.rounds],
  ["hubcast_sync_rounds_failed_total", "Reconciliation rounds that failed.", (s) => s.sync.roundsFailed],
  ["hubcast_sync_items_received_total", "Items fetched from peers.", (s) => s.sync.itemsReceived],
  ["hubcast_sync_items_sent_total", "Items given to peers.", (s) => s.sync.itemsSent],
  ["hubcast_sync_received_bytes_total", "Bytes of reconciliation received.", (s) => s.sync.bytesReceived],
  ["hubcast_sync_sent_bytes_total", "Bytes of reconciliation sent.", (s) => s.sync.bytesSent],
  ["hubcast_gossip_messages_received_total", "Gossip messages received.", (s) => s.gossip.messagesReceived],
  ["hubcast_gossip_messages_sent_total", "Gossip messages sent.", (s) => s.gossip.messagesSent],
  ["hubcast_gossip_items_received_total", "Items received by gossip.", (s) => s.gossip.itemsReceived],
  ["hubcast_gossip_items_sent_total", "Items sent by gossip.", (s) => s.gossip.itemsSent],
  [
    "hubcast_gossip_duplicates_total",
    "Items received by gossip and held already.",
    (s) => s.gossip.duplicates,
  ],
  ["hubcast_gossip_rejected_total", "Gossip messages rejected.", (s) => s.gossip.rejected],
  [
    "hubcast_gossip_skipped_total",
    "Gossip messages left to reconciliation: too many signatures waited.",
    (s) => s.gossip.skipped,
  ],
  [
    "hubcast_gossip_unsent_total",
    "Gossip messages not sent to one peer: too much waited for it.",
    (s) => s.gossip.unsent,
  ],
  [
    "hubcast_gossip_held_up_total",
    "Times that one peer's gossip was not read for a moment: it sent more than its share.",
    (s) => s.gossip.heldUp,
  ],
];

/** Gauges whose names end as only counters may; the same figures are there without `_total`, by type. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

async function openRegistry({ service, refusals: refused }: ApiContext): Promise<Registry> {
  const { Registry, Gauge, Counter, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);

  for (const [name, help, figure] of STATUS_FIGURES) {
    if (name.endsWith("_total")) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(figure(service.status()));
        },
      });
    } else {
      new Gauge({ name, help, registers, collect: gauge(() => figure(service.status())) });
    }
  }
  new Gauge({
    name: "hubcast_ready",
    help: "1 when the node has caught up with its cluster.",
    registers,
    collect: gauge(() => Number(service.ready)),
  });
  new Gauge({
    name: "hubcast_node_info",
    help: "Always 1; the labels say which node this is.",
    labelNames: ["name", "id", "cluster", "version", "engine"],
    registers,
    collect() {
      const { name, id, cluster, version, engine } = service.status();
      this.reset();
      this.set({ name, id, cluster, version, engine }, 1);
    },
  });
  new Gauge({
    name: "hubcast_peers",
    help: "Peers by state.",
    labelNames: ["state"],
    registers,
    collect() {
      for (const state of ["connected", "left", "lost"]) this.set({ state }, 0);
      for (const { state } of service.peers()) this.inc({ state });
    },
  });
  new Gauge({
    name: "hubcast_peer_round_trip_seconds",
    help: "Round trip of the last heartbeat, by peer.",
    labelNames: ["peer"],
    registers,
    collect() {
      this.reset();
      for (const { name, state, roundTripMs } of service.peers()) {
        if (state === "connected" && roundTripMs !== undefined) this.set({ peer: name }, roundTripMs / 1000);
      }
    },
  });
  new Counter({
    name: "hubcast_http_refusals_total",
    help: "Requests refused, by error code.",
    labelNames: ["code"],
    registers,
    collect() {
      this.reset();
      for (const [code, refusedCount] of refused) this.inc({ code }, refusedCount);
    },
  });
  return registry;
}

function gauge(value: () => number): (this: Gauge) => void {
  return function collect() {
    this.set(value());
  };
}
