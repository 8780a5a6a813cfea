import { formatDuration } from "../core/units.js";
import type { NodeStatus, Peer } from "../node/broadcast.js";
import type { Seen, SeenNode } from "./network.js";

/** What was found out about this machine and its network. */
export interface Facts {
  readonly nodeVersion: string;
  /** Interfaces, and why multicast does not come back on them; absent when it does. */
  readonly interfaces: readonly { readonly name: string; readonly fault?: string }[];
  /** Why DNS-SD cannot be used at all. */
  readonly discoveryFault?: string;
  /** The ports that a start takes without flags. */
  readonly ports: readonly {
    readonly port: number;
    readonly command: string;
    readonly holder: "free" | "hubcast" | "other";
  }[];
  readonly servers: readonly SeenFacts[];
}

export interface SeenFacts {
  readonly seen: Seen;
  /** Absent when it takes no connection at all. */
  readonly roundTripMs?: number;
  /** Of a node whose API answers us. */
  readonly status?: NodeStatus;
  readonly peers?: readonly Peer[];
  /** How far its clock is ahead of ours. */
  readonly clockAheadMs?: number;
}

export interface Finding {
  readonly check: string;
  readonly verdict: "ok" | "warning" | "problem";
  readonly text: string;
  /** What to do; absent when nothing is to be done. */
  readonly advice?: string;
}

/** Clocks may differ by this much, and an answer is read to a second. */
const CLOCK_APART_MS_MAX = 60_000;

/** Judges facts: what makes nodes not find each other, or not agree, and what to do. */
export function diagnose(facts: Facts): readonly Finding[] {
  return [
    ok("node", `Node.js ${facts.nodeVersion} is new enough`),
    ...multicast(facts),
    ...facts.ports.map(port),
    ...silence(facts),
    ...clusters(facts.servers),
    ...clocks(facts.servers),
  ];
}

function multicast({ discoveryFault, interfaces }: Facts): Finding[] {
  if (discoveryFault !== undefined) {
    return [
      problem(
        "multicast",
        `multicast DNS cannot be used: ${discoveryFault}`,
        "Name the others by hand: broadcast start --peer HOST:PORT, with --p2p-port on the other side.",
      ),
    ];
  }
  return interfaces.map(({ name, fault }) =>
    fault === undefined
      ? ok("multicast", `multicast comes back on ${name}`)
      : warning(
          "multicast",
          `no multicast on ${name}: ${fault}`,
          `Allow it (ip link set ${name} multicast on; UDP 5353 in the firewall), choose another with --mdns-interface, or use --peer.`,
        ),
  );
}

function port({ port, command, holder }: Facts["ports"][number]): Finding {
  if (holder === "free") return ok("port", `port ${port} is free for ${command}`);
  if (holder === "hubcast") return ok("port", `port ${port} is held by hubcast`);
  return warning(
    "port",
    `port ${port} is taken by another program`,
    `Start with another one: ${command} --port 0.`,
  );
}

/** Who is announced but takes no connection is behind a firewall, frozen, or gone without goodbye. */
function silence({ servers }: Facts): Finding[] {
  if (servers.length === 0) {
    return [
      warning(
        "silence",
        "no node and no hub is heard",
        "Start one here and look again; if one runs elsewhere, see that both are on one network and UDP 5353 is let through.",
      ),
    ];
  }
  return servers.map(({ seen, roundTripMs }) =>
    roundTripMs === undefined
      ? problem(
          "silence",
          `${seen.type} ${seen.name} is announced at ${seen.addresses[0] ?? "no address"}, but takes no connection`,
          "Let TCP to that port through the firewall of its machine; or it was killed, and its record ends within 2 min.",
        )
      : ok("silence", `${seen.type} ${seen.name} answers in ${formatDuration(roundTripMs)}`),
  );
}

function clusters(servers: readonly SeenFacts[]): Finding[] {
  const nodes = servers.filter(isNode);
  const names = unique(nodes.map(({ seen }) => seen.cluster ?? "-"));
  const findings = names.flatMap((cluster) => {
    const members = nodes.filter(({ seen }) => (seen.cluster ?? "-") === cluster);
    return [...keys(cluster, members), ...retentions(cluster, members), ...meetings(cluster, members)];
  });
  if (names.length > 1) {
    findings.unshift(
      warning(
        "clusters",
        `nodes of ${names.length} clusters are heard: ${names.join(", ")}`,
        "They do not speak to each other; if they should, start them with the same --cluster.",
      ),
    );
  }
  const versions = unique(servers.map(({ seen }) => seen.version ?? "-"));
  if (versions.length > 1) {
    findings.push(
      warning("versions", `different versions run: ${versions.join(", ")}`, "Bring all to the newest one."),
    );
  }
  return findings;
}

function keys(cluster: string, members: readonly (SeenFacts & { seen: SeenNode })[]): Finding[] {
  const hashes = unique(members.map(({ seen }) => seen.keyHash ?? "no key"));
  if (hashes.length <= 1) return [];
  return [
    problem(
      "clusterKey",
      `nodes of cluster ${cluster} have different keys: ${hashes.join(", ")}`,
      "Give all the same file with --cluster-key-file.",
    ),
  ];
}

function retentions(cluster: string, members: readonly SeenFacts[]): Finding[] {
  const lengths = unique(members.flatMap(({ status }) => (status ? [status.retentionMs] : [])));
  const byPolicy = unique(
    members.flatMap(({ peers = [] }) =>
      peers.filter(({ agreement }) => agreement === "differsByPolicy").map(({ name }) => name),
    ),
  );
  return [
    ...(lengths.length > 1
      ? [
          problem(
            "retention",
            `nodes of cluster ${cluster} keep items for ${lengths.map(formatDuration).join(" and ")}`,
            "Start all with the same --retention.",
          ),
        ]
      : []),
    ...(byPolicy.length > 0
      ? [
          warning(
            "policy",
            `the policies of these nodes differ from their peers': ${byPolicy.join(", ")}`,
            "Start all with the same --require and --trust.",
          ),
        ]
      : []),
  ];
}

/** Nodes of one cluster that are heard, but have not met. */
function meetings(cluster: string, members: readonly (SeenFacts & { seen: SeenNode })[]): Finding[] {
  return members.flatMap(({ seen, peers }) => {
    if (!peers) return [];
    const connected = new Set(peers.filter(({ state }) => state === "connected").map(({ id }) => id));
    const missing = members.filter(
      (other) => other.seen.id !== seen.id && !connected.has(other.seen.id ?? ""),
    );
    if (missing.length === 0) return [];
    const names = missing.map((other) => other.seen.name).join(", ");
    return [
      warning(
        "peers",
        `${seen.name} of cluster ${cluster} is not connected to ${names}`,
        "Wait a moment if they have just started; else see hubcast broadcast peers for the reason.",
      ),
    ];
  });
}

function clocks(servers: readonly SeenFacts[]): Finding[] {
  return servers.flatMap(({ seen, clockAheadMs, status }) => {
    const isSkewed = status?.reasons.includes("clockSkew") ?? false;
    if (clockAheadMs === undefined || (Math.abs(clockAheadMs) < CLOCK_APART_MS_MAX && !isSkewed)) return [];
    const direction = clockAheadMs > 0 ? "ahead of" : "behind";
    return [
      problem(
        "clock",
        isSkewed
          ? `the clock of ${seen.name} is off its peers', and it refuses posts`
          : `the clock of ${seen.name} is ${formatDuration(Math.abs(clockAheadMs))} ${direction} ours`,
        "Set both by NTP: timedatectl set-ntp true.",
      ),
    ];
  });
}

function isNode(server: SeenFacts): server is SeenFacts & { seen: SeenNode } {
  return server.seen.type === "node";
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function ok(check: string, text: string): Finding {
  return { check, verdict: "ok", text };
}

function warning(check: string, text: string, advice: string): Finding {
  return { check, verdict: "warning", text, advice };
}

function problem(check: string, text: string, advice: string): Finding {
  return { check, verdict: "problem", text, advice };
}
