import { createServer } from "node:net";
import { promisify } from "node:util";
import { HubcastError } from "../../../core/errors.js";
import { listen } from "../../../runtime/listen.js";
import { toMultiaddr } from "./address.js";

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
