import type { Command } from "@oclif/core/command";
import type { HubClient, HubClientOptions } from "../hub/client.js";
import { BaseCommand } from "./base-command.js";
import { connectAs, type HubAddressFlags } from "./hub-flags.js";
import { onInterrupt } from "./signals.js";

/** A command that connects to a hub, does its work, and ends. */
export abstract class HubCommand<T extends typeof Command> extends BaseCommand<T> {
  /** What can be done, and can fail, before there is a connection: reading the input. */
  protected async prepare(): Promise<void> {}

  /** Of the connection. */
  protected clientOptions(): HubClientOptions {
    return { reconnect: false };
  }

  /** The work itself; `signal` aborts at Ctrl-C, which ends the command with `interrupted`. */
  protected abstract ask(hub: HubClient, signal: AbortSignal): Promise<void>;

  async run(): Promise<void> {
    this.output.survivesBrokenPipes(() => process.exit());
    const { signal, interrupted } = onInterrupt();
    await Promise.race([this.work(signal), interrupted]);
  }

  private async work(signal: AbortSignal): Promise<void> {
    await this.prepare();
    const hub = await connectAs(this.flags as unknown as HubAddressFlags, {
      ...this.clientOptions(),
      signal,
    });
    try {
      await this.ask(hub, signal);
    } finally {
      await hub.close();
    }
  }
}
