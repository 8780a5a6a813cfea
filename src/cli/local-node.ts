import { networkInterfaces } from "node:os";
import { HubcastError } from "../core/errors.js";
import { type DiscoveredService, openDnsSd } from "../net/dnssd/index.js";

/** Nodes on the same machine answer within 10 ms; one that is busy gets a little longer. */
const LISTEN_MS = 400;

export interface LocalNode {
  readonly name: string;
  readonly url: string;
}

/**
 * The one node of this machine, as DNS-SD shows it.
 * @returns undefined when none is seen, or multicast cannot be used here
 * @throws ambiguousNode when there are several
 */
export async function theLocalNode(signal: AbortSignal): Promise<LocalNode | undefined> {
  const nodes = await seenHere(signal);
  if (nodes.length <= 1) return nodes[0];
  const names = nodes.map(({ name, url }) => `${name}: --url ${url}`);
  throw new HubcastError("ambiguousNode", `${nodes.length} nodes run on this machine; say which one`, {
    suggestions: [...names, "Or set HUBCAST_URL."],
  });
}

async function seenHere(signal: AbortSignal): Promise<LocalNode[]> {
  const seen = new Map<string, LocalNode>();
  const keep = (service: DiscoveredService) => {
    const node = asLocalNode(service, ownAddresses());
    if (node) seen.set(service.id ?? service.name, node);
  };
  let dnsSd: Awaited<ReturnType<typeof openDnsSd>>;
  try {
    // Whoever runs here announces itself on loopback too; the network need not hear the question.
    dnsSd = await openDnsSd({ signal, interfaces: ["127.0.0.1"] });
  } catch {
    // No multicast here: then nothing can be found, which is what the caller says.
    return [];
  }
  try {
    dnsSd.browse("_hubcast._tcp", { up: keep, changed: keep, down: () => {} });
    await new Promise((resolve) => setTimeout(resolve, LISTEN_MS));
  } finally {
    await dnsSd.close();
  }
  return [...seen.values()].sort((a, b) => (a.url < b.url ? -1 : 1));
}

/**
 * Where the API of a node on this machine answers: at an address that is ours, on an interface whose TXT record
 * names a port for it. Loopback is best.
 */
export function asLocalNode(service: DiscoveredService, own: ReadonlySet<string>): LocalNode | undefined {
  const places = service.sightings.flatMap(({ addresses, txt }) => {
    const port = Number(txt.http);
    return Number.isInteger(port) && port > 0 ? addresses.map((address) => ({ address, port })) : [];
  });
  const ours = places.filter(({ address }) => own.has(address));
  const best = ours.find(({ address }) => address.startsWith("127.") || address === "::1") ?? ours[0];
  if (!best) return undefined;
  const host = best.address.includes(":") ? `[${best.address}]` : best.address;
  return { name: service.name, url: `http://${host}:${best.port}` };
}

function ownAddresses(): ReadonlySet<string> {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(interfaces.map(({ address }) => address));
}
