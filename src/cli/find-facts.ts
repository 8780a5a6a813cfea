import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import http from "node:http";
import { connect, createServer, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { asHubcastError, CONNECT_REASONS, HubcastError } from "../core/errors.js";
import { hostAndPort } from "../core/hosts.js";
import { formatDuration } from "../core/units.js";
import { connectToHub } from "../hub/client/index.js";
import type { HubReasonDetail } from "../hub/index.js";
import { connectToNode } from "../node/client.js";
import type { Facts, Finding, InterfaceFacts, SeenFacts } from "./diagnosis.js";
import { lookAround, type Seen, type SeenHub } from "./network.js";

const ANSWER_TIMEOUT_MS = 1_500;

export interface FactsOptions {
  readonly interfaces: readonly string[] | undefined;
  readonly listenMs: number;
  readonly signal: AbortSignal;
}

/** Looks at this machine and its network. @throws invalidOption for an interface that does not exist */
export async function findFacts({ interfaces, listenMs, signal }: FactsOptions): Promise<Facts> {
  const seen = new Map<string, Seen>();
  let discoveryFault: string | undefined;
  let dropped: Facts["dropped"];
  try {
    await using dnsSd = await lookAround({
      ...(interfaces && { interfaces }),
      signal,
      up: (key, server) => seen.set(key, server),
      down: (key) => seen.delete(key),
    });
    await new Promise((resolve) => setTimeout(resolve, listenMs));
    dropped = dnsSd.dropped;
  } catch (error) {
    if ((error as HubcastError).code === "invalidOption") throw error;
    discoveryFault = (error as Error).message;
  }
  const servers = await Promise.all([...seen.values()].map((server) => factsOf(server, signal)));
  return {
    nodeVersion: process.versions.node,
    interfaces: await Promise.all(usable(interfaces).map(interfaceFacts)),
    interfacesNamed: interfaces !== undefined,
    ...(discoveryFault !== undefined && { discoveryFault }),
    ...(dropped && { dropped }),
    ports: [
      { port: 8080, command: "hubcast broadcast start", holder: await holderOf(8080, "node", servers) },
      { port: 9999, command: "hubcast hub start", holder: await holderOf(9999, "hub", servers) },
    ],
    servers,
  };
}

async function factsOf(seen: Seen, signal: AbortSignal): Promise<SeenFacts> {
  const tripMs = await roundTripMs(seen.addresses, ANSWER_TIMEOUT_MS);
  const facts = { seen, ...(tripMs !== undefined && { roundTripMs: tripMs }) };
  if (tripMs === undefined) return facts;
  if (seen.type === "hub") return { ...facts, hubDetails: await hubDetails(seen, signal) };
  if (seen.url === undefined) return facts;
  try {
    const node = await connectToNode(seen.url, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
    try {
      const [status, peers] = await Promise.all([node.status(), node.peers()]);
      const clockAheadMs = await clockAhead(seen.url);
      return { ...facts, status, peers, ...(clockAheadMs !== undefined && { clockAheadMs }) };
    } finally {
      await node.close();
    }
  } catch {
    // It asks for a token, or is busy: then there is less to say of it.
    return facts;
  }
}

/** Why a hub on this machine is degraded; none where it is not monitored, or asks for a token. */
async function hubDetails({ monitorUrl }: SeenHub, signal: AbortSignal): Promise<readonly HubReasonDetail[]> {
  if (monitorUrl === undefined) return [];
  try {
    const stopped = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const answer = await fetch(`${monitorUrl}/v1/status`, { signal: stopped });
    const { details } = (await answer.json()) as { readonly details?: readonly HubReasonDetail[] };
    return Array.isArray(details) ? details : [];
  } catch {
    return [];
  }
}

/** By the Date of an answer, which is exact to a second. */
async function clockAhead(url: string): Promise<number | undefined> {
  return await new Promise((resolve) => {
    const request = http.get(`${url}/healthz`, { timeout: ANSWER_TIMEOUT_MS, agent: false }, (response) => {
      response.resume();
      const atMs = Date.parse(response.headers.date ?? "");
      resolve(Number.isNaN(atMs) ? undefined : atMs - Date.now());
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}

interface UsableInterface {
  readonly name: string;
  readonly address: string;
  readonly isLoopback: boolean;
}

/** Each interface by an IPv4 address; one that has none by its zone. */
function usable(wanted: readonly string[] | undefined): UsableInterface[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const address = addresses.find(({ family }) => family === "IPv4")?.address ?? `::%${name}`;
    const isMeant =
      !wanted || wanted.includes(name) || addresses.some((each) => wanted.includes(each.address));
    const isLoopback = addresses.some(({ internal }) => internal);
    return addresses.length > 0 && isMeant ? [{ name, address, isLoopback }] : [];
  });
}

async function interfaceFacts({ name, address, isLoopback }: UsableInterface): Promise<InterfaceFacts> {
  const fault = await multicastFault(address);
  return { name, isLoopback, ...(fault !== undefined && { fault }) };
}

async function holderOf(
  port: number,
  type: Seen["type"],
  servers: readonly SeenFacts[],
): Promise<Facts["ports"][number]["holder"]> {
  const isFree = await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
  if (isFree) return "free";
  const isOurs = servers.some(({ seen }) => {
    if (seen.type !== type) return false;
    const places = seen.type === "node" ? [seen.url ?? ""] : seen.addresses;
    return places.some((place) => place.endsWith(`127.0.0.1:${port}`));
  });
  return isOurs ? "hubcast" : "other";
}

const GROUPS = { udp4: "224.0.0.251", udp6: "ff02::fb" } as const;
const DEADLINE_MS = 500;

/**
 * Sends a packet to the group of multicast DNS, on a port of our own, and waits for it to come back.
 * @param address an IPv4 address of the interface, or for IPv6 `::%` and its name
 * @returns why it did not; undefined when it did
 */
async function multicastFault(address: string): Promise<string | undefined> {
  const token = randomBytes(16);
  const type = address.includes(":") ? "udp6" : "udp4";
  const socket = createSocket({ type, reuseAddr: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<string | undefined>((resolve) => {
      const failed = (error: Error) => resolve(error.message);
      timer = setTimeout(() => resolve("what is sent does not come back"), DEADLINE_MS);
      socket.on("error", failed);
      socket.on("message", (message) => {
        if (message.equals(token)) resolve(undefined);
      });
      socket.bind(0, () => {
        try {
          socket.addMembership(GROUPS[type], address);
          socket.setMulticastInterface(address);
          socket.setMulticastTTL(1);
          socket.send(token, socket.address().port, GROUPS[type], (error) => error && failed(error));
        } catch (error) {
          failed(error as Error);
        }
      });
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

const TIMEOUT_MS = 2_000;
/** The first bytes of either side of a connection between nodes: the length-prefixed header of multistream-select. */
const PEER_GREETING = "\x13/multistream/1.0.0\n";

/** Advice by the code of the error with which connecting ended. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED:
    "Nothing listens there: start it, and see that it listens on an address that others reach (--host, --p2p-host), on this port.",
  ETIMEDOUT: "A firewall drops what is sent there, or the machine is off or not on this network.",
  EHOSTUNREACH:
    "No machine of that address answers on this network: see that it is on, and on the same network.",
  ENETUNREACH: "This machine has no route there: see its interfaces (ip address) and routes (ip route).",
};

/**
 * Connects to an address as a node or client would, and reports what answers, or why nothing does.
 * @param address `HOST:PORT`, the URL of a node, or a peer address `/ip4/.../tcp/...`
 * @throws usage when the text is no address
 */
export async function probeAddress(address: string, signal: AbortSignal): Promise<readonly Finding[]> {
  const { host, port } = parse(address);
  const place = hostAndPort({ host, port });
  if (isIP(host.replace(/%.*$/, "")) === 0) {
    try {
      await lookup(host);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return [
        problem(
          `${host} has no address: ${CONNECT_REASONS[code ?? ""] ?? code}`,
          "Check the name, or give an IP address.",
        ),
      ];
    }
  }
  let connectMs: number;
  try {
    connectMs = await tripMs(place, TIMEOUT_MS);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const advice = ADVICE[code ?? ""] ?? "See what the error means for the network between.";
    return [problem(`${place} takes no connection (${CONNECT_REASONS[code ?? ""] ?? message})`, advice)];
  }
  const reachable: Finding = {
    ...{ check: "address", verdict: "ok" },
    text: `${place} takes connections, in ${formatDuration(connectMs)}`,
  };
  const found = await Promise.all([nodeAt(place, signal), hubAt(place, signal), peerPortAt(host, port)]);
  const what = found.find((text) => text !== undefined);
  if (what !== undefined) return [reachable, { check: "address", verdict: "ok", text: what }];
  const advice = "Another program holds that port: see which one a node or hub printed when it started.";
  return [reachable, problem(`what listens at ${place} is no node and no hub of hubcast`, advice)];
}

function parse(address: string): { readonly host: string; readonly port: number } {
  const [, host, port] =
    /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)\/tcp\/(\d+)(?:\/|$)/.exec(address) ??
    /^(?:https?:\/\/)?(?:\[([^\]]+)\]):(\d+)\/?$/.exec(address) ??
    /^(?:https?:\/\/)?([^:[\]/]+):(\d+)\/?$/.exec(address) ??
    [];
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new HubcastError("usage", `"${address}" is no address`, {
    suggestions: ["Write HOST:PORT, [IPV6]:PORT, the URL of a node, or a peer address as a node prints it."],
  });
}

async function nodeAt(place: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const node = await connectToNode(`http://${place}`, { timeoutMs: TIMEOUT_MS, signal });
    const { name, cluster, version, state } = await node.status().finally(() => node.close());
    return `it is the HTTP API of node ${name}, version ${version}, cluster ${cluster}, ${state}`;
  } catch (error) {
    return asHubcastError(error).code === "unauthorized" ? "it is a node that asks for a token" : undefined;
  }
}

async function hubAt(place: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const hub = await connectToHub(place, { signal: deadline, reconnect: false });
    await hub.close();
    return `it is hub ${hub.hubName}`;
  } catch (error) {
    return asHubcastError(error).code === "unauthorized" ? "it is a hub that asks for a token" : undefined;
  }
}

/** Whether nodes connect to each other there. With a cluster key they say nothing to others. */
function peerPortAt(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect({ host, port, timeout: TIMEOUT_MS }, () => socket.write(PEER_GREETING, "latin1"));
    const end = () => {
      socket.destroy();
      resolve(heard.startsWith(PEER_GREETING) ? "it is where nodes connect to a node" : undefined);
    };
    socket.on("data", (chunk) => {
      heard += chunk.toString("latin1");
      if (heard.length >= PEER_GREETING.length) end();
    });
    socket.once("timeout", end);
    socket.once("error", end);
    socket.once("close", end);
  });
}

function problem(text: string, advice: string): Finding {
  return { check: "address", verdict: "problem", text, advice };
}

/**
 * How long a TCP connection takes: one round trip of the network and the other side's kernel. All addresses are
 * tried at once, the first that answers counts.
 * @param addresses `host:port`, IPv6 in brackets
 * @returns milliseconds; undefined when none answers in time
 */
export async function roundTripMs(
  addresses: readonly string[],
  timeoutMs: number,
): Promise<number | undefined> {
  return await Promise.any(addresses.map((address) => tripMs(address, timeoutMs))).catch(() => undefined);
}

/**
 * The same for one address: the better of two connections, since the first of a process also loads what connecting needs.
 * Rejects with the error of Node, whose `code` is ETIMEDOUT when nothing answers in time.
 */
async function tripMs(address: string, timeoutMs: number): Promise<number> {
  const endMs = performance.now() + timeoutMs;
  const first = await connectMs(address, endMs - performance.now());
  const second = connectMs(address, endMs - performance.now()).catch(() => first);
  return Math.min(first, await second);
}

function connectMs(address: string, timeoutMs: number): Promise<number> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: Math.max(1, timeoutMs) });
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    socket.once("connect", () => end(() => resolve(performance.now() - startMs)));
    const timedOut = () => Object.assign(new Error(`no answer from ${address}`), { code: "ETIMEDOUT" });
    socket.once("timeout", () => end(() => reject(timedOut())));
    socket.once("error", (error) => end(() => reject(error)));
  });
}
