import * as Flags from "@oclif/core/flags";
import { LIMITS } from "../core/limits.js";
import { countFlag, durationFlag, portFlag } from "./flags.js";
import { NATS, NATS_FLAGS } from "./nats-flags.js";
import { LIVE_FLAG, LOG_FLAGS, withEnvironment } from "./server-flags.js";

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
    default: "default",
    helpValue: "NAME",
  }),
  "data-dir": Flags.string({
    description:
      "Keep items and this node's id in this directory, over restarts, crashes and power loss; in memory only without it.",
    helpValue: "PATH",
  }),
  retention: durationFlag({
    description: "How long items are kept, from their timestamp; the same on all nodes.",
    default: LIMITS.retentionMs,
    defaultHelp: async () => "24h",
  }),
  engine: Flags.string({
    description:
      "How peers are reached: libp2p, or nats://HOST:4222[,HOST...] for nodes of many networks that meet at NATS servers with JetStream (tls:// insists on TLS).",
    default: "libp2p",
    helpValue: "ENGINE",
  }),
  live: LIVE_FLAG,

  port: portFlag({
    description: "Port of the HTTP API; 0 takes a free one.",
    default: 8080,
    aliases: ["httpport"],
    ...API,
  }),
  host: Flags.string({
    description: "Address the HTTP API listens on. Others than loopback need a token, or --allow-anonymous.",
    default: "127.0.0.1",
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
    description:
      "Items a second that one caller (token, and address) may post, and ten times as many at once. Without it: 2000 from other machines, no limit on this one.",
    min: 1,
    max: 1_000_000,
    ...API,
  }),
  "key-rate": countFlag({
    description:
      "Items a second that one signing key may post here, whoever brings them, and ten times as many at once; beside --post-rate. Without it: 2000 from other machines, no limit on this one.",
    min: 1,
    max: 1_000_000,
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
    default: 0,
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
    default: LIMITS.syncIntervalMs,
    defaultHelp: async () => "20s",
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
      "Accept only items with signatures of this scheme: md5, sha256 or ed25519; may be given again. Without it: all, or ed25519 with --trust.",
    helpValue: "SCHEME",
    multiple: true,
    multipleNonGreedy: true,
    ...TRUST,
  }),
  trust: Flags.string({
    description:
      "Accept only items that a key in this file signed: one public key a line (hubcast keys show), # begins a comment. Changes of the file are taken while the node runs.",
    helpValue: "FILE",
    ...TRUST,
  }),

  "nats-replicas": countFlag({
    description: "Servers that keep a copy of the cluster's stream; what the stream has, or 1, without it.",
    min: 1,
    max: 5,
    ...NATS,
  }),
  ...NATS_FLAGS,

  ...LOG_FLAGS,
});
