import { HubcastError } from "../../core/errors.js";
import { LIMITS, type Limits } from "../../core/limits.js";
import { isLoopbackHost } from "../../core/loopback.js";
import { checkOptions } from "../../core/options.js";
import type { HttpLogger, RefusalCounter } from "../../runtime/http/problem.js";
import type { PacedCalls } from "../../runtime/paced-calls.js";
import type { Token, TokenTable } from "../../runtime/tokens.js";
import { HTTP_KINDS, type HttpOptions } from "../option-kinds.js";
import type { Deadlines } from "./body.js";
import type { KeyRate, PostRate } from "./rates.js";
import type { ServedNode } from "./served-node.js";

export interface HttpApiOptions extends HttpOptions {
  readonly node: ServedNode;
}

export interface CompleteOptions {
  readonly node: ServedNode;
  readonly host: string;
  readonly port: number;
  /** Empty: nobody is asked for one. */
  readonly tokens: readonly Token[];
  readonly tls: HttpOptions["tls"] | undefined;
  readonly postRate: number | undefined;
  readonly keyRate: number | undefined;
  readonly boundNames: readonly string[];
  readonly logger: HttpLogger;
  readonly limits: Limits;
}

/** @throws invalidOption when an option is out of its range, or the API would be open to a network unasked */
export function completeOptions(options: HttpApiOptions): CompleteOptions {
  const { node, ...given } = options;
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
    node,
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
  readonly node: ServedNode;
  readonly limits: Limits;
  readonly logger: HttpLogger;
  readonly tokens: TokenTable;
  /** Of bodies that are read whole: `requestTimeoutMs` each. */
  readonly bodyDeadlines: Deadlines;
  /** Aborts when the API closes: streams that would never end, end. */
  readonly closing: AbortSignal;
  readonly refusals: RefusalCounter;
  /** Bulk requests take turns of the event loop: between two batches others are served. */
  readonly bulkTurns: PacedCalls;
  /** A thousand subscribers that come at once wait for each other, and let others pass. */
  readonly subscriberTurns: PacedCalls;
  readonly postRate: PostRate;
  readonly keyRate: KeyRate;
}
