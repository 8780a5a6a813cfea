import { X509Certificate } from "node:crypto";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { CONNECT_REASONS, type ErrorCode, HubcastError } from "../../core/errors.js";
import type { CloseReason } from "../machine/frames.js";
import type { HubAddress, HubTls } from "./options.js";

/**
 * Dials a hub, over TCP or TLS.
 * @param buffer shared by all reads; TLS sockets bring their own
 * @param received gets the bytes, valid during the call. @returns false to pause reading until `resume`
 */
export function openSocket(
  address: HubAddress,
  tls: HubTls | undefined,
  buffer: Buffer,
  received: (bytes: Buffer) => boolean,
): Socket {
  if (tls === undefined) {
    const callback = (bytes: number): boolean => received(buffer.subarray(0, bytes));
    return connect({ ...address, noDelay: true, onread: { buffer, callback } });
  }
  const socket = connectTls({
    ...(isIP(address.host) === 0 && { servername: address.host }),
    ...address,
    ...(tls === true ? {} : tls),
  });
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    if (!received(chunk)) socket.pause();
  });
  return socket;
}

/** A limit of this process or machine, which has nothing to do with the hub. */
const OWN_LIMITS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"]);
/** The connection was open and ended before TLS or the protocol was agreed. */
const NOT_TALKING: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "EPROTO"]);

/**
 * Explains a failed connection by what the user can do: raise a limit here, trust a certificate, or look for the hub.
 * @param where host:port
 * @returns undefined when the error fits none of these
 */
export function connectError(error: Error, where: string, talksTls: boolean): HubcastError | undefined {
  const code = "code" in error ? String(error.code) : "";
  const cause = { cause: error };
  if (OWN_LIMITS.has(code)) {
    return new HubcastError("ownLimit", `cannot open a connection to ${where}: ${ownLimit(code)}`, {
      ...cause,
      suggestions:
        code === "EADDRNOTAVAIL"
          ? ["Wait until old connections have left their ports, or use fewer clients."]
          : ["Raise the limit of open files (ulimit -n), or use fewer clients."],
    });
  }
  if (isOfCertificate(code)) {
    return new HubcastError(
      "certificateRefused",
      `the certificate of the hub at ${where} is not good here: ${error.message}`,
      {
        ...cause,
        suggestions: [
          "Pass the hub's certificate or its authority's: tls.ca (--tls-ca).",
          "Connect by a name that the certificate is for, and look at its dates.",
        ],
      },
    );
  }
  if (code.startsWith("ERR_SSL_") || (NOT_TALKING.has(code) && talksTls)) {
    return new HubcastError("notHubcast", `what answers at ${where} does not talk TLS: ${error.message}`, {
      ...cause,
      suggestions: [
        "Leave out --tls-ca (tls) where the hub does not talk TLS.",
        "Check the address and port.",
      ],
    });
  }
  if (code === "" || NOT_TALKING.has(code)) return undefined;
  return new HubcastError(
    "unreachable",
    `no hub answers at ${where} (${CONNECT_REASONS[code] ?? error.message})`,
    {
      ...cause,
      suggestions: ["Start one with `hubcast hub start`, or pass its address."],
    },
  );
}

function ownLimit(code: string): string {
  if (code === "EADDRNOTAVAIL") return "no port of this machine is left for it";
  return code === "EMFILE" ? "this process may open no more files" : "this machine has no more room for it";
}

/** OpenSSL's codes for an invalid chain, date or name. */
function isOfCertificate(code: string): boolean {
  return /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_TLS_CERT|INVALID_CA|PATH_LENGTH)/.test(
    code,
  );
}

/** Node accepts a `ca` that is no certificate, and then trusts no server. @throws invalidOption */
export function checkTls(tls: HubTls | undefined): void {
  if (tls === undefined || tls === true || tls.ca === undefined) return;
  try {
    new X509Certificate(tls.ca);
  } catch (error) {
    throw new HubcastError("invalidOption", `tls.ca is no certificate: ${(error as Error).message}`, {
      cause: error,
      suggestions: ["Pass a certificate in PEM: -----BEGIN CERTIFICATE-----"],
    });
  }
}

const REFUSALS: Partial<Record<CloseReason, readonly [ErrorCode, message: string, suggestion: string]>> = {
  unauthorized: [
    "unauthorized",
    "asks for a token and got none, or a wrong one",
    "Pass the hub's token (--token-file).",
  ],
  tooManyGuesses: [
    "tooManyGuesses",
    "has had too many wrong tokens from this address",
    "Wait a second, then try again with the right token.",
  ],
  clientsMax: ["tooManyClients", "is full", "Start it with a larger --clients-max, or try again later."],
  stopping: ["stopping", "is shutting down", "Try again when it is back."],
};

/** The error for a hub that turns the client away; undefined for other reasons. @param where host:port */
export function refusalOf(reason: CloseReason, where: string): HubcastError | undefined {
  const known = REFUSALS[reason];
  if (known === undefined) return undefined;
  const [code, message, suggestion] = known;
  return new HubcastError(code, `the hub at ${where} ${message}`, { suggestions: [suggestion] });
}
