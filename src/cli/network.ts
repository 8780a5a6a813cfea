import { networkInterfaces } from "node:os";
import { HubcastError } from "../core/errors.js";
import { hostAndPort, isLoopbackHost } from "../core/hosts.js";
import { padded, shown } from "../core/text.js";
import { formatDuration } from "../core/units.js";
import { type DiscoveredService, type DnsSd, openDnsSd } from "../discovery/index.js";
import type { Collector } from "../tui/index.js";

/** A node or hub as DNS-SD shows it; all of it is unproven. */
export type Seen = SeenNode | SeenHub;

interface SeenServer {
  readonly name: string;
  /** Absent when another program advertises the type. */
  readonly id?: string;
  readonly version?: string;
  /** `host:port` for peers or clients; those on loopback first. */
  readonly addresses: readonly string[];
}

export interface SeenNode extends SeenServer {
  readonly type: "node";
  readonly cluster?: string;
  /** First 8 hex digits of a hash of the cluster key; absent without a key. */
  readonly keyHash?: string;
  /** URL of its HTTP API; absent when that is on no shared interface. */
  readonly url?: string;
}

export interface SeenHub extends SeenServer {
  readonly type: "hub";
  readonly tls: boolean;
  readonly needsToken: boolean;
  /** URL of its monitoring, which answers on its own machine only. */
  readonly monitorUrl?: string;
}

export interface LookOptions {
  /** Names or addresses; default all that are up. */
  readonly interfaces?: readonly string[];
  readonly signal?: AbortSignal;
  /** Called for new and changed services; `key` stays the same while a service is up. */
  up(key: string, seen: Seen): void;
  down(key: string, seen: Seen): void;
  warning?(warning: HubcastError): void;
}

/**
 * Looks for nodes and hubs until closed.
 * @throws invalidOption for an unknown interface; portInUse or cannotListen when multicast cannot be used here
 */
export async function lookAround(options: LookOptions): Promise<DnsSd> {
  const { interfaces, signal, warning } = options;
  const dnsSd = await openDnsSd({
    ...(interfaces && { interfaces }),
    ...(signal && { signal }),
    ...(warning && { onWarning: warning }),
  });
  const listener = {
    up: (service: DiscoveredService) => options.up(keyOf(service), asSeen(service)),
    changed: (service: DiscoveredService) => options.up(keyOf(service), asSeen(service)),
    down: (service: DiscoveredService) => options.down(keyOf(service), asSeen(service)),
  };
  dnsSd.browse("_hubcast._tcp", listener);
  dnsSd.browse("_hubcast-hub._tcp", listener);
  return dnsSd;
}

function keyOf(service: DiscoveredService): string {
  return `${service.type} ${service.id ?? ""} ${service.name}`;
}

function asSeen(service: DiscoveredService): Seen {
  const { type, name, id, txt } = service;
  const server = {
    name,
    ...(id !== undefined && { id }),
    ...(txt.v !== undefined && { version: txt.v }),
    addresses: placesOf(service, ({ port }) => port).map(hostAndPort),
  };
  if (type === "_hubcast._tcp") {
    // A URL has no place for the zone of a link-local address.
    const [api] = placesOf(service, (sighting) => Number(sighting.txt.http)).filter(
      ({ host }) => !host.includes("%"),
    );
    return {
      type: "node",
      ...server,
      ...(txt.cluster !== undefined && { cluster: txt.cluster }),
      ...(txt.k !== undefined && { keyHash: txt.k }),
      ...(api && { url: `http://${hostAndPort(api)}` }),
    };
  }
  const [monitor] = placesOf(service, (sighting) => Number(sighting.txt.monitor)).filter(isLoopback);
  return {
    type: "hub",
    ...server,
    tls: txt.tls === "1",
    needsToken: txt.token === "1",
    ...(monitor && { monitorUrl: `http://${hostAndPort(monitor)}` }),
  };
}

interface Place {
  readonly host: string;
  readonly port: number;
}

/** All addresses at which a port of the service answers, loopback first: a service heard there is on this machine. */
function placesOf(
  { sightings }: DiscoveredService,
  portOf: (sighting: DiscoveredService["sightings"][number]) => number,
): Place[] {
  const places = sightings.flatMap((sighting) => {
    const port = portOf(sighting);
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
    return isPort ? sighting.addresses.map((address) => ({ host: address, port })) : [];
  });
  return [...places.filter(isLoopback), ...places.filter((place) => !isLoopback(place))];
}

function isLoopback({ host }: Place): boolean {
  return isLoopbackHost(host);
}

export interface WatchedNetwork {
  readonly interfaces?: readonly string[] | undefined;
  /** Whether nodes found on this machine are asked, without a token: not when the user has named some. */
  readonly findsNodes: boolean;
  readonly signal: AbortSignal;
}

/** Lets a collector ask the hubs, and the nodes of this machine, that multicast DNS shows. @returns stops it */
export async function watchNetwork(
  collector: Collector,
  { interfaces, findsNodes, signal }: WatchedNetwork,
): Promise<() => Promise<void>> {
  const nodeUrls = new Map<string, string>();
  const forget = (key: string) => {
    const url = nodeUrls.get(key);
    nodeUrls.delete(key);
    if (url !== undefined) collector.removeNode(url);
  };
  const up = (key: string, seen: Seen) => {
    if (seen.type === "hub") {
      const { name, addresses, monitorUrl } = seen;
      const address = addresses[0] ?? "-";
      collector.addHub({ key, name, address, ...(monitorUrl !== undefined && { monitorUrl }) });
      return;
    }
    if (!findsNodes || seen.url === undefined || !isOurs(seen.url)) return;
    if (nodeUrls.get(key) !== seen.url) forget(key);
    nodeUrls.set(key, seen.url);
    collector.addNode({ url: seen.url, isNamed: false, name: seen.name });
  };
  const down = (key: string, seen: Seen) => (seen.type === "hub" ? collector.removeHub(key) : forget(key));
  const dnsSd = await lookAround({ ...(interfaces && { interfaces }), signal, up, down });
  return () => dnsSd.close();
}

function isOurs(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  return ownAddresses().has(host);
}

/** Nodes on the same machine answer within 10 ms; one that is busy gets a little longer. */
const LISTEN_MS = 400;

/** A node or hub of this machine. */
export interface LocalServer {
  readonly name: string;
  /** HOST:PORT of the API of a node, or where a hub takes clients. */
  readonly place: string;
}

/**
 * The one node of this machine, as DNS-SD shows it.
 * @returns undefined when none is seen, or multicast cannot be used here
 * @throws ambiguousNode when there are several
 */
export async function theLocalNode(signal: AbortSignal): Promise<LocalServer | undefined> {
  const nodes = await localServers("_hubcast._tcp", signal);
  const choices = nodes.map(({ name, place }) => `${name}: --url http://${place}`);
  return theOnly(nodes, "ambiguousNode", "nodes", [...choices, "Or set HUBCAST_URL."]);
}

/** The one hub of this machine. @returns as `theLocalNode` @throws ambiguousHub when there are several */
export async function theLocalHub(signal: AbortSignal): Promise<LocalServer | undefined> {
  const hubs = await localServers("_hubcast-hub._tcp", signal);
  const choices = hubs.map(({ name, place }) => `${name}: --addr ${place}`);
  return theOnly(hubs, "ambiguousHub", "hubs", [...choices, "Or set HUBCAST_HUB."]);
}

/** @throws that code where there are several */
function theOnly(
  seen: readonly LocalServer[],
  code: "ambiguousNode" | "ambiguousHub",
  what: string,
  suggestions: readonly string[],
): LocalServer | undefined {
  if (seen.length <= 1) return seen[0];
  throw new HubcastError(code, `${seen.length} ${what} run on this machine; say which one`, { suggestions });
}

async function localServers(type: DiscoveredService["type"], signal: AbortSignal): Promise<LocalServer[]> {
  const seen = new Map<string, LocalServer>();
  const keep = (service: DiscoveredService) => {
    const place = localPlaceOf(service, ownAddresses());
    if (place !== undefined) seen.set(keyOf(service), { name: service.name, place });
  };
  let dnsSd: DnsSd;
  try {
    // Nodes of this machine also announce themselves on loopback; the network need not hear the question.
    dnsSd = await openDnsSd({ signal, interfaces: ["127.0.0.1"] });
  } catch {
    // No multicast here: then nothing can be found, which is what the caller says.
    return [];
  }
  try {
    dnsSd.browse(type, { up: keep, changed: keep, down: () => {} });
    await new Promise((resolve) => setTimeout(resolve, LISTEN_MS));
  } finally {
    await dnsSd.close();
  }
  return [...seen.values()].sort((a, b) => (a.place < b.place ? -1 : 1));
}

/** HOST:PORT at an address of this machine, loopback before others. @param own addresses of this machine */
export function localPlaceOf(service: DiscoveredService, own: ReadonlySet<string>): string | undefined {
  const isNode = service.type === "_hubcast._tcp";
  const places = placesOf(service, isNode ? ({ txt }) => Number(txt.http) : ({ port }) => port);
  const place = places.find(({ host }) => own.has(host));
  return place && hostAndPort(place);
}

function ownAddresses(): ReadonlySet<string> {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(interfaces.map(({ address }) => address));
}

/** Lines come one by one, so their columns are of fixed width. */
const WIDTHS = [4, 20, 26, 16, 10] as const;

export function seenHead(): string {
  return inColumns(["KIND", "NAME", "ADDRESS", "CLUSTER", "VERSION", "ROUND TRIP"]);
}

/** A node or hub for people. @param tripMs undefined when it did not answer */
export function seenLine(seen: Seen, tripMs: number | undefined): string {
  return inColumns([
    seen.type,
    shown(seen.name, 40),
    (seen.type === "node" ? seen.url : undefined) ?? seen.addresses[0] ?? "-",
    seen.type === "node" ? shown(seen.cluster ?? "-", 63) : detailsOf(seen.tls, seen.needsToken),
    shown(seen.version ?? "-", 16),
    tripMs === undefined ? "no answer" : formatDuration(tripMs),
  ]);
}

function detailsOf(tls: boolean, needsToken: boolean): string {
  return [tls && "tls", needsToken && "token"].filter(Boolean).join(" ") || "-";
}

function inColumns(cells: readonly string[]): string {
  return cells.map((cell, column) => padded(cell, WIDTHS[column] ?? 0)).join("  ");
}
