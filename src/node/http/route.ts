import type { FastifyReply, FastifyRequest } from "fastify";
import type { NodeService } from "../service.js";
import type { Deadlines } from "./deadlines.js";
import type { KeyRate } from "./key-rate.js";
import type { HttpLimits, HttpLogger, Role } from "./options.js";
import type { PostRate } from "./post-rate.js";
import type { RefusalBook } from "./refusal-book.js";

/** What every route works with. */
export interface ApiContext {
  readonly service: NodeService;
  readonly limits: HttpLimits;
  readonly logger: HttpLogger;
  /** Of bodies that are read whole: `requestTimeoutMs` each. */
  readonly bodyDeadlines: Deadlines;
  /** Aborts when the API closes: streams that would never end, end. */
  readonly closing: AbortSignal;
  readonly refusals: RefusalBook;
  readonly postRate: PostRate;
  readonly keyRate: KeyRate;
}

/** One row of the API: what is served and what OpenAPI says about it, in one place. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly url: string;
  /** Absent: asked for without a token, by probes. */
  readonly role?: Role;
  /** JSON schemas and prose, for /openapi.json. Requests are checked by hand: see draft.ts and query.ts. */
  readonly schema: RouteSchema;
  handle(request: FastifyRequest, reply: FastifyReply): unknown;
}

export interface RouteSchema {
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly params?: object;
  readonly querystring?: object;
  readonly headers?: object;
  readonly body?: object;
  readonly response: Readonly<Record<number, object>>;
}
