import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type Server } from "node:tls";
import { HubcastError } from "../core/errors.js";

/** A certificate, with those that lead to its root behind it, and its private key: PEM. */
export interface TlsPair {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

/** The validity of a certificate, which clients check besides the name. */
export interface Certificate {
  /** Epoch ms: not before, and not after. */
  readonly validFromMs: number;
  readonly expiresAtMs: number;
}

/** Automatic renewal happens 30 days before expiry; this close to it, renewal has failed. */
const SOON_MS = 14 * 24 * 3_600_000;

/** The certificate that a server shows. It may be replaced while the server runs. */
export class ServedCertificate {
  #shown: Certificate | undefined;

  /**
   * @param tls undefined for a server without TLS
   * @param warn told why clients refuse the certificate, or soon will
   * @throws invalidOption
   */
  constructor(
    tls: TlsPair | undefined,
    private readonly warn: (fault: string) => void,
  ) {
    if (tls) this.#show(tls);
  }

  /** Epoch ms; undefined without TLS. */
  get expiresAtMs(): number | undefined {
    return this.#shown?.expiresAtMs;
  }

  /**
   * Replaces the certificate of new connections. Open connections stay.
   * @throws invalidOption when it cannot be used, or the server was started without TLS; nothing changes then
   */
  renew(tls: TlsPair, server: Server): void {
    if (!this.#shown)
      throw new HubcastError("invalidOption", "a server that was started without TLS takes no certificate", {
        suggestions: ["Start it with a certificate (--tls-cert, --tls-key)."],
      });
    this.#show(tls);
    server.setSecureContext({ ...tls });
  }

  #show(tls: TlsPair): void {
    this.#shown = readCertificate(tls);
    const fault = expiryOf(this.#shown);
    if (fault) this.warn(fault);
  }
}

/** @throws invalidOption when the certificate or key cannot be used, or the two do not belong together */
export function readCertificate({ cert, key }: TlsPair): Certificate {
  const advice = "Give a PEM certificate with --tls-cert and its own key with --tls-key.";
  const { validFromDate, validToDate } = read("the TLS certificate", advice, () => new X509Certificate(cert));
  const isLocked = /^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(String(key));
  read("the TLS key", isLocked ? "Unlock it: openssl pkey -in KEY -out UNLOCKED" : advice, () =>
    createPrivateKey(key),
  );
  read("the TLS key", `It is not that of the certificate. ${advice}`, () =>
    createSecureContext({ cert, key }),
  );
  return { validFromMs: validFromDate.getTime(), expiresAtMs: validToDate.getTime() };
}

function read<Result>(what: string, advice: string, reading: () => Result): Result {
  try {
    return reading();
  } catch (cause) {
    const { reason, message } = cause as Error & { readonly reason?: string };
    throw new HubcastError("invalidOption", `${what} cannot be used: ${reason ?? message}`, {
      suggestions: [advice],
      cause,
    });
  }
}

/** Why clients refuse a certificate, or soon will, for people; undefined for a good one. */
export function expiryOf({ validFromMs, expiresAtMs }: Certificate, nowMs = Date.now()): string | undefined {
  const at = (ms: number) => new Date(ms).toISOString();
  if (expiresAtMs <= nowMs) return `the TLS certificate expired at ${at(expiresAtMs)}: clients refuse it`;
  if (validFromMs > nowMs)
    return `the TLS certificate is not valid before ${at(validFromMs)}: clients refuse it`;
  if (expiresAtMs - nowMs < SOON_MS) return `the TLS certificate expires soon, at ${at(expiresAtMs)}`;
  return undefined;
}
