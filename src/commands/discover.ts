import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../cli/base-command.js";
import { roundTripMs } from "../cli/find-facts.js";
import { durationFlag, flagList, MDNS_INTERFACE_FLAG } from "../cli/flags.js";
import { lookAround, type Seen, seenHead, seenLine } from "../cli/network.js";
import { painted } from "../cli/output.js";

/** One server is heard on several interfaces, a moment apart; a line says where it can be reached best. */
const SETTLE_MS = 150;
const CONNECT_TIMEOUT_MS = 1_000;

export default class Discover extends BaseCommand<typeof Discover> {
  static override summary = "Show the nodes and hubs on this network, as they appear.";
  static override description =
    "Listens to multicast DNS for --timeout, and prints a line for each: kind, name, address, cluster, version, and how long a TCP connection to it takes. With --json one object a line: node, hub, and with --watch gone.";
  static override examples = [
    { description: "Who is there:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Who comes and goes, until Ctrl-C:",
      command: "<%= config.bin %> <%= command.id %> --watch",
    },
    {
      description: "URLs of all nodes whose API can be reached from here:",
      command: "<%= config.bin %> <%= command.id %> --json | jq -r 'select(.type==\"node\").url // empty'",
    },
  ];
  static override flags = {
    timeout: durationFlag({
      description: "How long to listen.",
      default: 1_500,
      defaultHelp: async () => "1.5s",
      exclusive: ["watch"],
    }),
    watch: Flags.boolean({ description: "Go on until Ctrl-C, and say also who is gone." }),
    "mdns-interface": MDNS_INTERFACE_FLAG,
  };

  private readonly seen = new Map<string, Seen>();
  private readonly measured: Promise<void>[] = [];
  private shown = 0;

  async run(): Promise<void> {
    await this.untilInterrupted((signal) => this.look(signal));
  }

  private async look(signal: AbortSignal): Promise<void> {
    const interfaces = flagList(this.flags["mdns-interface"]);
    const dnsSd = await lookAround({
      ...(interfaces && { interfaces }),
      signal,
      up: (key, seen) => {
        const known = this.seen.has(key);
        this.seen.set(key, seen);
        if (!known) this.measured.push(this.appeared(key));
      },
      down: (key, seen) => {
        this.seen.delete(key);
        if (this.flags.watch) this.gone(seen);
      },
      warning: (warning) => this.output.warning(warning.message),
    });
    try {
      await (this.flags.watch ? new Promise(() => {}) : this.listened());
    } finally {
      await dnsSd.close();
    }
  }

  private async listened(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.flags.timeout));
    await Promise.all(this.measured);
    if (this.shown === 0)
      this.output.note("no node and no hub was heard; hubcast doctor looks for the reason");
  }

  private async appeared(key: string): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const seen = this.seen.get(key);
    if (!seen) return;
    const api = seen.type === "node" && seen.url ? [new URL(seen.url).host] : [];
    // A node's API rather than its port for peers: that one would take us for a peer and wait for a handshake.
    const tripMs = await roundTripMs(api.length > 0 ? api : seen.addresses, CONNECT_TIMEOUT_MS);
    this.output.document({ ...seen, ...(tripMs !== undefined && { roundTripMs: rounded(tripMs) }) });
    if (this.shown++ === 0) this.output.text([painted("dim", seenHead())]);
    this.output.text(seenLine(seen, tripMs));
  }

  private gone(seen: Seen): void {
    this.output.document({ type: "gone", kind: seen.type, name: seen.name, id: seen.id });
    this.output.text([painted("dim", `${seen.type} ${seen.name} is gone`)]);
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
