import { completeHubOptions, type HubOptions } from "./options.js";
import { HubServer } from "./server.js";
import type { HubClientStatus, HubStatus } from "./stats.js";

/** A running hub. */
export interface Hub extends AsyncDisposable {
  /** `host:port` that clients connect to. */
  readonly address: string;
  readonly port: number;
  stats(): HubStatus;
  /** Those that are connected, then the last that are gone with their reason. */
  clients(): readonly HubClientStatus[];
  /** Idempotent. Takes no new clients, writes what is queued, then closes all with reason `stopping`. */
  close(): Promise<void>;
}

/**
 * Starts a hub in this process. Resolves when it listens; rejects and leaves nothing open.
 * @throws invalidOption, portInUse, cannotListen
 */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  const complete = completeHubOptions(options);
  const server = new HubServer(complete);
  await server.listen();
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= server.close();
    return closing;
  };
  return {
    address: server.address,
    port: server.port,
    stats: () => server.status(),
    clients: () => server.clients(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

export { connectToHub } from "./client/connect.js";
export type { HubClient, SendOptions } from "./client/hub-client.js";
export type { HubClientEvent, HubClientOptions, HubMessage, HubReceipt } from "./client/options.js";
export type { Advertise, HubLogger, HubOptions } from "./options.js";
export type { CloseReason } from "./protocol/close-reason.js";
export type { HubPeer } from "./protocol/decode.js";
export type { HubClientStatus, HubStatus } from "./stats.js";
