import type { HubStatus } from "./stats.js";

type Metric = readonly [name: string, type: "counter" | "gauge", help: string, value: number];

/** The hub as Prometheus text, version 0.0.4. */
export function hubMetrics(status: HubStatus): string {
  const hubs = status.router?.hubs ?? [];
  const queuedBytes = hubs.reduce((total, hub) => total + hub.queuedBytes, 0);
  const metrics: Metric[] = [
    ["hubcast_hub_clients", "gauge", "Clients that others can see.", status.clients],
    ["hubcast_hub_groups", "gauge", "Groups with a member.", status.groups],
    ["hubcast_hub_connections_total", "counter", "Connections since the start.", status.connections],
    ["hubcast_hub_received_bytes_total", "counter", "Bytes from clients.", status.bytesIn],
    ["hubcast_hub_sent_bytes_total", "counter", "Bytes to clients.", status.bytesOut],
    ["hubcast_hub_received_frames_total", "counter", "Frames from clients.", status.messagesIn],
    [
      "hubcast_hub_sent_frames_total",
      "counter",
      "Frames to clients: deliveries and answers.",
      status.messagesOut,
    ],
    ["hubcast_hub_memory_bytes", "gauge", "What frames and queues take.", status.memoryBytes],
    ["hubcast_hub_memory_max_bytes", "gauge", "What they may take.", status.memoryMaxBytes],
    [
      "hubcast_hub_engine_connected",
      "gauge",
      "1 while what connects it with other hubs is there; 0 also without an engine.",
      status.router?.connected ? 1 : 0,
    ],
    ["hubcast_hub_remote_hubs", "gauge", "Other hubs.", hubs.length],
    ["hubcast_hub_remote_clients", "gauge", "Clients of other hubs.", status.router?.clients ?? 0],
    ["hubcast_hub_remote_queued_bytes", "gauge", "Bytes that wait for other hubs.", queuedBytes],
    [
      "hubcast_hub_gaps_total",
      "counter",
      "Clients told that something may be lost.",
      status.router?.gaps ?? 0,
    ],
    ["hubcast_hub_uptime_seconds", "gauge", "Since the start.", status.uptimeMs / 1000],
  ];
  const lines = metrics.flatMap(([name, type, help, value]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    `${name} ${value}`,
  ]);
  const closed = "hubcast_hub_closed_total";
  lines.push(`# HELP ${closed} Connections that ended, by reason.`, `# TYPE ${closed} counter`);
  for (const [reason, count] of Object.entries(status.closed))
    lines.push(`${closed}{reason="${reason}"} ${count}`);
  return `${lines.join("\n")}\n`;
}
