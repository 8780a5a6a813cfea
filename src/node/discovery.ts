import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import { type DiscoveredService, openDnsSd } from "../net/dnssd/index.js";
import type { PeerCandidate } from "./cluster/port.js";
import type { NodeLogger } from "./options.js";

export interface DiscoveryOptions {
  /** Default all that are up. */
  readonly interfaces?: readonly string[];
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
  found(candidate: PeerCandidate): void;
  gone(id: string): void;
  renamed(name: string): void;
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
    onWarning: (warning) => logger.warn({ code: warning.code }, `discovery: ${warning.message}`),
  });
  const k = options.clusterKey && keyMark(options.clusterKey);
  const isPeer = ({ id: otherId, txt }: DiscoveredService) =>
    otherId !== undefined && otherId !== id && txt.cluster === cluster && txt.p2p !== undefined;
  const look = (service: DiscoveredService) => {
    if (!isPeer(service)) return;
    if (service.txt.k === k) options.found(candidateOf(service));
    else
      logger.info(
        { peerName: service.name, k: service.txt.k },
        "a node of this cluster has another cluster key, or none",
      );
  };
  const { peerPort } = options;
  if (peerPort !== undefined) {
    dnsSd.browse("_hubcast._tcp", {
      up: look,
      changed: look,
      down: (service) => {
        if (isPeer(service)) options.gone(service.id!);
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

function candidateOf({ id, port, addresses }: DiscoveredService): PeerCandidate {
  return {
    id: id!,
    addresses: addresses.map((address) => (isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`)),
  };
}

/** Whether an API bound to `host` can be reached at an address of this machine. */
function answersOn(host: string | undefined, address: string): boolean {
  if (host === undefined) return false;
  if (host === "0.0.0.0" || host === "::") return true;
  return host === address || (host === "localhost" && address.startsWith("127."));
}
