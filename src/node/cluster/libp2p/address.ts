import { lookup } from "node:dns/promises";
import { createServer, isIP, isIPv6 } from "node:net";
import { promisify } from "node:util";
import { HubcastError } from "../../../core/errors.js";
import { listen } from "../../../runtime/listen.js";

/** Where a peer may be: a name or IP (IPv6 without brackets, perhaps with %zone), its port, and who is expected. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  readonly id?: string;
}

/**
 * Reads an address as `--peer` takes it: `HOST:PORT`, `[v6]:PORT`, or a multiaddr over TCP
 * (`/ip4/10.0.0.1/tcp/4001`, `/dns/host/tcp/4001`, with or without `/p2p/ID`).
 * @throws invalidOption when the text is none of these
 */
export function parsePeerAddress(text: string): PeerAddress {
  const address = text.startsWith("/") ? parseMultiaddr(text) : parseHostPort(text);
  if (address && address.port >= 1 && address.port <= 65_535) return address;
  throw new HubcastError("invalidOption", `"${text}" is not the address of a peer`, {
    suggestions: ["Write HOST:PORT, [IPV6]:PORT, or a multiaddr such as /ip4/10.0.0.1/tcp/4001/p2p/ID."],
  });
}

/** The multiaddr that libp2p dials for it; the id is left out, so that several can be dialled side by side. */
export function toMultiaddr(host: string, port: number): string {
  if (!isIPv6(host)) return `/ip4/${host}/tcp/${port}`;
  const [ip, zone] = host.split("%");
  return `${zone === undefined ? "" : `/ip6zone/${zone}`}/ip6/${ip}/tcp/${port}`;
}

/** All IPs behind a host; a name that does not resolve has none. */
export async function resolveHost(host: string): Promise<readonly string[]> {
  if (isIP(host)) return [host];
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.map(({ address }) => address);
}

function parseMultiaddr(text: string): PeerAddress | undefined {
  const parts = text.split("/").slice(1);
  const zone = parts[0] === "ip6zone" ? parts.splice(0, 2)[1] : undefined;
  const [kind, host, transport, port, p2p, id, ...rest] = parts;
  if (!host || transport !== "tcp" || !/^\d+$/.test(port ?? "") || rest.length > 0) return undefined;
  if (p2p !== undefined && (p2p !== "p2p" || !id)) return undefined;
  const fits =
    kind === "ip4" ? isIP(host) === 4 : kind === "ip6" ? isIP(host) === 6 : /^dns[46]?$/.test(kind ?? "");
  if (!fits) return undefined;
  const address = { host: zone === undefined ? host : `${host}%${zone}`, port: Number(port) };
  return id === undefined ? address : { ...address, id };
}

function parseHostPort(text: string): PeerAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^\s:/[\]]+)):(\d+)$/.exec(text);
  if (!match) return undefined;
  const [, ipv6, name, port] = match;
  if (ipv6 !== undefined && !isIPv6(ipv6)) return undefined;
  return { host: ipv6 ?? name!, port: Number(port) };
}

/** Where peers reach this node. */
export interface ListenOptions {
  /** IPs to bind; default all interfaces, IPv4 and, where the machine has it, IPv6. */
  readonly hosts?: readonly string[];
  /** Default 0: a free port, the same one on every host. */
  readonly port?: number;
}

/** Free ports tried until one is free on every host. */
const PORT_TRIES_MAX = 20;

/**
 * Settles on one port for all hosts (a service record has room for one) before libp2p is asked to listen, which
 * also turns its compound errors into ours.
 * @returns multiaddrs to listen on
 * @throws portInUse, cannotListen
 */
export async function listenAddresses(options: ListenOptions): Promise<readonly string[]> {
  const hosts = options.hosts ?? (await usableHosts());
  const [first, ...others] = hosts;
  if (first === undefined) throw new HubcastError("invalidOption", "no host to listen on was given");
  const wanted = options.port ?? 0;
  for (let tries = 1; ; tries++) {
    const port = await probe(first, wanted);
    try {
      for (const host of others) await probe(host, port);
      return hosts.map((host) => toMultiaddr(host, port));
    } catch (error) {
      const retry = wanted === 0 && (error as HubcastError).code === "portInUse" && tries < PORT_TRIES_MAX;
      if (!retry) throw error;
    }
  }
}

async function usableHosts(): Promise<readonly string[]> {
  const hasIPv6 = await probe("::", 0).then(
    () => true,
    () => false,
  );
  return hasIPv6 ? ["0.0.0.0", "::"] : ["0.0.0.0"];
}

/** Binds the port for a moment. @returns the port that was bound */
async function probe(host: string, port: number): Promise<number> {
  const server = createServer();
  const options = { host, port, ipv6Only: host.includes(":"), exclusive: true };
  const { port: bound } = await listen(server, options, { port: "--p2p-port", host: "--p2p-host" });
  await promisify(server.close).call(server);
  return bound;
}
