import * as Flags from "@oclif/core/flags";
import { connectToHub, type HubClient, type HubClientOptions } from "../hub/client.js";
import { readFlagFile } from "./flag-file.js";
import { HUB_TOKEN_FLAG, hubToken } from "./hub-token.js";

/** Of every command that dials a hub. */
export const TLS_CA_FLAG = Flags.file({
  description: "Talk TLS, and trust this certificate (PEM): the hub's own, or its authority's.",
  env: "HUBCAST_TLS_CA",
  helpValue: "PATH",
});

const DEFAULT_ADDRESS = "127.0.0.1:9999";

/** Flags of every command that talks to a hub. */
export const HUB_ADDRESS_FLAGS = {
  addr: Flags.string({
    description: "Address of the hub.",
    env: "HUBCAST_HUB",
    default: DEFAULT_ADDRESS,
    helpValue: "HOST[:PORT]",
  }),
  "token-file": HUB_TOKEN_FLAG,
  "tls-ca": TLS_CA_FLAG,
  name: Flags.string({ description: "What other clients see.", helpValue: "NAME" }),
};

export interface HubAddressFlags {
  readonly addr: string;
  readonly "token-file"?: string | undefined;
  readonly "tls-ca"?: string | undefined;
  readonly name?: string | undefined;
}

/** Connects as the flags say. @throws unreachable, notHubcast, unauthorized, tooManyClients, usage */
export async function connectAs(flags: HubAddressFlags, options: HubClientOptions): Promise<HubClient> {
  const token = await hubToken(flags["token-file"]);
  const tls = await hubTls(flags["tls-ca"]);
  return await connectToHub(flags.addr, {
    ...options,
    ...(token !== undefined && { token }),
    ...(tls !== undefined && { tls }),
    ...(flags.name !== undefined && { name: flags.name }),
  });
}

/** @throws usage when the file cannot be read */
export async function hubTls(path: string | undefined): Promise<{ readonly ca: string } | undefined> {
  return path === undefined ? undefined : { ca: await readFlagFile(path, "--tls-ca") };
}
