import { createHash } from "node:crypto";
import { networkInterfaces } from "node:os";
import { hostAndPort, isLoopbackHost } from "../core/hosts.js";
import { LIMITS } from "../core/limits.js";
import { TokenBuckets } from "../core/rates.js";
import { type DiscoveredService, openDnsSd } from "../discovery/index.js";
import type { NodeLogger } from "./option-kinds.js";
import type { Stranger } from "./replica/candidates.js";

export interface DiscoveryOptions {
  /** Default all that are up. */
  readonly interfaces?: readonly string[];
  /** Whether the node goes on without multicast DNS, with a warning, where it cannot be used. */
  readonly optional: boolean;
  readonly name: string;
  readonly id: string;
  readonly cluster: string;
  readonly version: string;
  /** 32 bytes; nodes with another key, or none, are not dialled. */
  readonly clusterKey?: Uint8Array;
  /** TCP port where peers connect; absent where they do not, and only the API is made known. */
  readonly peerPort?: number;
  /** Where the HTTP API listens; absent without one. */
  readonly http?: { readonly host: string; readonly port: number };
  readonly logger: NodeLogger;
  found(node: FoundNode): void;
  /** A node of this cluster that cannot be met, or this node's id in another process. */
  strangerSeen(
    stranger: Pick<Stranger, "name" | "address"> & { peer: string; code: "clusterKeyDiffers" | "twin" },
  ): void;
  /** It, or that stranger, is not announced any more. */
  vanished(id: string): void;
  renamed(name: string): void;
}

/** A node of this cluster, as multicast DNS shows it; nothing of it is proven. */
export interface FoundNode {
  readonly id: string;
  /** `HOST:PORT`, IPv6 in brackets, link-local ones with their zone. */
  readonly addresses: readonly string[];
  /** The sender that named it first. */
  readonly introducer: string;
}

export interface Discovery {
  /** Says goodbye. Idempotent. */
  close(): Promise<void>;
}

/** Makes the node known by DNS-SD, and finds the others of its cluster. @see docs/protocol.md#discovery */
export async function openDiscovery(options: DiscoveryOptions): Promise<Discovery> {
  if (options.peerPort === undefined && !options.http) return { close: async () => {} };
  const { interfaces, cluster, id, logger } = options;
  const dnsSd = await openDnsSd({
    ...(interfaces && { interfaces }),
    optional: options.optional,
    onWarning: (warning) => logger.warn({ code: warning.code }, `discovery: ${warning.message}`),
  });
  const k = options.clusterKey && keyMark(options.clusterKey);
  const introduced = new IntroducedNodes();
  const { peerPort } = options;
  /** Ids of those that cannot be met, by the name that shows them. */
  const strangers = new Map<string, string>();
  const look = (service: DiscoveredService) => {
    const { id: peer, name, txt, sightings } = service;
    if (peer === undefined || txt.cluster !== cluster || txt.p2p === undefined) return;
    const places = sightings.flatMap(({ port, addresses }) => addresses.map((host) => ({ host, port })));
    const isOwn = peer === id;
    const other = isOwn ? places.find((place) => !isHere(place, peerPort)) : places[0];
    if (isOwn || txt.k !== k) {
      if (!other) return;
      strangers.set(name, peer);
      const code = isOwn ? "twin" : "clusterKeyDiffers";
      options.strangerSeen({ peer, name, address: hostAndPort(other), code });
      return;
    }
    strangers.delete(name);
    const node = introduced.up(service, Date.now());
    if (node) options.found(node);
    else
      logger.debug(
        { peerName: service.name, introducer: service.introducer },
        "not dialled: too many nodes are announced by one sender, or at one address",
      );
  };
  if (peerPort !== undefined) {
    dnsSd.browse("_hubcast._tcp", {
      up: look,
      changed: look,
      down: (service) => {
        const { id: peer, name } = service;
        const wasStranger = strangers.delete(name) && ![...strangers.values()].includes(peer!);
        if (peer !== undefined && (introduced.down(service) || wasStranger)) options.vanished(peer);
      },
    });
  }
  dnsSd
    .advertise({
      type: "_hubcast._tcp",
      name: options.name,
      id,
      port: peerPort ?? options.http!.port,
      txt: { cluster, ...(peerPort && { p2p: String(peerPort) }), v: options.version, ...(k && { k }) },
      txtFor: (address) =>
        answersOn(options.http?.host, address) ? { http: String(options.http!.port) } : {},
      onRenamed: options.renamed,
    })
    .catch((error: Error) => logger.debug({ error: error.message }, "not advertised"));
  return { close: () => dnsSd.close() };
}

/** Tells keys apart and gives nothing of them away: 8 hex digits of a hash. */
export function keyMark(clusterKey: Uint8Array): string {
  return createHash("sha256").update("hubcast/1/cluster-key\0").update(clusterKey).digest("hex").slice(0, 8);
}

/**
 * The nodes that multicast DNS shows now, by who introduced them. Nothing of it is proven, so one sender introduces a bounded number of them,
 * and one machine is dialled for a bounded number: else a sender could have every node dial a victim.
 */
export class IntroducedNodes {
  /** By id. */
  readonly #shown = new Map<string, Shown>();
  readonly #introducers = new Shares(LIMITS.introducedNodesMax);
  readonly #hosts = new Shares(LIMITS.nodesPerHostMax);
  /** Addresses that each introducer adds: a node whose addresses change all the time is dialled at each of them. */
  readonly #addresses = new TokenBuckets({
    perSecond: LIMITS.introducedAddressesPerSecond,
    burst: LIMITS.introducedAddressesPerSecond * LIMITS.introducedNodesMax,
    namesMax: LIMITS.candidatesMax,
  });

  /** @returns the node and those of its addresses that may be dialled; undefined when none may */
  up({ id, name, introducer, sightings }: DiscoveredService, nowMs: number): FoundNode | undefined {
    let shown = this.#shown.get(id!);
    if (!shown) {
      if (!this.#introducers.take(introducer, nowMs)) return undefined;
      shown = { introducer, names: new Set(), hosts: new Set() };
      this.#shown.set(id!, shown);
    }
    shown.names.add(name);
    const places = sightings.flatMap(({ port, addresses }) => addresses.map((host) => ({ host, port })));
    this.#keepHosts(shown, new Set(places.map(({ host }) => host)), nowMs);
    const addresses = places.filter(({ host }) => shown.hosts.has(host)).map(hostAndPort);
    return addresses.length > 0 ? { id: id!, addresses: [...new Set(addresses)], introducer } : undefined;
  }

  /** @returns whether no other service shows that node */
  down({ id, name }: DiscoveredService): boolean {
    const shown = this.#shown.get(id!);
    if (!shown?.names.delete(name) || shown.names.size > 0) return false;
    this.#shown.delete(id!);
    this.#introducers.give(shown.introducer);
    for (const host of shown.hosts) this.#hosts.give(host);
    return true;
  }

  /** Gives back the addresses that a node is not shown at any more, and takes new ones as far as allowed. */
  #keepHosts({ introducer, hosts }: Shown, now: ReadonlySet<string>, nowMs: number): void {
    for (const host of hosts) {
      if (now.has(host)) continue;
      hosts.delete(host);
      this.#hosts.give(host);
    }
    const share = this.#addresses.of(introducer, nowMs);
    for (const host of now) {
      const isFree = isLoopbackHost(introducer);
      if (hosts.has(host) || (!isFree && share.tokens < 1) || !this.#hosts.take(host, nowMs)) continue;
      hosts.add(host);
      if (!isFree) share.tokens--;
    }
  }
}

interface Shown {
  /** The same node may be shown under two names for a while, or by somebody who claims to be it. */
  readonly names: Set<string>;
  readonly introducer: string;
  readonly hosts: Set<string>;
}

/** So many of each name at a time, and as many at once; beyond, a few a second. */
class Shares {
  readonly #taken = new Map<string, number>();
  readonly #rate: TokenBuckets;

  constructor(private readonly max: number) {
    const { introducedNodesPerSecond: perSecond, candidatesMax: namesMax } = LIMITS;
    this.#rate = new TokenBuckets({ perSecond, burst: max, namesMax });
  }

  take(name: string, nowMs: number): boolean {
    if (isLoopbackHost(name)) return true;
    const taken = this.#taken.get(name) ?? 0;
    const share = this.#rate.of(name, nowMs);
    if (taken >= this.max || share.tokens < 1) return false;
    share.tokens--;
    this.#taken.set(name, taken + 1);
    return true;
  }

  give(name: string): void {
    const left = (this.#taken.get(name) ?? 0) - 1;
    if (left > 0) this.#taken.set(name, left);
    else this.#taken.delete(name);
  }
}

/** Whether a place announced under this node's id is its own: the same port at an address of this machine. */
function isHere(place: { readonly host: string; readonly port: number }, port: number | undefined): boolean {
  const [host] = place.host.split("%");
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  return place.port === port && own.some(({ address }) => address === host);
}

/** Whether an API bound to `host` can be reached at an address of this machine. */
function answersOn(host: string | undefined, address: string): boolean {
  if (host === undefined) return false;
  if (host === "::" || (host === "0.0.0.0" && !address.includes(":"))) return true;
  return host === address || (host === "localhost" && address.startsWith("127."));
}
