import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../cli/base-command.js";
import { DEFAULT_URL, NODE_URL_FLAGS } from "../cli/client-command.js";
import { tokenSource } from "../cli/flag-file.js";
import { flagList, MDNS_INTERFACE_FLAG } from "../cli/flags.js";
import { watchNetwork } from "../cli/network.js";
import { errorDocument, paints } from "../cli/output.js";
import { HubcastError } from "../core/errors.js";
import type { Collector } from "../tui/index.js";

const LINES_EVERY_MS = 1_000;
/** Services answer multicast DNS within this time. */
const DISCOVERY_MS = 500;
/** A figure a second needs two looks. */
const BETWEEN_LOOKS_MS = 500;
/** How long one snapshot waits for the list of items: a busy node reads a full store for a second or two. */
const LIST_MS_MAX = 5_000;

export default class Top extends BaseCommand<typeof Top> {
  static override summary = "Watch nodes, items and hubs, live.";
  static override description =
    "Asks the nodes of this machine, which answer for their peers, and the hubs that multicast DNS shows; ? in it shows the keys. Off a terminal, or with --plain, a line a second for each node and hub; with --json a snapshot a second.";
  static override examples = [
    { description: "Everything that runs on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Nodes elsewhere:",
      command:
        "<%= config.bin %> <%= command.id %> --url http://192.168.0.7:8080 --url http://192.168.0.8:8080",
    },
    {
      description: "One snapshot, for a program:",
      command: "<%= config.bin %> <%= command.id %> --once --json | jq '.nodes[].state'",
    },
  ];
  static override flags = {
    ...NODE_URL_FLAGS,
    url: Flags.string({
      description: "Address of a node's HTTP API; may be given again. Without it: the nodes of this machine.",
      env: "HUBCAST_URL",
      helpValue: "URL",
      multiple: true,
      multipleNonGreedy: true,
    }),
    hub: Flags.string({
      description: "Address of a hub's monitoring, besides those that are found; may be given again.",
      helpValue: "URL",
      multiple: true,
      multipleNonGreedy: true,
      parse: async (text) => monitorUrl(text),
    }),
    "mdns-interface": MDNS_INTERFACE_FLAG,
    plain: Flags.boolean({ description: "Lines instead of the dashboard, on a terminal too." }),
    once: Flags.boolean({ description: "One snapshot, then end." }),
  };

  async run(): Promise<void> {
    await this.untilInterrupted((signal) => this.watch(signal));
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const tui = await import("../tui/index.js");
    const collector = new tui.Collector();
    const stopWatching = await this.fill(collector, signal);
    try {
      if (this.flags.once) await this.once(collector, tui.plainLines);
      else if (this.isDashboard) {
        const how = await tui.showDashboard({ collector, colour: paints(process.stdout) });
        if (how === "interrupt") throw new HubcastError("interrupted", "stopped by Ctrl-C");
      } else await this.lines(collector, tui.plainLines, signal);
    } finally {
      await stopWatching();
      await collector.close();
    }
  }

  private get isDashboard(): boolean {
    const isTerminal = process.stdout.isTTY && process.stdin.isTTY && process.env.TERM !== "dumb";
    const isCi = !["", "0", "false"].includes(process.env.CI ?? "");
    return isTerminal && !isCi && !this.flags.plain && !this.output.json;
  }

  private async fill(collector: Collector, signal: AbortSignal): Promise<() => Promise<void>> {
    const token = await tokenSource(this.flags["token-file"]);
    const urls = flagList(this.flags.url);
    for (const url of urls ?? [DEFAULT_URL]) {
      collector.addNode({ url, isNamed: urls !== undefined, ...(token !== undefined && { token }) });
    }
    for (const url of this.flags.hub ?? []) {
      const { host } = new URL(url);
      collector.addHub({ key: url, name: host, address: host, monitorUrl: url });
    }
    try {
      const interfaces = flagList(this.flags["mdns-interface"]);
      return await watchNetwork(collector, { interfaces, findsNodes: urls === undefined, signal });
    } catch (error) {
      // A wish for an interface that does not exist is an error; no multicast here is only less to see.
      if (error instanceof HubcastError && error.code === "invalidOption") throw error;
      this.output.warning(`nothing is found by multicast DNS: ${(error as Error).message}`);
      return async () => {};
    }
  }

  private async once(collector: Collector, plainLines: PlainLines): Promise<void> {
    await Promise.all([collector.ask(), passed(DISCOVERY_MS)]);
    await collector.ask();
    const listDeadlineMs = performance.now() + LIST_MS_MAX;
    let isListing: boolean | undefined;
    do {
      // From the first snapshot on the items are followed; text shows none.
      collector.snapshot(this.output.json);
      await passed(BETWEEN_LOOKS_MS);
      await collector.ask();
      isListing = this.output.json && collector.snapshot(true).isListing;
    } while (isListing && performance.now() < listDeadlineMs);
    const { hubs } = collector.snapshot(false);
    const isSeen = collector.hasNode || (this.flags.url === undefined && hubs.length > 0);
    const failure = isSeen
      ? undefined
      : new HubcastError("unreachable", collector.faults.join("; ") || "no node answers", {
          suggestions: ["Start one: hubcast broadcast start", "Or name one: --url http://HOST:PORT."],
        });
    this.print(collector, plainLines, failure);
    if (failure) this.failAfterDocument(failure);
  }

  private async lines(collector: Collector, plainLines: PlainLines, signal: AbortSignal): Promise<void> {
    await Promise.all([collector.ask(), passed(DISCOVERY_MS)]);
    while (!signal.aborted) {
      await Promise.all([collector.ask(), passed(LINES_EVERY_MS)]);
      this.print(collector, plainLines);
      await this.output.drained();
    }
  }

  private print(collector: Collector, plainLines: PlainLines, failure?: HubcastError): void {
    const snapshot = collector.snapshot(this.output.json);
    this.output.document({
      ...{ type: "snapshot", ...snapshot },
      ...(failure && { error: errorDocument(failure) }),
    });
    for (const line of plainLines(snapshot)) this.output.text(line);
  }
}

/** @throws usage */
function monitorUrl(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol === "http:") return url.href.replace(/\/+$/, "");
  throw new HubcastError("usage", `"${text}" is not the URL of a hub's monitoring`, {
    suggestions: ["Write it as http://HOST:PORT; hub start --monitor-port PORT serves it."],
  });
}

type PlainLines = typeof import("../tui/index.js")["plainLines"];

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
