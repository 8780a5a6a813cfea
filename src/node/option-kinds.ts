import { LIMITS, type Limits } from "../core/limits.js";
import {
  FUNCTION,
  fieldsOf,
  type Kinds,
  kind,
  lengthMs,
  loggerOf,
  PEM,
  PORT,
  SIGNAL,
  SWITCH,
  TEXT,
  TEXTS,
  wholeNumber,
  withDefault,
} from "../core/options.js";
import { NATS_ACCESS_KINDS, NATS_REPLICAS, type NatsAccess } from "../runtime/nats.js";
import type { Access, Peer } from "./broadcast.js";
import type { Trusted } from "./replica/policy.js";
import type { SignatureScheme } from "./replica/signature.js";

export { SCHEMES } from "./replica/signature.js";

export interface NodeOptions {
  /** For people, at most 58 bytes; default made from the host's name. Taken on the network already: `name (2)`. */
  readonly name?: string;
  /** Only nodes of one cluster meet: 1..63 characters of a-z, 0-9 and `-`. Default `default`. */
  readonly cluster?: string;
  /**
   * Keeps items and the node's id in this directory, so that both outlive `kill -9` and power loss; made if there is
   * none. Absent: in memory only.
   */
  readonly dataDir?: string;
  /** How long items are kept, ms; equal on all nodes of a cluster. Default 24 h. */
  readonly retentionMs?: number;
  /** Absent: no HTTP API. */
  readonly http?: HttpOptions;
  /** Where peers reach this node. Default all usable interfaces, a free port. */
  readonly p2p?: { readonly hosts?: readonly string[]; readonly port?: number };
  /** Addresses of peers where multicast does not reach: HOST:PORT, or a multiaddr. */
  readonly peers?: readonly string[];
  /** Find and be found by multicast DNS; default true: on all interfaces that are up. */
  readonly mdns?: boolean | { readonly interfaces: readonly string[] };
  /** How peers are reached: `libp2p`, the default, or `nats://HOST:4222[,HOST...]` (`tls://` to insist on TLS). */
  readonly engine?: string;
  /** Options of the NATS engine. */
  readonly nats?: NatsOptions;
  /** Mean time between reconciliations with a random peer, ms; 1 s at least. Default 20 s. */
  readonly syncIntervalMs?: number;
  /** 32 bytes that all nodes of the cluster share: nobody without them can connect. Default: anybody can join. */
  readonly clusterKey?: Uint8Array;
  /** Ids of the nodes that may connect to this one. Default: any may. */
  readonly allowPeers?: readonly string[];
  /** Schemes of signatures that this node accepts; default all, or only `ed25519` where `trust` is given. */
  readonly require?: readonly SignatureScheme[];
  /**
   * Public keys, 64 hex digits each: of signed items only theirs are accepted. As `{ key, topics }` a key may sign only
   * under these topics and below; that keeps no other key from them. Default: anybody's.
   */
  readonly trust?: readonly Trusted[];
  readonly itemsMax?: number;
  /** Bytes of all items, in their canonical encoding. */
  readonly itemBytesMax?: number;
  /** Default: says nothing. */
  readonly logger?: NodeLogger;
  /** Called when another node comes, goes, or differs, as `events()` tells it; costs nothing for an item. */
  readonly onPeer?: (peer: Peer) => void;
  /** Aborts the start, and closes a node that runs. */
  readonly signal?: AbortSignal;
}

/** Options of the NATS engine besides the addresses of its servers. */
export interface NatsOptions extends NatsAccess {
  /** Servers that keep a copy of the cluster's stream, 1 to 5; absent: as many as the stream has, or 1. */
  readonly replicas?: number;
}

/** The HTTP API of a node. */
export interface HttpOptions extends Access {
  /** Address or name to listen on; default 127.0.0.1. Any other than loopback needs tokens or `allowAnonymous`. */
  readonly host?: string;
  /** Default 8080; 0 takes a free one. */
  readonly port?: number;
  /** Lets everybody in who can reach the address; tokens, if there are any, are then not asked for. */
  readonly allowAnonymous?: boolean;
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
  readonly logger?: Pick<NodeLogger, "debug" | "warn" | "error">;
  /** Other limits than LIMITS, for tests. */
  readonly limits?: Partial<Limits>;
}

/** Items a second that a caller or a key may post. */
const RATE = wholeNumber(1, 1_000_000);

export const P2P_PORT = withDefault(PORT, 0);

export const HTTP_KINDS = {
  host: withDefault(TEXT, "127.0.0.1"),
  port: withDefault(PORT, 8080),
  tokens: kind("an array of {token, role}", Array.isArray),
  allowAnonymous: SWITCH,
  tls: fieldsOf<{ cert: string; key: string }>({ cert: PEM, key: PEM }),
  postRate: RATE,
  keyRate: RATE,
  boundNames: TEXTS,
  logger: loggerOf("debug", "warn", "error"),
  limits: kind("an object", (value) => typeof value === "object"),
} satisfies Kinds<HttpOptions>;

export const TRUSTED = kind("an array of public keys, or of objects {key, topics}", (value) => {
  const isTrusted = (each: unknown) => {
    if (TEXT.fits(each)) return true;
    const { key, topics, ...more } = Object(each) as Record<string, unknown>;
    return TEXT.fits(key) && TEXTS.fits(topics) && Object.keys(more).length === 0;
  };
  return Array.isArray(value) && value.every(isTrusted);
});

/** The options of `startNode`; the flags of `broadcast start` take their ranges from here. */
export const NODE_KINDS = {
  name: TEXT,
  cluster: withDefault(TEXT, "default"),
  dataDir: TEXT,
  retentionMs: withDefault(lengthMs(LIMITS.retentionMsMin, Number.MAX_SAFE_INTEGER), LIMITS.retentionMs),
  http: fieldsOf<HttpOptions>(HTTP_KINDS),
  p2p: fieldsOf<NonNullable<NodeOptions["p2p"]>>({ hosts: TEXTS, port: P2P_PORT }),
  peers: TEXTS,
  mdns: fieldsOf<{ interfaces: readonly string[] }>({ interfaces: TEXTS }, SWITCH),
  engine: withDefault(TEXT, "libp2p"),
  nats: fieldsOf<NatsOptions>({
    ...NATS_ACCESS_KINDS,
    replicas: NATS_REPLICAS,
  }),
  syncIntervalMs: withDefault(lengthMs(1_000), LIMITS.syncIntervalMs),
  clusterKey: { ...kind("32 bytes", (value) => value instanceof Uint8Array), isSecret: true },
  allowPeers: TEXTS,
  require: TEXTS,
  trust: TRUSTED,
  itemsMax: withDefault(wholeNumber(1), LIMITS.itemsMax),
  itemBytesMax: withDefault(wholeNumber(1), LIMITS.itemBytesMax),
  logger: loggerOf("debug", "info", "warn", "error"),
  onPeer: FUNCTION,
  signal: SIGNAL,
} satisfies Kinds<NodeOptions>;

/** The logger of a node; a pino logger fits. */
export interface NodeLogger {
  /** Of frames between nodes; absent: they are not logged. */
  trace?(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
