import type { HubcastError } from "../core/errors.js";
import { type DiscoveredService, type DnsSd, openDnsSd } from "../net/dnssd/index.js";
import { isLoopbackHost } from "../net/loopback.js";

/** A node or hub as DNS-SD shows it; nothing of it is proven. */
export type Seen = SeenNode | SeenHub;

interface SeenServer {
  readonly name: string;
  /** Absent when somebody else's program advertises the type. */
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
  /** Where its HTTP API answers; absent when not on an interface that we share. */
  readonly url?: string;
}

export interface SeenHub extends SeenServer {
  readonly type: "hub";
  readonly tls: boolean;
  readonly needsToken: boolean;
  /** Of its monitoring, on this machine only. */
  readonly monitorUrl?: string;
}

export interface LookOptions {
  /** Names or addresses; default all that are up. */
  readonly interfaces?: readonly string[];
  readonly signal?: AbortSignal;
  /** Told of what came, or changed: `key` stays the same for as long as it is there. */
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
    const [api] = placesOf(service, (sighting) => Number(sighting.txt.http));
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
  readonly address: string;
  readonly port: number;
}

/** Everywhere that a port of the service answers, loopback first: what is heard there is on this machine. */
function placesOf(
  { sightings }: DiscoveredService,
  portOf: (sighting: DiscoveredService["sightings"][number]) => number,
): Place[] {
  const places = sightings.flatMap((sighting) => {
    const port = portOf(sighting);
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
    return isPort ? sighting.addresses.map((address) => ({ address, port })) : [];
  });
  return [...places.filter(isLoopback), ...places.filter((place) => !isLoopback(place))];
}

function isLoopback({ address }: Place): boolean {
  return isLoopbackHost(address);
}

function hostAndPort({ address, port }: Place): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
