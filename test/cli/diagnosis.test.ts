import { expect, it } from "vitest";
import { diagnose, type Facts, type SeenFacts } from "../../src/cli/diagnosis.js";
import type { NodeStatus } from "../../src/node/broadcast.js";
import { nodeStatus, peer } from "../fixtures/node-answers.js";

const STATUS = nodeStatus();

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

const LO = { name: "lo", isLoopback: true };

const HEALTHY: Facts = {
  nodeVersion: "24.0.0",
  interfaces: [LO, { name: "eth0", isLoopback: false }],
  ports: [{ port: 8080, command: "hubcast broadcast start", holder: "hubcast" }],
  servers: [server("a", {}, { peers: [peer("b")] }), server("b", {}, { peers: [peer("a")] })],
};

function withServers(...servers: SeenFacts[]): Facts {
  return { ...HEALTHY, servers };
}

const POLICY_DIFFERS = {
  code: "policyDiffers",
  message: "b accepts other keys",
  advice: "Start all with the same --trust.",
  peer: { id: "b", name: "b" },
} as const;

const status = (change: Partial<NodeStatus>): NodeStatus => ({ ...STATUS, ...change });

it("finds nothing in a healthy network", () => {
  expect(diagnose(HEALTHY).filter(({ verdict }) => verdict !== "ok")).toEqual([]);
});

it.each<[string, Facts, string, RegExp]>([
  [
    "no multicast on an interface",
    {
      ...HEALTHY,
      interfaces: [...HEALTHY.interfaces, { name: "eth1", isLoopback: false, fault: "EPERM" }],
    },
    "multicast",
    /^no multicast on eth1: EPERM$/,
  ],
  [
    "no interface that is up",
    { ...HEALTHY, interfaces: [LO], servers: [] },
    "multicast",
    /^no interface reaches other machines by multicast: none is up$/,
  ],
  [
    "the same fault of all interfaces, in one line",
    {
      ...HEALTHY,
      interfaces: ["eth0", "eth1"].map((name) => ({ name, isLoopback: false, fault: "EPERM" })),
    },
    "multicast",
    /^no interface reaches other machines by multicast \(eth0: EPERM; eth1: EPERM\)$/,
  ],
  [
    "a named interface that fails, though loopback",
    { ...HEALTHY, interfacesNamed: true, interfaces: [{ ...LO, fault: "EPERM" }] },
    "multicast",
    /^no interface reaches other machines by multicast \(lo: EPERM\)$/,
  ],
  [
    "a sender that floods multicast DNS",
    { ...HEALTHY, dropped: { overLimit: 7_000, overLimitFrom: "10.0.0.66", malformed: 0 } },
    "dropped",
    /7000 packets.*10\.0\.0\.66/,
  ],
  [
    "packets that cannot be read",
    { ...HEALTHY, dropped: { overLimit: 0, malformed: 12 } },
    "dropped",
    /12 packets.*malformed/,
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
  [
    "a firewall in front of all, in one line",
    withServers(...["a", "b", "c"].map((name) => ({ seen: server(name).seen }))),
    "silence",
    /^none of the 3 that are announced takes a connection: a, b, c$/,
  ],
  [
    "a machine that is off, in one line",
    withServers(
      ...HEALTHY.servers,
      ...["c", "d"].map((name) => ({ seen: server(name, { addresses: ["10.0.0.7:1"] }).seen })),
    ),
    "silence",
    /^2 are announced at 10.0.0.7, but take no connection: c, d$/,
  ],
  ["two clusters", withServers(server("a"), server("b", { cluster: "other" })), "clusters", /default, other/],
  [
    "two versions",
    withServers(server("a"), server("b", { version: "0.2.0" })),
    "versions",
    /a: 0.1.0; b: 0.2.0$/,
  ],
  [
    "keys that differ",
    withServers(server("a", { keyHash: "00000000" }), server("b")),
    "clusterKey",
    /a: 00000000; b: no key$/,
  ],
  [
    "the one with another key, and not that it meets nobody",
    withServers(
      server("a", { keyHash: "00000000" }, { peers: [] }),
      ...["b", "c"].map((name) =>
        server(name, {}, { peers: ["b", "c"].filter((other) => other !== name).map((other) => peer(other)) }),
      ),
    ),
    "clusterKey",
    /: a: 00000000; the 2 others: no key$/,
  ],
  [
    "why a node is degraded",
    withServers(
      server("a", {}, { status: status({ reasons: ["policyDiffers"], details: [POLICY_DIFFERS] }) }),
      server("b"),
    ),
    "policyDiffers",
    /^a is degraded: b accepts other keys$/,
  ],
  [
    "the odd one out, when nodes say it of each other",
    withServers(
      ...["a", "b", "c"].map((name) => {
        const differing = name === "b" ? ["a", "c"] : ["b"];
        const details = differing.map((other) => ({
          ...POLICY_DIFFERS,
          message: `${other} accepts other keys`,
          peer: { id: other, name: other },
        }));
        return server(name, {}, { status: status({ reasons: ["policyDiffers"], details }) });
      }),
    ),
    "policyDiffers",
    /^a, c are degraded: b accepts other keys$/,
  ],
  [
    "what ails several nodes, in one line",
    withServers(
      ...["a", "b"].map((name) => {
        const { peer: _, ...detail } = POLICY_DIFFERS;
        const details = [{ ...detail, code: "noPeer", message: "no peer answers" } as const];
        return server(name, {}, { status: status({ reasons: ["noPeer"], details }) });
      }),
    ),
    "noPeer",
    /^a, b are degraded: no peer answers$/,
  ],
  [
    "nodes that have not met",
    withServers(server("a", {}, { peers: [peer("b", { state: "lost" })] }), server("b")),
    "peers",
    /a of cluster default is not connected to b/,
  ],
  [
    "the node that nobody has met",
    withServers(
      ...["a", "b", "c"].map((name) =>
        server(
          name,
          {},
          { peers: ["a", "b"].filter((other) => other !== name && name !== "c").map((other) => peer(other)) },
        ),
      ),
    ),
    "peers",
    /^c of cluster default is not connected to a, b$/,
  ],
  [
    "a clock that is ahead",
    withServers(server("a", {}, { clockAheadMs: 300_000 })),
    "clock",
    /5 min ahead of ours/,
  ],
  [
    "our own clock, when all others are off by the same",
    withServers(
      ...HEALTHY.servers.map((healthy, index) => ({ ...healthy, clockAheadMs: 300_000 + 1_000 * index })),
    ),
    "clock",
    /^the clock of this machine is 5 min behind those of all 2 others$/,
  ],
])("finds %s, and says what to do", (_name, facts, check, text) => {
  const found = diagnose(facts).filter(({ verdict }) => verdict !== "ok");
  expect(found.map((finding) => finding.check)).toEqual([check]);
  expect(found[0]!.text).toMatch(text);
  expect(found[0]!.advice).toMatch(/\.$/);
});
