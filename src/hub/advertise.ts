import { randomUUID } from "node:crypto";
import { openDnsSd } from "../net/dnssd/index.js";
import { VERSION } from "../net/version.js";
import type { CompleteHubOptions } from "./options.js";

/**
 * Makes the hub known as `_hubcast-hub._tcp`, on the interfaces where it answers. Does not wait for the probing:
 * clients with an address can come meanwhile. @see docs/protocol-hub.md#discovery
 */
export async function advertiseHub(
  options: CompleteHubOptions,
  port: number,
  monitorPort?: number,
): Promise<{ close(): Promise<void> }> {
  const { mdns, host, name, logger } = options;
  const dnsSd = await openDnsSd({
    ...(typeof mdns === "object" && { interfaces: mdns.interfaces }),
    onWarning: (warning) => logger?.warn({ code: warning.code }, `discovery: ${warning.message}`),
  });
  dnsSd
    .advertise({
      type: "_hubcast-hub._tcp",
      name,
      id: randomUUID().slice(0, 8),
      port,
      txt: { v: VERSION, ...(options.tls && { tls: "1" }), ...(options.token && { token: "1" }) },
      // Monitoring answers on loopback only: nobody else needs to know of it.
      txtFor: (address) =>
        monitorPort !== undefined && address.startsWith("127.") ? { monitor: String(monitorPort) } : {},
      ...(everywhere(host) ? {} : { addressesFor: (address) => (answersOn(host, address) ? [address] : []) }),
      onRenamed: (renamed) => logger?.warn({ name: renamed }, "another hub has this name"),
    })
    .catch((error: Error) => logger?.warn({ err: error }, "not advertised"));
  return { close: () => dnsSd.close() };
}

function everywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

function answersOn(host: string, address: string): boolean {
  return host === address || (host === "localhost" && address === "127.0.0.1");
}
