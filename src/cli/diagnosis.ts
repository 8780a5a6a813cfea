import { formatDuration } from "../core/units.js";
import type { DroppedPackets } from "../discovery/index.js";
import type { HubReasonDetail } from "../hub/index.js";
import type { NodeStatus, Peer } from "../node/broadcast.js";
import type { Seen, SeenNode } from "./network.js";

/** Facts about this machine and its network. */
export interface Facts {
  readonly nodeVersion: string;
  /** Interfaces, and why multicast does not come back on them; absent when it does. */
  readonly interfaces: readonly InterfaceFacts[];
  /** The interfaces are those that were asked for, not all of the machine. */
  readonly interfacesNamed?: boolean;
  /** Why DNS-SD cannot be used at all. */
  readonly discoveryFault?: string;
  /** Packets of multicast DNS that were not looked at while this machine listened. */
  readonly dropped?: DroppedPackets;
  /** The ports that a start takes without flags. */
  readonly ports: readonly {
    readonly port: number;
    readonly command: string;
    readonly holder: "free" | "hubcast" | "other";
  }[];
  readonly servers: readonly SeenFacts[];
}

export interface InterfaceFacts {
  readonly name: string;
  readonly isLoopback: boolean;
  readonly fault?: string;
}

export interface SeenFacts {
  readonly seen: Seen;
  /** Absent when it takes no connection at all. */
  readonly roundTripMs?: number;
  /** Known for a node whose API answers. */
  readonly status?: NodeStatus;
  readonly peers?: readonly Peer[];
  /** Of a hub on this machine that is monitored: why it is degraded. */
  readonly hubDetails?: readonly HubReasonDetail[];
  /** How far its clock is ahead of ours. */
  readonly clockAheadMs?: number;
}

export interface Finding {
  readonly check: string;
  readonly verdict: "ok" | "warning" | "problem";
  readonly text: string;
  /** Advice; absent when none is needed. */
  readonly advice?: string;
}

/** Clocks may differ by this much, and an answer is read to a second. */
const CLOCK_APART_MS_MAX = 60_000;

/** Judges facts: what makes nodes not find each other, or not agree, and what to do. */
export function diagnose(facts: Facts): readonly Finding[] {
  const reach = multicast(facts);
  // Without multicast no service is heard: that is no second finding.
  const explained = facts.servers.length === 0 && reach.some(({ verdict }) => verdict === "problem");
  return [
    ok("node", `Node.js ${facts.nodeVersion} is new enough`),
    ...reach,
    ...dropped(facts),
    ...facts.ports.map(port),
    ...(explained ? [] : silence(facts)),
    ...clusters(facts.servers),
    ...hubs(facts.servers),
    ...clocks(facts.servers),
  ];
}

function multicast({ discoveryFault, interfaces, interfacesNamed }: Facts): Finding[] {
  if (discoveryFault !== undefined) {
    return [
      problem(
        "multicast",
        `multicast DNS cannot be used: ${discoveryFault}`,
        "Name the others by hand: broadcast start --peer HOST:PORT, with --p2p-port on the other side.",
      ),
    ];
  }
  const findings = interfaces.map(({ name, fault }) =>
    fault === undefined
      ? ok("multicast", `multicast comes back on ${name}`)
      : warning(
          "multicast",
          `no multicast on ${name}: ${fault}`,
          `Allow it (ip link set ${name} multicast on; UDP 5353 in the firewall), choose another with --mdns-interface, or use --peer.`,
        ),
  );
  const reachesOthers = interfaces.some(
    ({ isLoopback, fault }) => fault === undefined && (interfacesNamed || !isLoopback),
  );
  if (reachesOthers) return findings;
  // One common cause replaces a line for each failing interface.
  const faults = interfaces.flatMap(({ name, fault }) => (fault === undefined ? [] : [`${name}: ${fault}`]));
  return [
    ...findings.filter(({ verdict }) => verdict === "ok"),
    problem(
      "multicast",
      `no interface reaches other machines by multicast${faults.length > 0 ? ` (${faults.join("; ")})` : ": none is up"}`,
      "Bring one up (ip link), or name the others by hand: broadcast start --peer HOST:PORT.",
    ),
  ];
}

function dropped({ dropped }: Facts): Finding[] {
  const findings: Finding[] = [];
  if (dropped && dropped.overLimit > 0)
    findings.push(
      warning(
        "dropped",
        `${dropped.overLimit} packets of multicast DNS were not read: ${dropped.overLimitFrom} and others send too many`,
        "Find out what that machine announces; nodes and hubs may be seen late, or not at all.",
      ),
    );
  if (dropped && dropped.malformed > 0)
    findings.push(
      warning(
        "dropped",
        `${dropped.malformed} packets of multicast DNS were not read: they are malformed`,
        "Some program on this network sends them; hubcast goes on without them.",
      ),
    );
  return findings;
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

/** A service that is announced but takes no connection is behind a firewall, frozen, or gone without goodbye. */
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
  const silent = servers.filter(({ roundTripMs }) => roundTripMs === undefined);
  return [
    ...servers.flatMap(({ seen, roundTripMs }) =>
      roundTripMs === undefined
        ? []
        : [ok("silence", `${seen.type} ${seen.name} answers in ${formatDuration(roundTripMs)}`)],
    ),
    ...(silent.length === servers.length && silent.length > 1
      ? [
          problem(
            "silence",
            `none of the ${silent.length} that are announced takes a connection: ${namesOf(silent)}`,
            "Let TCP from this machine through its firewall, or a firewall between.",
          ),
        ]
      : grouped(silent, ({ seen }) => hostOf(seen)).map(([host, there]) => silentHost(host, there))),
  ];
}

function silentHost(host: string, silent: readonly SeenFacts[]): Finding {
  const [{ seen }] = silent as [SeenFacts];
  return silent.length === 1
    ? problem(
        "silence",
        `${seen.type} ${seen.name} is announced at ${seen.addresses[0] ?? "no address"}, but takes no connection`,
        "Let TCP to that port through the firewall of its machine; or it was killed, and its record ends within 2 min.",
      )
    : problem(
        "silence",
        `${silent.length} are announced at ${host}, but take no connection: ${namesOf(silent)}`,
        "Let TCP to that machine through its firewall; or it is off, and its records end within 2 min.",
      );
}

function hostOf({ addresses: [address = "no address"] }: Seen): string {
  return address.replace(/:\d+$/, "");
}

function clusters(servers: readonly SeenFacts[]): Finding[] {
  const nodes = servers.filter(isNode);
  const names = unique(nodes.map(({ seen }) => seen.cluster ?? "-"));
  const findings = names.flatMap((cluster) => {
    const members = nodes.filter(({ seen }) => (seen.cluster ?? "-") === cluster);
    return [...keys(cluster, members), ...reasons(members), ...meetings(cluster, members)];
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
  const versions = apart(servers, ({ seen }) => seen.version);
  if (versions)
    findings.push(warning("versions", `versions differ: ${versions}`, "Bring all to the newest."));
  return findings;
}

function keys(cluster: string, members: readonly Member[]): Finding[] {
  const differing = apart(members, ({ seen }) => seen.keyHash ?? "no key");
  const isTold = members.some(({ status }) => status?.reasons.includes("clusterKeyDiffers"));
  if (differing === undefined || isTold) return [];
  return [
    problem(
      "clusterKey",
      `cluster keys of ${cluster} differ: ${differing}`,
      "Give all the same file with --cluster-key-file.",
    ),
  ];
}

/** Why the nodes say that they are degraded: each cause once, with the nodes that name it. */
function reasons(members: readonly Member[]): Finding[] {
  const told = members.flatMap(({ seen, status }) =>
    (status?.details ?? []).map((detail) => ({ ...detail, by: seen.name })),
  );
  return grouped(told, ({ code }) => code).flatMap(([code, details]) => {
    const finding = (of: typeof details) => {
      const nodes = unique(of.map(({ by }) => by));
      const messages = unique(of.map(({ message }) => message));
      return problem(
        code,
        `${nodes.join(", ")} ${nodes.length > 1 ? "are" : "is"} degraded: ${messages.join("; ")}`,
        of[0]!.advice,
      );
    };
    const pairs = details.flatMap(({ by, peer }): Pair[] => (peer ? [[by, peer.name]] : []));
    return [
      ...oddOnes(pairs).map(([odd, others]) => {
        const about = details.filter(({ by, peer }) => peer?.name === odd && others.includes(by));
        return finding(about.length > 0 ? about : details.filter(({ by, peer }) => by === odd && peer));
      }),
      ...grouped(
        details.filter(({ peer }) => peer === undefined),
        ({ message }) => message,
      ).map(([, alike]) => finding(alike)),
    ];
  });
}

/** Nodes of one cluster that take connections, but have not met. Nodes of different keys cannot. */
function meetings(cluster: string, members: readonly Member[]): Finding[] {
  const apart = members.flatMap(({ seen, peers }) => {
    if (!peers) return [];
    const connected = new Set(peers.filter(({ state }) => state === "connected").map(({ id }) => id));
    return members
      .filter(({ seen: other }) => other.id !== seen.id && !connected.has(other.id ?? ""))
      .filter(({ seen: other, roundTripMs }) => roundTripMs !== undefined && other.keyHash === seen.keyHash)
      .map(({ seen: other }): Pair => [seen.name, other.name]);
  });
  return oddOnes(apart).map(([odd, others]) =>
    warning(
      "peers",
      `${odd} of cluster ${cluster} is not connected to ${others.join(", ")}`,
      "Wait a moment if they have just started; else see hubcast broadcast peers for the reason.",
    ),
  );
}

function hubs(servers: readonly SeenFacts[]): Finding[] {
  return servers.flatMap(({ seen, hubDetails = [] }) =>
    hubDetails.map(({ code, message, advice }) =>
      problem(code, `hub ${seen.name} is degraded: ${message}`, advice),
    ),
  );
}

function clocks(servers: readonly SeenFacts[]): Finding[] {
  const off = servers.filter(({ clockAheadMs = 0 }) => Math.abs(clockAheadMs) >= CLOCK_APART_MS_MAX);
  const aheadMs = off.map(({ clockAheadMs }) => clockAheadMs!);
  const known = servers.filter(({ clockAheadMs }) => clockAheadMs !== undefined);
  // All others are off by the same: the clock that is wrong is this machine's.
  const isOurs =
    off.length > 1 &&
    off.length === known.length &&
    Math.max(...aheadMs) - Math.min(...aheadMs) < CLOCK_APART_MS_MAX;
  return isOurs
    ? [
        clock(
          `the clock of this machine is ${away(-aheadMs[0]!)} those of all ${off.length} others`,
          "Set it",
        ),
      ]
    : off.map(({ seen, clockAheadMs }) =>
        clock(`the clock of ${seen.name} is ${away(clockAheadMs!)} ours`, "Set both"),
      );
}

function clock(text: string, advice: string): Finding {
  return problem("clock", text, `${advice} by NTP: timedatectl set-ntp true.`);
}

function away(aheadMs: number): string {
  return `${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"}`;
}

type Member = SeenFacts & { readonly seen: SeenNode };
/** Names of two nodes between which something is wrong. */
type Pair = readonly [string, string];

/**
 * The fewest nodes that explain all pairs: the one in most pairs first, then the same for the remaining pairs.
 * @param pairs either way round, also twice
 */
function oddOnes(pairs: readonly Pair[]): readonly (readonly [odd: string, others: readonly string[]])[] {
  const odd: [string, string[]][] = [];
  for (let left = pairs; left.length > 0; ) {
    const of = (name: string) =>
      unique(left.filter((pair) => pair.includes(name)).flat()).filter((one) => one !== name);
    const names = unique(left.flat());
    const worst = names.reduce((most, name) => (of(name).length > of(most).length ? name : most));
    odd.push([worst, of(worst)]);
    left = left.filter((pair) => !pair.includes(worst));
  }
  return odd;
}

/**
 * Names servers whose value differs from the others: `hall: 1 h; the 4 others: 24 h`. Unknown values are left out.
 * @returns undefined when all have the same
 */
function apart<S extends SeenFacts>(
  servers: readonly S[],
  of: (server: S) => string | undefined,
): string | undefined {
  const known = servers.filter((server) => of(server) !== undefined);
  const groups = grouped(known, (server) => of(server)!).sort(([, a], [, b]) => a.length - b.length);
  if (groups.length < 2) return undefined;
  const [value, most] = groups.at(-1)!;
  const hasMajority = most.length > groups.at(-2)![1].length;
  return [
    ...groups.slice(0, -1).map(([odd, few]) => `${namesOf(few)}: ${odd}`),
    `${hasMajority ? `the ${most.length} others` : namesOf(most)}: ${value}`,
  ].join("; ");
}

function grouped<T>(
  values: readonly T[],
  keyOf: (value: T) => string,
): [key: string, values: readonly T[]][] {
  return [...Map.groupBy(values, keyOf)];
}

function namesOf(servers: readonly SeenFacts[]): string {
  return servers.map(({ seen }) => seen.name).join(", ");
}

function isNode(server: SeenFacts): server is Member {
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
