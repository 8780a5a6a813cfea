import { HubcastError } from "../core/errors.js";
import { isLoopbackHost } from "../core/hosts.js";
import {
  bytes,
  type Completed,
  choiceOf,
  completed,
  FUNCTION,
  fieldsOf,
  type Kinds,
  kind,
  lengthMs,
  lineOf,
  loggerOf,
  PEM,
  PORT,
  part,
  SIGNAL,
  SWITCH,
  TEXT,
  TEXTS,
  wholeNumber,
  withDefault,
} from "../core/options.js";
import type { TlsPair } from "../runtime/certificate.js";
import { connectionsThatFit } from "../runtime/listen.js";
import {
  isNatsEngine,
  NATS_ACCESS_KINDS,
  NATS_REPLICAS,
  type NatsAccess,
  parseNatsEngine,
} from "../runtime/nats.js";
import { checkToken, HUB_CLIENT_KINDS } from "./client/options.js";
import { HUB_LIMITS } from "./machine/limits.js";
import { MACHINE_DEFAULTS, type SlowConsumer } from "./machine/state.js";
import { STAMP_BYTES } from "./simulate/proof/payload.js";

/** The subset of pino's logger that a hub uses. */
export interface HubLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Options of `startHub`; most are also flags of `hub start`. */
export interface HubOptions {
  /** Default 9999; 0 takes a free one. */
  readonly port?: number;
  /** Default 127.0.0.1. Another one needs `token` or `allowAnonymous`. */
  readonly host?: string;
  /** The name that clients and discovery show; default `hubcast`. 1 to 64 bytes. */
  readonly name?: string;
  /** Clients must show it in a hello; this shuts out clients of version 1. */
  readonly token?: string;
  readonly allowAnonymous?: boolean;
  /** PEM texts. */
  readonly tls?: TlsPair;
  /** Default `evict`: no sender waits for a frozen receiver longer than 250 ms. `wait`: nothing is lost, senders wait. */
  readonly slowConsumer?: SlowConsumer;
  /** Bytes queued for one receiver; senders wait from half of it on. Default 64 MiB. */
  readonly outboxMax?: number;
  /** Under `wait`: how long senders wait for a receiver that takes nothing. Default 10,000. */
  readonly stallTimeoutMs?: number;
  /** Bytes of all frames and queues together. Default 512 MiB. */
  readonly memoryMax?: number;
  /** Default 10,000. */
  readonly clientsMax?: number;
  readonly handshakeTimeoutMs?: number;
  readonly frameTimeoutMs?: number;
  readonly pingIntervalMs?: number;
  readonly pingTimeoutMs?: number;
  /** A client that acknowledges no written bytes for so long is closed. Default 60,000. */
  readonly progressTimeoutMs?: number;
  readonly drainTimeoutMs?: number;
  /** HTTP monitoring on 127.0.0.1; off without. 0 takes a free port. */
  readonly monitorPort?: number;
  /** Advertises the hub by DNS-SD, on all interfaces where it listens or on some; default false. */
  readonly mdns?: boolean | { readonly interfaces: readonly string[] };
  /**
   * `nats://HOST:4222[,HOST...]`: hubs of one NATS cluster are one, their clients reach each other. Default `local`: a
   * hub of its own.
   */
  readonly engine?: string;
  /** Credentials of NATS, and on how many of its servers the ids are kept (1 to 5, default 1). */
  readonly nats?: NatsAccess & { readonly replicas?: number };
  readonly logger?: HubLogger;
  /** Closes the hub when it aborts. */
  readonly signal?: AbortSignal;
}

const TIB = 2 ** 40;

/** Servers that keep the ids of clients. */
export const ID_REPLICAS = withDefault(NATS_REPLICAS, 1);

export const SLOW_CONSUMER = ["evict", "wait"] as const satisfies readonly SlowConsumer[];

/** Kinds and defaults of the options of `startHub`; the flags of `hub start` take their ranges from here. */
export const HUB_KINDS = {
  port: withDefault(PORT, 9999),
  host: withDefault(TEXT, "127.0.0.1"),
  name: withDefault(lineOf(1, HUB_LIMITS.nameBytesMax), MACHINE_DEFAULTS.name),
  token: { ...TEXT, isSecret: true },
  allowAnonymous: withDefault(SWITCH, false),
  tls: fieldsOf<{ cert: string; key: string }>({ cert: PEM, key: PEM }),
  slowConsumer: withDefault(choiceOf(...SLOW_CONSUMER), MACHINE_DEFAULTS.slowConsumer),
  outboxMax: withDefault(bytes(65_536, TIB), MACHINE_DEFAULTS.outboxMax),
  stallTimeoutMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.stallTimeoutMs),
  memoryMax: withDefault(bytes(1_048_576, TIB), MACHINE_DEFAULTS.memoryMax),
  clientsMax: withDefault(wholeNumber(1, 1_000_000), MACHINE_DEFAULTS.clientsMax),
  handshakeTimeoutMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.handshakeTimeoutMs),
  frameTimeoutMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.frameTimeoutMs),
  pingIntervalMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.pingIntervalMs),
  pingTimeoutMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.pingTimeoutMs),
  progressTimeoutMs: withDefault(lengthMs(1), MACHINE_DEFAULTS.progressTimeoutMs),
  drainTimeoutMs: withDefault(lengthMs(0), HUB_LIMITS.drainTimeoutMs),
  monitorPort: PORT,
  mdns: withDefault(fieldsOf<{ interfaces: readonly string[] }>({ interfaces: TEXTS }, SWITCH), false),
  engine: withDefault(TEXT, "local"),
  nats: fieldsOf<NonNullable<HubOptions["nats"]>>({
    ...NATS_ACCESS_KINDS,
    replicas: ID_REPLICAS,
  }),
  logger: loggerOf("debug", "info", "warn"),
  signal: SIGNAL,
} satisfies Kinds<HubOptions>;

/** The longest pause between two messages of a simulated client. */
export const SIMULATE_INTERVAL_MS_MAX = 86_400_000;

/** Ranges and defaults of the options of `simulateHub`; the flags of `hub simulate` take them from here. */
export const SIMULATE_KINDS = {
  size: withDefault(bytes(STAMP_BYTES, HUB_LIMITS.payloadBytesMax), 10_240),
  clients: withDefault(wholeNumber(2, 20_000), 100),
  messages: withDefault(wholeNumber(0, 1_000_000_000), 100),
  workers: wholeNumber(1, 64),
  chaos: withDefault(part(0.9), 0),
  timeoutMs: withDefault(lengthMs(1), 10_000),
  intervalMs: withDefault(
    kind(
      `a number from 0 to ${SIMULATE_INTERVAL_MS_MAX}`,
      (value) => Number(value) >= 0 && Number(value) <= SIMULATE_INTERVAL_MS_MAX,
    ),
    1,
  ),
  address: kind("a string, or an array of strings", (value) => TEXT.fits(value) || TEXTS.fits(value)),
  token: { ...TEXT, isSecret: true },
  tls: HUB_CLIENT_KINDS.tls,
  onProgress: FUNCTION,
  signal: SIGNAL,
};

/** A hub without others. */
export const LOCAL_ENGINE = "local";

export type CompleteHubOptions = Completed<HubOptions, typeof HUB_KINDS>;

/** Checks names, types and ranges and fills in defaults, once. @throws invalidOption */
export function completeHubOptions(options: HubOptions): CompleteHubOptions {
  const complete = completed("startHub", options, HUB_KINDS);
  checkEngine(complete);
  checkToken(complete.token);
  if (!isLoopbackHost(complete.host) && complete.token === undefined && !complete.allowAnonymous) {
    throw new HubcastError(
      "invalidOption",
      `host ${complete.host} is open to the network and no token is set`,
      {
        suggestions: ["Pass a token (--token-file), or allow everyone in with --allow-anonymous."],
      },
    );
  }
  return complete;
}

function checkEngine({ engine }: HubOptions): void {
  if (engine === undefined || engine === LOCAL_ENGINE) return;
  if (isNatsEngine(engine)) parseNatsEngine(engine);
  else {
    throw new HubcastError("invalidOption", `there is no engine ${JSON.stringify(engine)} for a hub`, {
      suggestions: ["Use --engine nats://HOST:4222, or leave it out: local."],
    });
  }
}

/** The clients of the options, or fewer where the limit of open files requires it. */
export function clientsThatFit({ clientsMax, logger }: CompleteHubOptions): number {
  const { count, openFilesMax } = connectionsThatFit(clientsMax, HUB_LIMITS.filesReserved);
  if (count === clientsMax) return count;
  const fields = { clientsMax: count, wanted: clientsMax, openFilesMax };
  logger?.warn(
    fields,
    `takes ${count} clients, not ${clientsMax}: raise the limit of open files (ulimit -n)`,
  );
  return count;
}
