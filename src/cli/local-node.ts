import { networkInterfaces } from "node:os";
import { HubcastError } from "../core/errors.js";
import { type DiscoveredService, openDnsSd } from "../discovery/index.js";

/** Nodes on the same machine answer within 10 ms; one that is busy gets a little longer. */
const LISTEN_MS = 400;

export interface LocalNode {
  readonly name: string;
  readonly url: string;
}

export interface LocalHub {
  readonly name: string;
  /** HOST:PORT */
  readonly address: string;
}

/**
 * The one node of this machine, as DNS-SD shows it.
 * @returns undefined when none is seen, or multicast cannot be used here
 * @throws ambiguousNode when there are several
 */
export async function theLocalNode(signal: AbortSignal): Promise<LocalNode | undefined> {
  const nodes = await seenHere("_hubcast._tcp", asLocalNode, ({ url }) => url, signal);
  const names = nodes.map(({ name, url }) => `${name}: --url ${url}`);
  return theOnly(nodes, "ambiguousNode", "nodes", [...names, "Or set HUBCAST_URL."]);
}

/** The one hub of this machine. @returns as `theLocalNode` @throws ambiguousHub when there are several */
export async function theLocalHub(signal: AbortSignal): Promise<LocalHub | undefined> {
  const hubs = await seenHere("_hubcast-hub._tcp", asLocalHub, ({ address }) => address, signal);
  const names = hubs.map(({ name, address }) => `${name}: --addr ${address}`);
  return theOnly(hubs, "ambiguousHub", "hubs", [...names, "Or set HUBCAST_HUB."]);
}

/** @throws that code where there are several */
function theOnly<Local>(
  seen: readonly Local[],
  code: "ambiguousNode" | "ambiguousHub",
  what: string,
  suggestions: readonly string[],
): Local | undefined {
  if (seen.length <= 1) return seen[0];
  throw new HubcastError(code, `${seen.length} ${what} run on this machine; say which one`, { suggestions });
}

async function seenHere<Local>(
  type: DiscoveredService["type"],
  asLocal: (service: DiscoveredService, own: ReadonlySet<string>) => Local | undefined,
  placeOf: (local: Local) => string,
  signal: AbortSignal,
): Promise<Local[]> {
  const seen = new Map<string, Local>();
  const keep = (service: DiscoveredService) => {
    const local = asLocal(service, ownAddresses());
    if (local) seen.set(service.id ?? service.name, local);
  };
  let dnsSd: Awaited<ReturnType<typeof openDnsSd>>;
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
  return [...seen.values()].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
}

/**
 * The API's URL of a node on this machine: at one of this machine's addresses, on an interface whose TXT record
 * names a port for it. Loopback is best.
 */
export function asLocalNode(service: DiscoveredService, own: ReadonlySet<string>): LocalNode | undefined {
  const place = localPlace(service, own, ({ txt }) => Number(txt.http));
  return place === undefined ? undefined : { name: service.name, url: `http://${place}` };
}

function asLocalHub(service: DiscoveredService, own: ReadonlySet<string>): LocalHub | undefined {
  const address = localPlace(service, own, ({ port }) => port);
  return address === undefined ? undefined : { name: service.name, address };
}

/** HOST:PORT at an address of this machine, loopback before others. */
function localPlace(
  { sightings }: DiscoveredService,
  own: ReadonlySet<string>,
  portOf: (sighting: DiscoveredService["sightings"][number]) => number,
): string | undefined {
  const places = sightings.flatMap((sighting) => {
    const port = portOf(sighting);
    return Number.isInteger(port) && port > 0 ? sighting.addresses.map((address) => ({ address, port })) : [];
  });
  const ours = places.filter(({ address }) => own.has(address));
  const best = ours.find(({ address }) => address.startsWith("127.") || address === "::1") ?? ours[0];
  return best && `${best.address.includes(":") ? `[${best.address}]` : best.address}:${best.port}`;
}

function ownAddresses(): ReadonlySet<string> {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(interfaces.map(({ address }) => address));
}
