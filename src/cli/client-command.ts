import type { Command } from "@oclif/core/command";
import * as Flags from "@oclif/core/flags";
import { type ErrorCode, HubcastError } from "../core/errors.js";
import type { TokenSource } from "../core/options.js";
import { type HttpNode, openNode } from "../node/client.js";
import { BaseCommand } from "./base-command.js";
import { tokenSource } from "./flag-file.js";
import type { Output } from "./output.js";
import { onInterrupt } from "./signals.js";

/** A command that asks a node over HTTP, prints, and ends. */
export abstract class ClientCommand<T extends typeof Command> extends BaseCommand<T> {
  /** Steps that need no node and may fail, such as reading the input. */
  protected async prepare(): Promise<void> {}

  /** The work itself; `signal` aborts at Ctrl-C, which ends the command with `interrupted`. */
  protected abstract ask(node: HttpNode, signal: AbortSignal): Promise<void>;

  /** How it is stopped: `interrupted` ends it at once, with its reason. */
  protected interruption(): { readonly signal: AbortSignal; readonly interrupted: Promise<never> } {
    return onInterrupt();
  }

  async run(): Promise<void> {
    await this.untilInterrupted((signal) => this.work(signal), this.interruption());
  }

  private async work(signal: AbortSignal): Promise<void> {
    await this.prepare();
    const context = { output: this.output, signal };
    await withNode(this.flags as NodeAddress, context, (node) => this.ask(node, signal));
  }
}

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
  readonly url?: string | readonly string[] | undefined;
  readonly "token-file"?: string | undefined;
}

/**
 * Does some work on the node that the flags name.
 * @throws unreachable, notHubcast, unauthorized, ambiguousNode, and what the work throws
 */
async function withNode<T>(
  address: NodeAddress,
  context: { readonly output: Output; readonly signal: AbortSignal },
  work: (node: HttpNode) => Promise<T>,
): Promise<T> {
  const token = await tokenSource(address["token-file"]);
  const options = token === undefined ? {} : { token };
  const node =
    address.url === undefined ? await unnamedNode(options, context) : await openNode(address.url, options);
  try {
    return await work(node);
  } catch (error) {
    // A hub closes the connection at a request, as a node does that dies: a second question tells them apart.
    if (isCode(error, "connectionLost") || isCode(error, "notHubcast")) {
      await node.identify(context.signal).catch((found) => {
        if (isCode(found, "notHubcast")) throw found;
      });
    }
    throw error;
  } finally {
    await node.close();
  }
}

/**
 * The node at the default address. When nothing listens there, a single node found on this machine is used and named on
 * stderr; it gets no token, since any program may announce itself. The node is chosen before the work: work that has
 * begun may have read its input, or changed the node, and cannot begin again on another.
 */
async function unnamedNode(
  options: { readonly token?: TokenSource },
  { output, signal }: { readonly output: Output; readonly signal: AbortSignal },
): Promise<HttpNode> {
  const node = await openNode(DEFAULT_URL, options);
  try {
    await node.identify(signal);
    return node;
  } catch (error) {
    await node.close();
    if (!isCode(error, "unreachable")) throw error;
    const { theLocalNode } = await import("./network.js");
    const found = await theLocalNode(signal);
    if (!found) throw nothingRuns(error as HubcastError);
    const url = `http://${found.place}`;
    output.note(`nothing listens at ${DEFAULT_URL}; using ${found.name} at ${url}`);
    return await openNode(url);
  }
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof HubcastError && error.code === code;
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
