import { hostname } from "node:os";
import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { checkOptions } from "../core/options.js";
import { hasControl } from "../core/text.js";
import { topicAdvice, topicFault } from "../core/topic.js";
import { isNatsEngine, type NatsServers, parseNatsEngine } from "../runtime/nats.js";
import { parsePeerAddress } from "./cluster/libp2p/address.js";
import { type NatsOptions, NODE_KINDS, type NodeLogger, type NodeOptions, TRUSTED } from "./option-kinds.js";
import type { Trusted } from "./replica/policy.js";
import { SCHEMES } from "./replica/signature.js";

/** Every option with its value, and in its range. */
export type CompleteNodeOptions = Required<Omit<NodeOptions, OptionalName | "engine" | "nats">> &
  Pick<NodeOptions, OptionalName> & { readonly engine: EngineChoice };

/** Options whose absence has a meaning. */
type OptionalName =
  | "name"
  | "dataDir"
  | "http"
  | "onPeer"
  | "signal"
  | "clusterKey"
  | "allowPeers"
  | "require"
  | "trust";

const SILENT: NodeLogger = { debug() {}, info() {}, warn() {}, error() {} };

/** @throws invalidOption when an option is unknown, of another type, or out of its range */
export function completeOptions(options: NodeOptions): CompleteNodeOptions {
  checkOptions("startNode", options, NODE_KINDS);
  const complete = {
    ...options,
    engine: completeEngine(options),
    cluster: options.cluster ?? NODE_KINDS.cluster.default,
    retentionMs: options.retentionMs ?? NODE_KINDS.retentionMs.default,
    p2p: options.p2p ?? {},
    peers: options.peers ?? [],
    mdns: options.mdns ?? true,
    syncIntervalMs: options.syncIntervalMs ?? NODE_KINDS.syncIntervalMs.default,
    itemsMax: options.itemsMax ?? NODE_KINDS.itemsMax.default,
    itemBytesMax: options.itemBytesMax ?? NODE_KINDS.itemBytesMax.default,
    logger: options.logger ?? SILENT,
  };
  checkCluster(complete.cluster);
  checkName(complete.name);
  for (const address of complete.peers) parsePeerAddress(address);
  checkDataDir(complete.dataDir);
  checkClusterKey(complete.clusterKey);
  checkAllowPeers(complete.allowPeers);
  checkPolicy(complete);
  return complete;
}

/**
 * The name of the host, which stays over restarts, with the port of the API where that is another than usual: several nodes
 * may run on one host. A node whose port is any, or that has no API, is told apart by its id.
 */
export function defaultName(id: string, port: number | undefined, host = hostname()): string {
  const own = id.slice(-6).toLowerCase();
  const isUsable = /^[\w.-]{1,40}$/.test(host) && !/^localhost\b/.test(host);
  if (!isUsable) return `node-${own}`;
  if (port === LIMITS.httpPort) return host;
  return port ? `${host}-${port}` : `${host}-${own}`;
}

function checkCluster(cluster: string): void {
  if (/^[a-z0-9-]{1,63}$/.test(cluster)) return;
  throw new HubcastError("invalidOption", `cluster name ${JSON.stringify(cluster)} is not usable`, {
    suggestions: ["Use 1 to 63 characters of a-z, 0-9 and -, such as --cluster team-7."],
  });
}

function checkName(name: string | undefined): void {
  if (name === undefined) return;
  const bytes = Buffer.byteLength(name);
  // A service instance name takes 63 bytes, and ` (2)` may have to follow.
  if (bytes >= 1 && bytes <= 58 && name.isWellFormed() && !hasControl(name)) return;
  throw new HubcastError("invalidOption", `node name ${JSON.stringify(name)} is not usable`, {
    suggestions: ["Use 1 to 58 bytes of text without control characters."],
  });
}

function checkDataDir(dataDir: string | undefined): void {
  if (dataDir === undefined || (dataDir.length > 0 && !dataDir.includes("\0"))) return;
  throw new HubcastError("invalidOption", `dataDir ${JSON.stringify(dataDir)} is no path`);
}

function checkClusterKey(key: Uint8Array | undefined): void {
  if (key === undefined || key.length === 32) return;
  throw new HubcastError("invalidOption", `clusterKey has ${key.length} bytes; it must have 32`);
}

function checkAllowPeers(ids: readonly string[] | undefined): void {
  const bad = ids?.find((id) => !/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(id));
  if (bad === undefined) return;
  throw new HubcastError("invalidOption", `${JSON.stringify(bad)} is no id of a node`, {
    suggestions: ["Ids begin with 12D3KooW and have 52 characters: hubcast broadcast status shows them."],
  });
}

function checkPolicy({ require, trust }: Pick<NodeOptions, "require" | "trust">): void {
  const unknown = require?.find((scheme) => !SCHEMES.includes(scheme));
  if (unknown !== undefined || require?.length === 0) {
    throw new HubcastError("invalidOption", `require names no scheme: ${JSON.stringify(unknown ?? [])}`, {
      suggestions: [`Use one or more of ${SCHEMES.join(", ")}.`],
    });
  }
  if (require && trust && !require.includes("ed25519")) {
    throw new HubcastError("invalidOption", "trust names authors, but require leaves out ed25519", {
      suggestions: ["Add --require ed25519, or leave --require out."],
    });
  }
  if (trust) checkTrust(trust);
}

/** @throws invalidOption */
export function checkTrust(keys: readonly Trusted[]): void {
  if (!TRUSTED.fits(keys))
    throw new HubcastError("invalidOption", `the keys to trust must be ${TRUSTED.expects}`);
  const bound = new Map<string, boolean>();
  for (const each of keys) {
    const { key, topics } = typeof each === "string" ? { key: each } : each;
    checkPublicKey(key);
    if (topics) checkTopics(key, topics);
    const isBound = topics !== undefined;
    if ((bound.get(key.toLowerCase()) ?? isBound) !== isBound)
      throw new HubcastError("invalidOption", `the key ${key} is given with topics and without`, {
        suggestions: ["Give it once: with its topics, or without to trust it everywhere."],
      });
    bound.set(key.toLowerCase(), isBound);
  }
}

function checkPublicKey(key: string): void {
  if (/^[0-9a-f]{64}$/i.test(key)) return;
  throw new HubcastError(
    "invalidOption",
    `${JSON.stringify(key)} is no public key: it must have 64 hex digits`,
  );
}

function checkTopics(key: string, topics: readonly string[]): void {
  if (topics.length === 0)
    throw new HubcastError("invalidOption", `the key ${key} has an empty list of topics`, {
      suggestions: ["Give the key alone to trust it everywhere, or leave it out to trust it nowhere."],
    });
  for (const topic of topics) {
    const fault = topicFault(topic);
    if (fault !== undefined)
      throw new HubcastError("invalidOption", `${JSON.stringify(topic)} is no topic: ${fault}`, {
        suggestions: topicAdvice(topic),
      });
  }
}

/** How peers are reached. */
export type EngineChoice =
  | { readonly name: "libp2p" }
  | ({ readonly name: "nats" } & NatsServers & NatsOptions);

/** @throws invalidOption, also for what would protect or reach nobody with that engine */
function completeEngine(options: NodeOptions): EngineChoice {
  const { engine = "libp2p", nats } = options;
  if (isNatsEngine(engine)) return natsEngine(engine, options);
  if (engine !== "libp2p") {
    throw new HubcastError("invalidOption", `there is no engine ${JSON.stringify(engine)}`, {
      suggestions: ["Use --engine libp2p, which is the default, or --engine nats://HOST:4222."],
    });
  }
  if (nats && Object.keys(nats).length > 0) {
    throw new HubcastError("invalidOption", "options of NATS are given, but the engine is libp2p", {
      suggestions: ["Name the servers: --engine nats://HOST:4222."],
    });
  }
  return { name: "libp2p" };
}

function natsEngine(engine: string, { nats = {}, clusterKey, allowPeers, peers }: NodeOptions): EngineChoice {
  const unfit = clusterKey
    ? "a cluster key"
    : allowPeers
      ? "a list of allowed peers"
      : peers && peers.length > 0
        ? "an address of a peer"
        : undefined;
  if (unfit === undefined) return { name: "nats", ...parseNatsEngine(engine), ...nats };
  throw new HubcastError("invalidOption", `${unfit} has no effect with the engine NATS`, {
    suggestions: [
      "Leave it out: nodes meet at the NATS servers, which decide who may connect (--nats-credentials, tls://).",
    ],
  });
}
