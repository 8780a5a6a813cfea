import type { Interfaces } from "@oclif/core";
import { HubcastError } from "../core/errors.js";
import type { NodeOptions } from "../node/index.js";
import { defined } from "./defined.js";
import { readFlagFile, readFlagLines } from "./flag-file.js";
import { flagList } from "./flag-list.js";
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
    http: defined({
      host: flags.host,
      port: flags.port,
      tokens: await tokens(flags["token-file"]),
      allowAnonymous: flags["allow-anonymous"],
      tls: await tls(flags["tls-cert"], flags["tls-key"]),
    }),
    p2p: defined({ hosts: flagList(flags["p2p-host"]), port: flags["p2p-port"] }),
    peers: flagList(flags.peer),
    mdns: mdns(flags["no-mdns"], flagList(flags["mdns-interface"])),
    syncIntervalMs: flags["sync-interval"],
    require: list(flags.require) as NodeOptions["require"],
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

interface Token {
  readonly token: string;
  readonly role: "read" | "post";
}

async function tls(certPath: string | undefined, keyPath: string | undefined) {
  if (!certPath || !keyPath) return undefined;
  return { cert: await readFlagFile(certPath, "--tls-cert"), key: await readFlagFile(keyPath, "--tls-key") };
}
