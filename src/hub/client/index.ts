import { setTimeout } from "node:timers/promises";
import { HubcastError } from "../../core/errors.js";
import { completed } from "../../core/options.js";
import { backoffMs } from "../../core/rates.js";
import { ReconnectingClient } from "./client.js";
import { checkTls } from "./connection.js";
import { HUB_CLIENT_KINDS, type HubClient, type HubClientOptions, parseHubAddress } from "./options.js";

// The door for programs that only talk to a hub: it loads nothing of the hub's server.

/**
 * Connects to a hub. Resolves when the hub has said hello; rejects and leaves nothing open.
 * @param address `HOST[:PORT]` or `[IPV6]:PORT`; the port is 9999 by default
 * @throws invalidOption, unreachable, ownLimit, certificateRefused, notHubcast, unauthorized, tooManyClients, stopping
 */
export async function connectToHub(address: string, options: HubClientOptions = {}): Promise<HubClient> {
  const complete = completed("connectToHub", options, HUB_CLIENT_KINDS);
  checkTls(complete.tls);
  complete.signal?.throwIfAborted();
  const client = new ReconnectingClient(parseHubAddress(address), complete);
  for (let attempt = 0; ; attempt += 1) {
    try {
      await client.open();
      return client;
    } catch (error) {
      const again = error instanceof HubcastError && MAY_COME.has(error.code);
      if (!complete.retry || !again) {
        await client.close();
        throw error;
      }
      complete.onRetry?.(error);
    }
    await setTimeout(backoffMs(attempt, complete.random), undefined, signalOf(complete));
  }
}

/** Errors of a hub that may not be ready yet. */
const MAY_COME: ReadonlySet<string> = new Set([
  "unreachable",
  "tooManyClients",
  "stopping",
  "connectionLost",
]);

function signalOf({ signal }: HubClientOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

export type { HubPeer } from "../machine/frames.js";
export type {
  HubClient,
  HubClientEvent,
  HubClientOptions,
  HubMessage,
  HubReceipt,
  SendOptions,
} from "./options.js";
export { parseHubAddress } from "./options.js";
