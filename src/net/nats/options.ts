import { HubcastError } from "../../core/errors.js";
import { type Kinds, TEXT, wholeNumber } from "../../core/options.js";

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
