import type { Interfaces } from "@oclif/core";
import { HubcastError } from "../core/errors.js";
import type { NodeOptions } from "../node/index.js";
import { defined } from "./defined.js";
import { readFlagFile, readFlagLines } from "./flag-file.js";
import { flagList } from "./flag-list.js";
import { natsAccess } from "./nats-flags.js";
import type { START_FLAGS } from "./start-flags.js";
import { readTrustFile } from "./trust-file.js";

export type StartFlags = Interfaces.InferredFlags<typeof START_FLAGS>;

/** Every option, also those that are not given. */
type Complete<T> = { readonly [Name in keyof T]: T[Name] | undefined };

/**
 * Options of `startNode` as the flags of `broadcast start` say: the one place that knows both. `logger` and `signal`
 * are the command's own.
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
      tokens: await tokens(flags["token-file"]),
      allowAnonymous: flags["allow-anonymous"],
      postRate: flags["post-rate"],
      keyRate: flags["key-rate"],
      tls: await tls(flags["tls-cert"], flags["tls-key"]),
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
async function tokens(file: string | undefined): Promise<readonly Token[] | undefined> {
  const variable = process.env.HUBCAST_TOKEN?.trim();
  const lines = file ? await readFlagLines(file, "--token-file") : variable ? [variable] : undefined;
  return lines?.map((line) => {
    const [token = "", role = "post", more] = line.split(/\s+/);
    if (more === undefined && (role === "read" || role === "post")) return { token, role };
    throw new HubcastError("usage", "--token-file: a line is neither TOKEN nor TOKEN read|post");
  });
}

/** The file holds a secret: what is wrong with it is said without a word of it. */
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
  return lines.map((line) => line.replace(/\s+#.*$/, ""));
}

interface Token {
  readonly token: string;
  readonly role: "read" | "post";
}

async function tls(certPath: string | undefined, keyPath: string | undefined) {
  if (!certPath || !keyPath) return undefined;
  return { cert: await readFlagFile(certPath, "--tls-cert"), key: await readFlagFile(keyPath, "--tls-key") };
}
