import { HubcastError } from "../../core/errors.js";

/** The error for a failed connection to a NATS server, with advice. */
export function connectError(
  error: Error,
  servers: readonly string[],
  withCredentials: boolean,
): HubcastError {
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
