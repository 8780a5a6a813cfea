import { createServer } from "node:net";
import { HubcastError } from "../../../core/errors.js";
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
export async function listenAddresses(listen: ListenOptions): Promise<readonly string[]> {
  const hosts = listen.hosts ?? (await usableHosts());
  const [first, ...others] = hosts;
  if (first === undefined) throw new HubcastError("invalidOption", "no host to listen on was given");
  const wanted = listen.port ?? 0;
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
function probe(host: string, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(host, port, error)));
  server.listen({ host, port, ipv6Only: host.includes(":"), exclusive: true }, () => {
    const bound = (server.address() as { port: number }).port;
    server.close(() => resolve(bound));
  });
  return promise;
}

function listenError(host: string, port: number, cause: NodeJS.ErrnoException): HubcastError {
  if (cause.code === "EADDRINUSE") {
    return new HubcastError("portInUse", `port ${port} on ${host} is already in use`, {
      cause,
      suggestions: ["Pass --p2p-port 0 to take a free one."],
    });
  }
  return new HubcastError(
    "cannotListen",
    `cannot listen for peers on ${host}: ${cause.code ?? cause.message}`,
    {
      cause,
      suggestions: ["Pass --p2p-host with an address of this machine."],
    },
  );
}
