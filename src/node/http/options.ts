import { HubcastError } from "../../core/errors.js";
import { LIMITS } from "../../core/limits.js";
import { isLoopbackHost } from "../../core/loopback.js";
import { checkOptions } from "../../core/options.js";
import type { TlsPair } from "../../runtime/certificate.js";
import type { HttpLogger, RefusalBook } from "../../runtime/http/problem.js";
import type { PacedCalls } from "../../runtime/paced-calls.js";
import type { Token, TokenTable } from "../../runtime/tokens.js";
import { HTTP_KINDS } from "../option-kinds.js";
import type { NodeService } from "../service.js";
import type { Deadlines } from "./body.js";
import type { KeyRate, PostRate } from "./rates.js";

/** The limits of LIMITS that the HTTP API keeps. */
export type HttpLimits = { readonly [Name in keyof typeof LIMITS]: number };

/** The credentials of the API; they may change while it is served. */
export type Access = Pick<HttpApiOptions, "tls" | "tokens">;

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
  readonly tls?: TlsPair;
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
  const { service, ...given } = options;
  checkOptions("the HTTP API", given, HTTP_KINDS);
  const { host = HTTP_KINDS.host.default, port = HTTP_KINDS.port.default } = given;
  const { tokens = [], allowAnonymous = false } = given;
  checkTokens(tokens);
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
    service,
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

/** @throws invalidOption */
export function checkTokens(tokens: readonly Token[]): void {
  for (const { token, role } of tokens) {
    if (/^[\x21-\x7e]+$/.test(token) && (role === "read" || role === "post")) continue;
    throw new HubcastError("invalidOption", `a token of the HTTP API has a bad character or role "${role}"`, {
      suggestions: ["Use visible ASCII characters without spaces, and the role read or post."],
    });
  }
}

const SILENT: HttpLogger = { debug() {}, warn() {}, error() {} };

/** Shared by all routes. */
export interface ApiContext {
  readonly service: NodeService;
  readonly limits: HttpLimits;
  readonly logger: HttpLogger;
  readonly tokens: TokenTable;
  /** Of bodies that are read whole: `requestTimeoutMs` each. */
  readonly bodyDeadlines: Deadlines;
  /** Aborts when the API closes: streams that would never end, end. */
  readonly closing: AbortSignal;
  readonly refusals: RefusalBook;
  /** Bulk requests take turns of the event loop: between two batches others are served. */
  readonly bulkTurns: PacedCalls;
  /** A thousand subscribers that come at once wait for each other, and let others pass. */
  readonly subscriberTurns: PacedCalls;
  readonly postRate: PostRate;
  readonly keyRate: KeyRate;
}
