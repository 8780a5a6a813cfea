import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { isLoopbackHost } from "../../net/loopback.js";
import type { NodeService } from "../service.js";

/** What a token allows: `read` every GET and the seed's list, `post` that and posting. */
export type Role = "read" | "post";

export interface Token {
  /** Visible ASCII, as it stands behind `Bearer `. */
  readonly token: string;
  readonly role: Role;
}

/** What the API says to whoever runs the node; a pino logger fits. */
export interface HttpLogger {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The limits of LIMITS that the HTTP API keeps. */
export type HttpLimits = { readonly [Name in keyof typeof LIMITS]: number };

export interface HttpApiOptions {
  readonly service: NodeService;
  /** Address or name to listen on; default 127.0.0.1. Any other than loopback needs tokens or `allowAnonymous`. */
  readonly host?: string;
  /** Default 8080; 0 takes a free one. */
  readonly port?: number;
  /** Absent or empty: nobody needs a token. */
  readonly tokens?: readonly Token[];
  /** Lets everybody in who can reach the address; tokens, if there are any, are then not asked for. */
  readonly allowAnonymous?: boolean;
  /** PEM; the API then speaks HTTPS only. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /**
   * Items a second that one caller (token, and address) may post, and ten times as many at once. Default 2,000 for
   * callers on other machines, no limit for those on this one.
   */
  readonly postRate?: number;
  /**
   * Items a second that one signing key may post, whoever brings them, and ten times as many at once. Default as for
   * `postRate`.
   */
  readonly keyRate?: number;
  /** Further names that a Host header may carry, such as the DNS name of this machine. */
  readonly boundNames?: readonly string[];
  readonly logger?: HttpLogger;
  /** Other limits than LIMITS, for tests. */
  readonly limits?: Partial<HttpLimits>;
}

export interface CompleteOptions {
  readonly service: NodeService;
  readonly host: string;
  readonly port: number;
  /** Empty: nobody is asked for one. */
  readonly tokens: readonly Token[];
  readonly tls: HttpApiOptions["tls"] | undefined;
  readonly postRate: number | undefined;
  readonly keyRate: number | undefined;
  readonly boundNames: readonly string[];
  readonly logger: HttpLogger;
  readonly limits: HttpLimits;
}

/** @throws invalidOption when an option is out of its range, or the API would be open to a network unasked */
export function completeOptions(options: HttpApiOptions): CompleteOptions {
  const { host = "127.0.0.1", port = 8080, tokens = [], allowAnonymous = false } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new HubcastError("invalidOption", `port ${port} is not a whole number from 0 to 65535`);
  }
  checkRate("postRate", options.postRate);
  checkRate("keyRate", options.keyRate);
  for (const { token, role } of tokens) {
    if (!/^[\x21-\x7e]+$/.test(token) || (role !== "read" && role !== "post")) {
      throw new HubcastError(
        "invalidOption",
        `a token of the HTTP API has a bad character or role "${role}"`,
        {
          suggestions: ["Use visible ASCII characters without spaces, and the role read or post."],
        },
      );
    }
  }
  if (!isLoopbackHost(host) && tokens.length === 0 && !allowAnonymous) {
    throw new HubcastError(
      "invalidOption",
      `host ${host} lets other machines call the node without a token`,
      {
        suggestions: [
          "Give tokens with --token-file or HUBCAST_TOKEN.",
          "Or pass --allow-anonymous to let everybody who reaches this address read and post.",
        ],
      },
    );
  }
  return {
    service: options.service,
    host,
    port,
    tokens: allowAnonymous ? [] : tokens,
    tls: options.tls,
    postRate: options.postRate,
    keyRate: options.keyRate,
    boundNames: options.boundNames ?? [],
    logger: options.logger ?? SILENT,
    limits: { ...LIMITS, ...options.limits },
  };
}

function checkRate(option: string, rate: number | undefined): void {
  if (rate === undefined || (Number.isSafeInteger(rate) && rate >= 1)) return;
  throw new HubcastError("invalidOption", `${option} ${rate} is not a whole number of items, 1 at least`);
}

const SILENT: HttpLogger = { debug() {}, warn() {}, error() {} };
