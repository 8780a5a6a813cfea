import type { Authenticator, NatsConnection } from "@nats-io/transport-node";
import { HubcastError } from "../../core/errors.js";
import { connectError } from "./faults.js";
import type { NatsAccess, NatsServers } from "./options.js";

export interface NatsConnectOptions extends NatsServers, NatsAccess {
  /** Shown by the server's own tools. */
  readonly name: string;
  /** For each server, when connecting at first, ms. Default 5,000. */
  readonly timeoutMs?: number;
}

/** A server that says nothing for so long twice is given up, and another one is tried. */
const PING_MS = 2_000;
const RECONNECT_MS = 200;

/**
 * Connects to one of the servers. The connection then reconnects by itself without limit; messages published while it is
 * down may be lost. `status()` of the connection tells.
 * @throws natsUnreachable, natsRefused, invalidOption; nothing is left open then
 */
export async function connectNats(options: NatsConnectOptions): Promise<NatsConnection> {
  const { servers, tls, credentials, ca, name, timeoutMs = 5_000 } = options;
  const { connect } = await import("@nats-io/transport-node");
  const authenticator = credentials === undefined ? undefined : await authenticatorOf(credentials);
  try {
    return await connect({
      servers: [...servers],
      name,
      timeout: timeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: RECONNECT_MS,
      reconnectJitterTLS: RECONNECT_MS,
      pingInterval: PING_MS,
      maxPingOut: 2,
      // Servers may refuse credentials for a moment, while they are set up again.
      ignoreAuthErrorAbort: true,
      noAsyncTraces: true,
      ...(authenticator && { authenticator }),
      ...((tls || ca !== undefined) && { tls: ca === undefined ? {} : { ca } }),
    });
  } catch (error) {
    throw connectError(error as Error, servers, credentials !== undefined);
  }
}

/** @throws invalidOption when the text is none of those that `NatsAccess` names; without a word of it */
async function authenticatorOf(text: string): Promise<Authenticator> {
  const nats = await import("@nats-io/transport-node");
  const credentials = text.trim();
  const bytes = new TextEncoder().encode(credentials);
  if (credentials.includes("-----BEGIN NATS USER JWT-----")) return nats.credsAuthenticator(bytes);
  if (/^SU[A-Z2-7]{56}$/.test(credentials)) return nats.nkeyAuthenticator(bytes);
  if (credentials === "" || /\s/.test(credentials)) {
    throw new HubcastError("invalidOption", "the credentials for NATS are none that hubcast knows", {
      suggestions: ["Use a .creds file as nsc writes it, an nkey seed, USER:PASSWORD, or a token."],
    });
  }
  const colon = credentials.indexOf(":");
  return colon === -1
    ? nats.tokenAuthenticator(credentials)
    : nats.usernamePasswordAuthenticator(credentials.slice(0, colon), credentials.slice(colon + 1));
}
