import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import type { Broadcast } from "../node/broadcast.js";
import { connectToNode } from "../node/client.js";
import { readFlagFile } from "./flag-file.js";
import type { Output } from "./output.js";

export const DEFAULT_URL = "http://127.0.0.1:8080";

/** Flags of every command that talks to a node. */
export const NODE_URL_FLAGS = {
  url: Flags.string({
    description: `Address of the node's HTTP API. Without it: ${DEFAULT_URL}, or the one node that runs on this machine.`,
    env: "HUBCAST_URL",
    helpValue: "URL",
  }),
  "token-file": Flags.file({
    description: "File that holds the token of the node; HUBCAST_TOKEN may hold the token itself.",
    env: "HUBCAST_TOKEN_FILE",
    helpValue: "PATH",
  }),
};

export interface NodeAddress {
  readonly url?: string | undefined;
  readonly "token-file"?: string | undefined;
}

/**
 * Does some work on the node that the flags name. Without a name, and when nothing listens at the default address,
 * a single node found on this machine is used and named on stderr; it gets no token, whoever it is.
 * @throws unreachable, notHubcast, unauthorized, ambiguousNode, and what the work throws
 */
export async function withNode<T>(
  address: NodeAddress,
  { output, signal }: { readonly output: Output; readonly signal: AbortSignal },
  work: (node: Broadcast) => Promise<T>,
): Promise<T> {
  const token = await readToken(address["token-file"]);
  try {
    return await use(address.url ?? DEFAULT_URL, token, signal, work);
  } catch (error) {
    if (address.url !== undefined || !(error instanceof HubcastError) || error.code !== "unreachable")
      throw error;
    const { theLocalNode } = await import("./local-node.js");
    const found = await theLocalNode(signal);
    if (!found) throw nothingRuns(error);
    output.note(`nothing listens at ${DEFAULT_URL}; using ${found.name} at ${found.url}`);
    return await use(found.url, undefined, signal, work);
  }
}

async function use<T>(
  url: string,
  token: string | undefined,
  signal: AbortSignal,
  work: (node: Broadcast) => Promise<T>,
): Promise<T> {
  const node = await connectToNode(url, token === undefined ? { signal } : { token, signal });
  try {
    return await work(node);
  } finally {
    await node.close();
  }
}

/** The token for a node: from the file, else from HUBCAST_TOKEN. No secret is ever the value of a flag. */
export async function readToken(file: string | undefined): Promise<string | undefined> {
  if (file !== undefined) return (await readFlagFile(file, "--token-file")).split(/\s/)[0];
  return process.env.HUBCAST_TOKEN?.trim() || undefined;
}

function nothingRuns(cause: HubcastError): HubcastError {
  return new HubcastError(
    "unreachable",
    `nothing listens at ${DEFAULT_URL}, and no node was found on this machine`,
    {
      suggestions: [
        "Start one: hubcast broadcast start",
        "Or name one: --url http://HOST:PORT, or HUBCAST_URL.",
      ],
      cause,
    },
  );
}
