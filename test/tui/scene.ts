import type { HubClientStatus } from "../../src/hub/index.js";
import { withDigest } from "../../src/node/replica/item.js";
import type { NodeRow, Rate, Snapshot } from "../../src/tui/snapshot.js";

// Frames show local time: the same one everywhere.
process.env.TZ = "UTC";
process.env.FORCE_COLOR = "1";
const AT_MS = Date.UTC(2026, 0, 31, 14, 5, 9);

function rate(perSecond: number): Rate {
  return { perSecond, history: Array.from({ length: 20 }, (_, second) => (perSecond * (second % 5)) / 4) };
}

function node(name: string, more: Partial<NodeRow>): NodeRow {
  return {
    key: `12D3KooW${name}`,
    name,
    cluster: "default",
    url: `http://127.0.0.1:8080/${name}`,
    state: "ready",
    agreement: "agrees",
    items: 12_345,
    fingerprint: "0cb7".padEnd(32, "a"),
    peers: 3,
    version: "0.1.0",
    uptimeMs: 3_600_000,
    posts: rate(7.25),
    gossipIn: rate(812),
    gossipOut: rate(3),
    syncRounds: 42,
    syncRoundsFailed: 1,
    rssBytes: 171_000_000,
    eventLoopDelayMs: 1.5,
    roundTripMs: 0.8,
    ...more,
  };
}

function client(id: number, outboxBytes: number): HubClientStatus {
  return {
    id,
    name: `client-${id}`,
    address: `127.0.0.1:5000${id}`,
    version: 2,
    sinceMs: AT_MS - 60_000,
    bytesIn: 1_000,
    bytesOut: 2_000,
    messagesIn: 10,
    messagesOut: 20,
    outboxBytes,
    outboxPieces: outboxBytes / 1024,
    pauses: 1,
    pausedMs: 120,
    roundTripMs: 0.4,
  };
}

const RAWS = [
  "doors open at nine",
  "a line that is far too long for any terminal ".repeat(20),
  "火災警報：全員、南出口から退避してください",
  "two lines\nand the second",
  "an escape \u001b[2J and a bell \u0007",
];

/** A cluster of five, one of each kind; two hubs; items that are hard to show. */
export const SCENE: Snapshot = {
  atMs: AT_MS,
  nodes: [
    node("kitchen", {}),
    node("hall", { state: "degraded", detail: "nodeFull", agreement: "differs" }),
    {
      key: "12D3KooWattic",
      name: "attic",
      cluster: "default",
      state: "lost",
      detail: "no sign of life",
      agreement: "unknown",
      items: 7,
    },
    {
      key: "http://10.0.0.9:8080",
      name: "10.0.0.9:8080",
      cluster: "-",
      url: "http://10.0.0.9:8080",
      state: "unreachable",
      detail: "no node answers at http://10.0.0.9:8080 (connection refused)",
      agreement: "unknown",
    },
    node("a-name-that-is-far-too-long-for-its-column-and-has-ひらがな", { agreement: "differsByPolicy" }),
  ],
  hubs: [
    {
      key: "hub",
      name: "hubcast",
      address: "127.0.0.1:9999",
      state: "ready",
      clients: 100,
      deliveries: rate(1_250_000),
      bytesIn: rate(12_000_000),
      bytesOut: rate(1_200_000_000),
      memoryBytes: 80_000_000,
      memoryMaxBytes: 536_870_912,
      outboxBytes: 40_000_000,
      paused: 3,
      evicted: 2,
      closed: { clientClosed: 9, slowConsumer: 2 },
      slowest: [client(7, 33_554_432), client(3, 1_024)],
    },
    { key: "other", name: "other", address: "192.168.0.7:9999", state: "unmonitored", slowest: [] },
  ],
  items: RAWS.map((raw, index) =>
    withDigest({
      id: index === 0 ? "019476c1-5e9b-7d35-b26d-1e43655e5348" : `notice-${index}`,
      raw,
      signature: "sha256:".padEnd(71, "0"),
      timestampMs: AT_MS - index * 1_000,
    }),
  ),
  events: [
    { key: "2", atMs: AT_MS, tone: "bad", text: "node attic is lost (no sign of life)" },
    { key: "1", atMs: AT_MS - 5_000, tone: "good", text: "node attic is connected" },
  ],
};
