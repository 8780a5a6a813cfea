import { LIMITS } from "../core/limits.js";
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
import { NATS_ACCESS_KINDS, NATS_REPLICAS } from "../net/nats/index.js";
import type { NodeOptions } from "./options.js";

export { SCHEMES } from "./replica/signature.js";

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
} satisfies Kinds<NonNullable<NodeOptions["http"]>>;

/** The options of `startNode`; the flags of `broadcast start` take their ranges from here. */
export const NODE_KINDS = {
  name: TEXT,
  cluster: withDefault(TEXT, "default"),
  dataDir: TEXT,
  retentionMs: withDefault(lengthMs(LIMITS.retentionMsMin, Number.MAX_SAFE_INTEGER), LIMITS.retentionMs),
  http: fieldsOf<NonNullable<NodeOptions["http"]>>(HTTP_KINDS),
  p2p: fieldsOf<NonNullable<NodeOptions["p2p"]>>({ hosts: TEXTS, port: P2P_PORT }),
  peers: TEXTS,
  mdns: fieldsOf<{ interfaces: readonly string[] }>({ interfaces: TEXTS }, SWITCH),
  engine: withDefault(TEXT, "libp2p"),
  nats: fieldsOf<NonNullable<NodeOptions["nats"]>>({
    ...NATS_ACCESS_KINDS,
    replicas: NATS_REPLICAS,
  }),
  syncIntervalMs: withDefault(lengthMs(1_000), LIMITS.syncIntervalMs),
  clusterKey: { ...kind("32 bytes", (value) => value instanceof Uint8Array), isSecret: true },
  allowPeers: TEXTS,
  require: TEXTS,
  trust: TEXTS,
  itemsMax: withDefault(wholeNumber(1), LIMITS.itemsMax),
  itemBytesMax: withDefault(wholeNumber(1), LIMITS.itemBytesMax),
  logger: loggerOf("debug", "info", "warn", "error"),
  onPeer: FUNCTION,
  signal: SIGNAL,
} satisfies Kinds<NodeOptions>;
