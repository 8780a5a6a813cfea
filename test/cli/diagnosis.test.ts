import { expect, it } from "vitest";
import { diagnose, type Facts, type SeenFacts } from "../../src/cli/diagnosis.js";
import type { NodeStatus, Peer } from "../../src/node/broadcast.js";
import { FakeService } from "../fixtures/fake-service.js";

const STATUS = new FakeService().status();

function server(name: string, seen: object = {}, more: Partial<SeenFacts> = {}): SeenFacts {
  return {
    seen: {
      type: "node",
      name,
      id: name,
      version: "0.1.0",
      addresses: ["127.0.0.1:4001"],
      cluster: "default",
      ...seen,
    },
    roundTripMs: 1,
    clockAheadMs: 300,
    status: STATUS,
    ...more,
  };
}

function peer(name: string, more: Partial<Peer> = {}): Peer {
  const place = { address: "127.0.0.1:4001", state: "connected", sinceMs: 1, agreement: "agrees" } as const;
  return { id: name, name, ...place, ...more };
}

const HEALTHY: Facts = {
  nodeVersion: "24.0.0",
  interfaces: [{ name: "lo" }],
  ports: [{ port: 8080, command: "hubcast broadcast start", holder: "hubcast" }],
  servers: [server("a", {}, { peers: [peer("b")] }), server("b", {}, { peers: [peer("a")] })],
};

function withServers(...servers: SeenFacts[]): Facts {
  return { ...HEALTHY, servers };
}

const status = (change: Partial<NodeStatus>): NodeStatus => ({ ...STATUS, ...change });

it("finds nothing in a healthy network", () => {
  expect(diagnose(HEALTHY).filter(({ verdict }) => verdict !== "ok")).toEqual([]);
});

it.each<[string, Facts, string, RegExp]>([
  [
    "no multicast on an interface",
    { ...HEALTHY, interfaces: [{ name: "eth0", fault: "EPERM" }] },
    "multicast",
    /eth0: EPERM/,
  ],
  ["no multicast at all", { ...HEALTHY, discoveryFault: "port 5353 is taken" }, "multicast", /5353/],
  [
    "a port that is taken",
    { ...HEALTHY, ports: [{ port: 8080, command: "hubcast broadcast start", holder: "other" }] },
    "port",
    /8080 is taken/,
  ],
  ["silence", withServers(), "silence", /no node and no hub/],
  [
    "a firewall",
    withServers({ seen: server("a").seen }),
    "silence",
    /a is announced at 127.0.0.1:4001, but takes no connection/,
  ],
  ["two clusters", withServers(server("a"), server("b", { cluster: "other" })), "clusters", /default, other/],
  ["two versions", withServers(server("a"), server("b", { version: "0.2.0" })), "versions", /0.1.0, 0.2.0/],
  [
    "keys that differ",
    withServers(server("a", { keyHash: "00000000" }), server("b")),
    "clusterKey",
    /00000000, no key/,
  ],
  [
    "retentions that differ",
    withServers(server("a"), server("b", {}, { status: status({ retentionMs: 3_600_000 }) })),
    "retention",
    /24 h 0 min and 1 h 0 min/,
  ],
  [
    "policies that differ",
    withServers(server("a", {}, { peers: [peer("b", { agreement: "differsByPolicy" })] }), server("b")),
    "policy",
    /: b$/,
  ],
  [
    "nodes that have not met",
    withServers(server("a", {}, { peers: [peer("b", { state: "lost" })] }), server("b")),
    "peers",
    /a of cluster default is not connected to b/,
  ],
  [
    "a clock that is ahead",
    withServers(server("a", {}, { clockAheadMs: 300_000 })),
    "clock",
    /5 min ahead of ours/,
  ],
  [
    "a clock that the peers find off",
    withServers(server("a", {}, { status: status({ reasons: ["clockSkew"] }) })),
    "clock",
    /refuses posts/,
  ],
])("finds %s, and says what to do", (_name, facts, check, text) => {
  const found = diagnose(facts).filter(({ verdict }) => verdict !== "ok");
  expect(found.map((finding) => finding.check)).toEqual([check]);
  expect(found[0]!.text).toMatch(text);
  expect(found[0]!.advice).toMatch(/\.$/);
});
