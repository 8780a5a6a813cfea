import type { Interfaces } from "@oclif/core";
import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { topicFault } from "../core/topic.js";
import type { NodeOptions, Trusted } from "../node/index.js";
import { HTTP_KINDS, NODE_KINDS, P2P_PORT, SCHEMES } from "../node/option-kinds.js";
import { NATS_REPLICAS } from "../runtime/nats.js";
import { readFlagFile, readFlagLines, readTlsFiles, tokenVariable } from "./flag-file.js";
import {
  countFlag,
  defined,
  durationFlag,
  flagList,
  LIVE_FLAG,
  LOG_FLAGS,
  NATS,
  NATS_FLAGS,
  natsAccess,
  portFlag,
  ranged,
  withEnvironment,
} from "./flags.js";

const NETWORK = { helpGroup: "PEER" };
const API = { helpGroup: "HTTP API" };
const TRUST = { helpGroup: "TRUST" };

/** Flags of `broadcast start`; each also reads HUBCAST_ and its name. */
export const START_FLAGS = withEnvironment({
  name: Flags.string({
    description: "Name of this node, shown to people; made from its id without it.",
    helpValue: "NAME",
  }),
  cluster: Flags.string({
    description: "Nodes of one cluster name find each other: 1 to 63 characters of a-z, 0-9 and -.",
    default: NODE_KINDS.cluster.default,
    helpValue: "NAME",
  }),
  "data-dir": Flags.string({
    description:
      "Keep items and this node's id in this directory, over restarts, crashes and power loss; in memory only without it.",
    helpValue: "PATH",
  }),
  retention: durationFlag({
    description: "How long items are kept, from their timestamp; the same on all nodes.",
    ...ranged(NODE_KINDS.retentionMs),
  }),
  engine: Flags.string({
    description:
      "How peers are reached: libp2p, or nats://HOST:4222[,HOST...] for nodes of many networks that meet at NATS servers with JetStream (tls:// insists on TLS).",
    default: NODE_KINDS.engine.default,
    helpValue: "libp2p|nats://HOST:4222",
  }),
  live: LIVE_FLAG,

  port: portFlag({
    description: "Port of the HTTP API; 0 takes a free one.",
    default: HTTP_KINDS.port.default,
    aliases: ["httpport"],
    ...API,
  }),
  host: Flags.string({
    description: "Address the HTTP API listens on. Others than loopback need a token, or --allow-anonymous.",
    default: HTTP_KINDS.host.default,
    helpValue: "ADDRESS",
    ...API,
  }),
  "token-file": Flags.string({
    description:
      "File with the token that callers of the API must send; HUBCAST_TOKEN may hold the token itself.",
    helpValue: "PATH",
    ...API,
  }),
  "allow-anonymous": Flags.boolean({ description: "Let callers in without a token, on any --host.", ...API }),
  "post-rate": countFlag({
    description: `Items a second that one caller (token, and address) may post, and ten times as many at once. Without it: ${LIMITS.postItemsPerSecond} from other machines, no limit on this one.`,
    min: HTTP_KINDS.postRate.min,
    max: HTTP_KINDS.postRate.max,
    ...API,
  }),
  "key-rate": countFlag({
    description: `Items a second that one signing key may post here, whoever brings them, and ten times as many at once; beside --post-rate. Without it: ${LIMITS.postItemsPerSecond} from other machines, no limit on this one.`,
    min: HTTP_KINDS.keyRate.min,
    max: HTTP_KINDS.keyRate.max,
    ...API,
  }),
  "tls-cert": Flags.string({
    description: "Certificate chain (PEM) for https.",
    helpValue: "PATH",
    dependsOn: ["tls-key"],
    ...API,
  }),
  "tls-key": Flags.string({
    description: "Private key (PEM) for https.",
    helpValue: "PATH",
    dependsOn: ["tls-cert"],
    ...API,
  }),

  peer: Flags.string({
    description: "Address of a node to connect to, where multicast does not reach; may be given again.",
    helpValue: "ADDRESS",
    multiple: true,
    multipleNonGreedy: true,
    ...NETWORK,
  }),
  "p2p-host": Flags.string({
    description: "Address that peers connect to; all usable interfaces without it.",
    helpValue: "ADDRESS",
    multiple: true,
    multipleNonGreedy: true,
    ...NETWORK,
  }),
  "p2p-port": portFlag({
    description: "Port that peers connect to; a free one without it.",
    default: P2P_PORT.default,
    ...NETWORK,
  }),
  "no-mdns": Flags.boolean({
    description: "Neither announce this node by multicast DNS nor look for others.",
    ...NETWORK,
  }),
  "mdns-interface": Flags.string({
    description: "Use multicast DNS only on this interface, by name or address.",
    helpValue: "INTERFACE",
    multiple: true,
    multipleNonGreedy: true,
    exclusive: ["no-mdns"],
    ...NETWORK,
  }),
  "sync-interval": durationFlag({
    description: "How often to compare the whole set with a random peer.",
    ...ranged(NODE_KINDS.syncIntervalMs),
    ...NETWORK,
  }),

  "cluster-key-file": Flags.string({
    description:
      "File with the key that all nodes of the cluster share (hubcast keys cluster). Nodes without it can neither connect nor learn an item; without this flag anyone on the network can join.",
    helpValue: "FILE",
    ...TRUST,
  }),
  "allow-peers": Flags.string({
    description:
      "Connect only with the nodes whose ids are in this file, one a line (hubcast broadcast status shows a node's), # begins a comment. A node keeps its id with --data-dir only.",
    helpValue: "FILE",
    ...TRUST,
  }),
  require: Flags.string({
    description:
      "Accept only items with signatures of this scheme; may be given again. Without it: all, or ed25519 with --trust.",
    helpValue: SCHEMES.join("|"),
    multiple: true,
    multipleNonGreedy: true,
    ...TRUST,
  }),
  trust: Flags.string({
    description:
      "Accept only items that a key in this file signed: one public key a line (hubcast keys show), # begins a comment. Topics behind a key, alerts/ deploy/, bind it: it may sign only under them. Changes of the file are taken while the node runs.",
    helpValue: "FILE",
    ...TRUST,
  }),

  "nats-replicas": countFlag({
    description: "Servers that keep a copy of the cluster's stream; what the stream has, or 1, without it.",
    min: NATS_REPLICAS.min,
    max: NATS_REPLICAS.max,
    ...NATS,
  }),
  ...NATS_FLAGS,

  ...LOG_FLAGS,
});

export type StartFlags = Interfaces.InferredFlags<typeof START_FLAGS>;

/** Every option, also those that are not given. */
type Complete<T> = { readonly [Name in keyof T]: T[Name] | undefined };

/**
 * Maps the flags of `broadcast start` to options of `startNode`. The command adds `logger` and `signal`.
 */
export async function nodeOptions(flags: StartFlags): Promise<NodeOptions> {
  const options: Complete<NodeOptions> = {
    name: flags.name,
    cluster: flags.cluster,
    dataDir: flags["data-dir"],
    retentionMs: flags.retention,
    engine: flags.engine,
    nats: defined({ ...(await natsAccess(flags)), replicas: flags["nats-replicas"] }),
    http: defined({
      host: flags.host,
      port: flags.port,
      tokens: await readTokens(flags["token-file"]),
      allowAnonymous: flags["allow-anonymous"],
      postRate: flags["post-rate"],
      keyRate: flags["key-rate"],
      tls: await readTlsFiles(flags),
    }),
    p2p: defined({ hosts: flagList(flags["p2p-host"]), port: flags["p2p-port"] }),
    peers: flagList(flags.peer),
    mdns: mdns(flags["no-mdns"], flagList(flags["mdns-interface"])),
    syncIntervalMs: flags["sync-interval"],
    clusterKey: await clusterKey(flags["cluster-key-file"]),
    allowPeers: await allowPeers(flags["allow-peers"]),
    require: flagList(flags.require) as NodeOptions["require"],
    trust: flags.trust === undefined ? undefined : await readTrustFile(flags.trust),
  };
  return defined(options);
}

function mdns(off: boolean, interfaces: readonly string[] | undefined) {
  if (off) return false;
  return interfaces ? { interfaces } : true;
}

/**
 * Tokens of callers, one a line, each alone (it may post) or followed by its role, `read` or `post`. No secret is the
 * value of a flag: it would show in the list of processes.
 */
export async function readTokens(file: string | undefined): Promise<readonly Token[] | undefined> {
  const variable = tokenVariable();
  const lines = file
    ? await readFlagLines(file, "--token-file")
    : variable
      ? [{ line: variable }]
      : undefined;
  return lines?.map(({ line }) => {
    const [token = "", role = "post", more] = line.split(/\s+/);
    if (more === undefined && (role === "read" || role === "post")) return { token, role };
    throw new HubcastError("usage", "--token-file: a line is neither TOKEN nor TOKEN read|post");
  });
}

/** The file holds a secret: errors do not quote it. */
async function clusterKey(file: string | undefined): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined;
  const text = await readFlagFile(file, "--cluster-key-file");
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, "hex");
  throw new HubcastError(
    "usage",
    `--cluster-key-file: ${file} does not hold 64 hex digits and nothing else`,
    {
      suggestions: ["Make a key: hubcast keys cluster --out cluster.key"],
    },
  );
}

/** Ids of nodes, each alone on its line or before a comment. */
async function allowPeers(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined) return undefined;
  const lines = await readFlagLines(file, "--allow-peers");
  return lines.map(({ line }) => line.replace(/\s#.*$/, "").trimEnd());
}

interface Token {
  readonly token: string;
  readonly role: "read" | "post";
}

/**
 * The public keys in a trust file: one a line, 64 hex digits, behind it the topics that it may sign under, each with
 * `/` at its end; `#` begins a comment.
 * @throws usage when it cannot be read, has no key, or a line that is none: a slip neither trusts nor distrusts an
 *   author
 */
export async function readTrustFile(path: string): Promise<readonly Trusted[]> {
  const lines = await readFlagLines(path, "--trust");
  const keys = lines.map(({ number, line }) => {
    // Errors say nothing of the line's text: a file named by mistake may hold secrets, which must not reach the log.
    const [key = "", ...words] = line
      .replace(/\s#.*$/, "")
      .trimEnd()
      .split(/\s+/);
    if (!/^[0-9a-f]{64}$/i.test(key))
      throw new HubcastError("usage", `--trust: line ${number} of ${path} is no public key`, {
        suggestions: [
          "Write 64 hex digits a line, as hubcast keys show FILE prints them; # begins a comment.",
        ],
      });
    const topics = words.map((word) => word.replace(/\/$/, ""));
    if (words.some((word) => !word.endsWith("/") || topicFault(word.slice(0, -1)) !== undefined))
      throw new HubcastError(
        "usage",
        `--trust: line ${number} of ${path} has something behind the key that is no topic`,
        {
          suggestions: [
            "Write topics as KEY alerts/ deploy/site/, each with a / at its end; # begins a comment.",
          ],
        },
      );
    return topics.length === 0 ? key.toLowerCase() : { key: key.toLowerCase(), topics };
  });
  if (keys.length > 0) return keys;
  throw new HubcastError("usage", `--trust: there is no key in ${path}`);
}
