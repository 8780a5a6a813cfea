import { HubcastError } from "../core/errors.js";
import { isLoopbackHost } from "../net/loopback.js";
import { isNatsEngine, type NatsAccess, parseNatsEngine } from "../net/nats/index.js";
import { HUB_LIMITS } from "./protocol/limits.js";
import { MACHINE_DEFAULTS, type SlowConsumer } from "./protocol/options.js";

/** What a hub says while it runs, if it is given a logger; pino's shape. */
export interface HubLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Options of `startHub`; each is also a flag of `hub start`. */
export interface HubOptions {
  /** Default 9999; 0 takes a free one. */
  readonly port?: number;
  /** Default 127.0.0.1. Another one needs `token` or `allowAnonymous`. */
  readonly host?: string;
  /** What clients and the network see; default `hubcast`. 1 to 64 bytes. */
  readonly name?: string;
  /** Clients must show it in a hello; this shuts out clients of version 1. */
  readonly token?: string;
  readonly allowAnonymous?: boolean;
  /** PEM texts. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Default `evict`: nobody waits for a frozen receiver longer than 250 ms. `wait`: nothing is lost, senders wait. */
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
  readonly drainTimeoutMs?: number;
  /** HTTP monitoring on 127.0.0.1; off without. 0 takes a free port. */
  readonly monitorPort?: number;
  /** Makes the hub known by DNS-SD, on all interfaces where it listens or on some; default false. */
  readonly mdns?: boolean | { readonly interfaces: readonly string[] };
  /**
   * `nats://HOST:4222[,HOST...]`: hubs of one NATS cluster are one, their clients reach each other. Default `local`: a
   * hub of its own.
   */
  readonly engine?: string;
  /** How to get into NATS, and on how many of its servers the ids are kept (1 to 5, default 1). */
  readonly nats?: NatsAccess & { readonly replicas?: number };
  readonly logger?: HubLogger;
  /** Closes the hub when it aborts. */
  readonly signal?: AbortSignal;
}

/** Of a hub that is alone. */
export const LOCAL_ENGINE = "local";

type Optional = "token" | "tls" | "monitorPort" | "nats" | "logger" | "signal";
export type CompleteHubOptions = Required<Omit<HubOptions, Optional>> & Pick<HubOptions, Optional>;

/** Fills in defaults and checks ranges, once. @throws invalidOption */
export function completeHubOptions(options: HubOptions): CompleteHubOptions {
  const complete = {
    ...MACHINE_DEFAULTS,
    port: 9999,
    host: "127.0.0.1",
    allowAnonymous: false,
    drainTimeoutMs: HUB_LIMITS.drainTimeoutMs,
    mdns: false,
    engine: LOCAL_ENGINE,
    ...options,
  };
  checkNumber("port", complete.port, 0, 65_535);
  if (complete.monitorPort !== undefined) checkNumber("monitorPort", complete.monitorPort, 0, 65_535);
  checkNumber("outboxMax", complete.outboxMax, 65_536, 2 ** 40);
  checkNumber("memoryMax", complete.memoryMax, 1_048_576, 2 ** 40);
  checkNumber("clientsMax", complete.clientsMax, 1, 1_000_000);
  for (const name of ["stallTimeoutMs", "handshakeTimeoutMs", "frameTimeoutMs", "pingIntervalMs"] as const) {
    checkNumber(name, complete[name], 1, 2 ** 31 - 1);
  }
  checkNumber("pingTimeoutMs", complete.pingTimeoutMs, 1, 2 ** 31 - 1);
  checkNumber("drainTimeoutMs", complete.drainTimeoutMs, 0, 2 ** 31 - 1);
  checkEngine(complete);
  checkText("name", complete.name, HUB_LIMITS.nameBytesMax);
  if (complete.token !== undefined) checkText("token", complete.token, HUB_LIMITS.tokenBytesMax);
  if (complete.slowConsumer !== "evict" && complete.slowConsumer !== "wait") {
    throw new HubcastError("invalidOption", `slowConsumer is "${complete.slowConsumer}"`, {
      suggestions: ['Pass "evict" or "wait".'],
    });
  }
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

function checkEngine({ engine, nats }: HubOptions): void {
  if (nats?.replicas !== undefined) checkNumber("nats.replicas", nats.replicas, 1, 5);
  if (engine === undefined || engine === LOCAL_ENGINE) return;
  if (isNatsEngine(engine)) parseNatsEngine(engine);
  else {
    throw new HubcastError("invalidOption", `there is no engine ${JSON.stringify(engine)} for a hub`, {
      suggestions: ["Use --engine nats://HOST:4222, or leave it out: local."],
    });
  }
}

function checkNumber(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new HubcastError("invalidOption", `${name} is ${value}`, {
    suggestions: [`Pass a whole number from ${min} to ${max}.`],
  });
}

function checkText(name: string, text: string, bytesMax: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes >= 1 && bytes <= bytesMax) return;
  throw new HubcastError("invalidOption", `${name} has ${bytes} bytes`, {
    suggestions: [`Pass 1 to ${bytesMax} bytes.`],
  });
}
