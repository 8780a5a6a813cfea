import { HubcastError } from "../../core/errors.js";
import { HUB_LIMITS } from "../protocol/limits.js";
import { parseHubAddress } from "./address.js";
import { ReconnectingClient } from "./client.js";
import type { HubClient } from "./hub-client.js";
import type { HubClientOptions } from "./options.js";

/**
 * Connects to a hub. Resolves when the hub has said hello; rejects and leaves nothing open.
 * @param address `HOST[:PORT]` or `[IPV6]:PORT`; the port is 9999 by default
 * @throws invalidOption, unreachable, notHubcast, unauthorized, tooManyClients, stopping
 */
export async function connectToHub(address: string, options: HubClientOptions = {}): Promise<HubClient> {
  const nameBytes = Buffer.byteLength(options.name ?? "");
  if (nameBytes > HUB_LIMITS.nameBytesMax) {
    throw new HubcastError("invalidOption", `name has ${nameBytes} bytes`, {
      suggestions: [`Pass at most ${HUB_LIMITS.nameBytesMax} bytes.`],
    });
  }
  options.signal?.throwIfAborted();
  const client = new ReconnectingClient(parseHubAddress(address), options);
  await client.open();
  return client;
}
