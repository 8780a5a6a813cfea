import { X509Certificate } from "node:crypto";
import type { Command } from "@oclif/core/command";
import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { formatDuration } from "../core/units.js";
import { connectToHub, type HubClient, type HubClientOptions } from "../hub/client/index.js";
import { BaseCommand } from "./base-command.js";
import { isExit } from "./failure.js";
import { readFlagFile, tokenSource } from "./flag-file.js";
import { durationFlag } from "./flags.js";

/** Flag of every command that talks to a hub. */
export const HUB_TOKEN_FLAG = Flags.file({
  description: "File that holds the token of the hub; HUBCAST_TOKEN may hold the token itself.",
  env: "HUBCAST_TOKEN_FILE",
  helpValue: "PATH",
});

/** Flag of every command that dials a hub. */
export const TLS_CA_FLAG = Flags.file({
  description: "Talk TLS, and trust this certificate (PEM): the hub's own, or its authority's.",
  env: "HUBCAST_TLS_CA",
  helpValue: "PATH",
});

const DEFAULT_ADDRESS = "127.0.0.1:9999";

/** Flags of every command that talks to a hub. */
export const HUB_ADDRESS_FLAGS = {
  addr: Flags.string({
    description: `Address of the hub. Without it: ${DEFAULT_ADDRESS}, or the one hub that runs on this machine.`,
    env: "HUBCAST_HUB",
    helpValue: "HOST[:PORT]",
  }),
  "token-file": HUB_TOKEN_FLAG,
  "tls-ca": TLS_CA_FLAG,
  name: Flags.string({ description: "What other clients see.", helpValue: "NAME" }),
  retry: Flags.boolean({ description: "Dial again until a hub answers." }),
  timeout: durationFlag({ description: "Give up after so long." }),
};

export interface HubAddressFlags {
  readonly addr?: string | undefined;
  readonly "token-file"?: string | undefined;
  readonly "tls-ca"?: string | undefined;
  readonly name?: string | undefined;
  readonly retry?: boolean;
  readonly timeout?: number | undefined;
}

/**
 * Connects as the flags say. Without --addr, and when nothing listens at the default address, a single hub found on this
 * machine is used and reported to `using`; it gets no token, since any program may announce itself.
 * @throws unreachable, notHubcast, unauthorized, tooManyClients, ambiguousHub, usage
 */
async function connectAs(
  flags: HubAddressFlags,
  options: HubClientOptions & { readonly signal: AbortSignal },
  using: (what: string) => void,
): Promise<HubClient> {
  const token = await tokenSource(flags["token-file"]);
  const tls = await hubTls(flags["tls-ca"]);
  const asked = {
    ...options,
    ...(tls !== undefined && { tls }),
    ...(flags.name !== undefined && { name: flags.name }),
    retry: flags.retry === true,
  };
  try {
    return await connectToHub(flags.addr ?? DEFAULT_ADDRESS, {
      ...asked,
      ...(token !== undefined && { token }),
    });
  } catch (error) {
    if (flags.addr !== undefined || !(error instanceof HubcastError) || error.code !== "unreachable")
      throw error;
    const { theLocalHub } = await import("./network.js");
    const found = await theLocalHub(options.signal);
    if (!found) throw error;
    using(`nothing listens at ${DEFAULT_ADDRESS}; using ${found.name} at ${found.place}`);
    return await connectToHub(found.place, asked);
  }
}

/** @throws usage when the file cannot be read */
export async function hubTls(path: string | undefined): Promise<{ readonly ca: string } | undefined> {
  if (path === undefined) return undefined;
  const ca = await readFlagFile(path, "--tls-ca");
  try {
    new X509Certificate(ca);
  } catch (error) {
    throw new HubcastError("usage", `--tls-ca: ${path} holds no certificate: ${(error as Error).message}`, {
      cause: error,
      suggestions: ["Name a file in PEM: -----BEGIN CERTIFICATE-----"],
    });
  }
  return { ca };
}

/** A command that connects to a hub, does its work, and ends. */
export abstract class HubCommand<T extends typeof Command> extends BaseCommand<T> {
  /** Steps that need no connection and may fail, such as reading the input; `signal` as for `ask`. */
  protected async prepare(_signal: AbortSignal): Promise<void> {}

  /** Options of the connection. */
  protected clientOptions(): HubClientOptions {
    return { reconnect: false };
  }

  /** The work itself; `signal` aborts at Ctrl-C, which ends the command with `interrupted`, and at the end of --timeout. */
  protected abstract ask(hub: HubClient, signal: AbortSignal): Promise<void>;

  async run(): Promise<void> {
    await this.untilInterrupted((signal) => this.work(signal));
  }

  private async work(signal: AbortSignal): Promise<void> {
    const flags = this.flags as unknown as HubAddressFlags;
    const timeout = flags.timeout === undefined ? undefined : AbortSignal.timeout(flags.timeout);
    let refusal: HubcastError | undefined;
    const onRetry = (error: HubcastError): void => {
      if (error.message !== refusal?.message) this.output.note(`${error.message}; dialling again`);
      refusal = error;
    };
    const ended = timeout === undefined ? signal : AbortSignal.any([signal, timeout]);
    try {
      await this.prepare(ended);
      const options = { ...this.clientOptions(), onRetry, signal: ended };
      const hub = await connectAs(flags, options, (what) => this.output.note(what));
      refusal = undefined;
      try {
        await this.ask(hub, ended);
      } finally {
        await hub.close();
      }
    } catch (error) {
      if (timeout?.aborted !== true || signal.aborted || isExit(error)) throw error;
      if (error instanceof HubcastError && error.code === "deadline" && !refusal) throw error;
      const why = refusal ? `: ${refusal.message}` : "";
      throw new HubcastError("deadline", `not done within ${formatDuration(flags.timeout!)}${why}`, {
        cause: error,
        ...(refusal && { suggestions: refusal.suggestions }),
      });
    }
  }
}
