import type { Authenticator, Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { HubcastError } from "../core/errors.js";
import { type Kinds, TEXT, wholeNumber } from "../core/options.js";

// A connection to NATS, for nodes and hubs. The client library is loaded by the first connection.

/** Where the servers of one NATS cluster listen; any of them will do. */
export interface NatsServers {
  /** HOST:PORT each, IPv6 in brackets; one at least. */
  readonly servers: readonly string[];
  /** Only connections with TLS (`tls://`); without it TLS is used where the server asks for it. */
  readonly tls: boolean;
}

/** Credentials and trusted authorities of a client. */
export interface NatsAccess {
  /**
   * Text of a credentials file: what `nsc` writes (a JWT and a seed), or an nkey seed alone, or `USER:PASSWORD`, or a
   * token. Absent: the server lets anybody in.
   */
  readonly credentials?: string;
  /** PEM of the authorities that may have signed the server's certificate; default: those of the system. */
  readonly ca?: string;
}

export const NATS_ACCESS_KINDS = { credentials: TEXT, ca: TEXT } satisfies Kinds<NatsAccess>;

/** Servers of one NATS cluster that keep a copy; JetStream takes no more. */
export const NATS_REPLICAS = wholeNumber(1, 5);

const DEFAULT_PORT = 4222;
const EXAMPLE = "Use --engine nats://HOST:4222, or several: --engine nats://HOST:4222,HOST:4222.";

/** Whether an engine is a NATS one; `parseNatsEngine` reports faults of its address. */
export function isNatsEngine(engine: string): boolean {
  return /^(nats|tls):/i.test(engine);
}

/**
 * Reads `nats://HOST[:PORT][,HOST[:PORT]...]`, or the same with `tls://`; each host may repeat the scheme.
 * @throws invalidOption when it is none, or carries a password, which would show in the list of processes
 */
export function parseNatsEngine(engine: string): NatsServers {
  const [, scheme = "", rest = ""] = /^(nats|tls):\/\/(.*)$/i.exec(engine) ?? [];
  const servers = rest
    .split(",")
    .map((server) => addressOf(server.trim().replace(/^(nats|tls):\/\//i, ""), engine));
  return { servers, tls: scheme.toLowerCase() === "tls" };
}

function addressOf(server: string, engine: string): string {
  if (server.includes("@")) {
    throw new HubcastError("invalidOption", "the address of a NATS server carries a user or a password", {
      suggestions: [
        "Put USER:PASSWORD, alone on one line, into a file, and name it: --nats-credentials FILE.",
      ],
    });
  }
  const [, host, port = String(DEFAULT_PORT)] =
    /^(\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?\/?$/i.exec(server) ?? [];
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return `${host}:${port}`;
  throw new HubcastError("invalidOption", `${JSON.stringify(engine)} names no NATS server`, {
    suggestions: [EXAMPLE],
  });
}

interface NatsConnectOptions extends NatsServers, NatsAccess {
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
 * @internal
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

/**
 * Subscribes to a subject. An error that a callback throws would end the client's reading of the connection, which then
 * hears nothing until its pings go unanswered: here the message is left out.
 * @param failed told of such errors, and of a refused subscription
 * @internal
 */
export function subscribe(
  connection: NatsConnection,
  subject: string,
  take: (message: Msg) => void,
  failed: (error: Error) => void = () => {},
): Subscription {
  return connection.subscribe(subject, {
    callback: (error, message) => {
      try {
        if (error) failed(error);
        else take(message);
      } catch (thrown) {
        failed(thrown as Error);
      }
    },
  });
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

/** The error for a failed connection to a NATS server, with advice. */
function connectError(error: Error, servers: readonly string[], withCredentials: boolean): HubcastError {
  const at = servers.join(", ");
  if (error instanceof HubcastError) return error;
  if (error.name === "AuthorizationError" || error.name === "UserAuthenticationExpiredError") {
    return new HubcastError(
      "natsRefused",
      `the NATS server at ${at} ${withCredentials ? "refused the credentials" : "asks for credentials"}`,
      {
        cause: error,
        suggestions: ["Name a file with credentials that the server knows: --nats-credentials FILE."],
      },
    );
  }
  if (isAboutTls(error)) {
    return new HubcastError("natsRefused", `no TLS with the NATS server at ${at}: ${error.message}`, {
      cause: error,
      suggestions: [
        "Name the authority that signed the server's certificate: --nats-ca FILE.",
        "Use tls://HOST where the server has TLS, nats://HOST where it has none.",
      ],
    });
  }
  return new HubcastError("natsUnreachable", `no NATS server answers at ${at}: ${error.message}`, {
    cause: error,
    suggestions: [
      "Start one: nats-server -js -sd DIRECTORY (Debian: apt-get install nats-server).",
      "Look at the address: --engine nats://HOST:4222.",
    ],
  });
}

/** For a server that knows nothing of streams. */
export function noJetStream(server: string, cause?: unknown): HubcastError {
  return new HubcastError("natsNoJetStream", `the NATS server at ${server} runs without JetStream`, {
    cause,
    suggestions: [
      "Start one that has it: nats-server -js -sd DIRECTORY -p 4223. Debian's own service on port 4222 has none.",
    ],
  });
}

/** Of Node's TLS: codes such as DEPTH_ZERO_SELF_SIGNED_CERT, ERR_TLS_CERT_ALTNAME_INVALID; of the client: words. */
function isAboutTls(error: Error): boolean {
  const code = String(
    (error as NodeJS.ErrnoException).code ?? (error.cause as NodeJS.ErrnoException)?.code ?? "",
  );
  return /CERT|TLS|SSL|ISSUER|SIGNATURE/.test(code) || /\btls\b|certificate/i.test(error.message);
}
