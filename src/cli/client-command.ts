import type { Command } from "@oclif/core/command";
import type { Broadcast } from "../node/broadcast.js";
import { BaseCommand } from "./base-command.js";
import { type NodeAddress, withNode } from "./node-url.js";
import { onInterrupt } from "./signals.js";

/** A command that asks a node over HTTP, prints, and ends. */
export abstract class ClientCommand<T extends typeof Command> extends BaseCommand<T> {
  /** What can be done, and can fail, before there is a node: reading the input. */
  protected async prepare(): Promise<void> {}

  /** The work itself; `signal` aborts at Ctrl-C, which ends the command with `interrupted`. */
  protected abstract ask(node: Broadcast, signal: AbortSignal): Promise<void>;

  async run(): Promise<void> {
    // Whoever reads our answer has gone: there is nobody left to work for.
    this.output.survivesBrokenPipes(() => process.exit());
    const { signal, interrupted } = onInterrupt();
    await Promise.race([this.work(signal), interrupted]);
  }

  private async work(signal: AbortSignal): Promise<void> {
    await this.prepare();
    const context = { output: this.output, signal };
    await withNode(this.flags as NodeAddress, context, (node) => this.ask(node, signal));
  }
}
