import { BaseCommand } from "../../cli/base-command.js";
import { HubLine } from "../../cli/hub-reports.js";
import { HUB_START_FLAGS, hubOptions } from "../../cli/hub-start-flags.js";
import { showLive } from "../../cli/live-status.js";
import { openLogger } from "../../cli/logger.js";
import { onSignals } from "../../cli/signals.js";

export default class Start extends BaseCommand<typeof Start> {
  static override summary = "Start a hub: it relays messages between the clients that connect to it.";
  static override description =
    "Runs until Ctrl-C (or SIGTERM, SIGHUP): it takes no new clients, writes what is queued, closes them, and exits with 0. A second Ctrl-C ends it at once. Every flag also reads HUBCAST_ and its name: --outbox-max reads HUBCAST_OUTBOX_MAX.";
  static override examples = [
    { description: "A hub on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "One that other machines may use, with a token:",
      command: "<%= config.bin %> <%= command.id %> --host 0.0.0.0 --token-file token",
    },
    {
      description: "One that loses nothing when a receiver is slow:",
      command: "<%= config.bin %> <%= command.id %> --slow-consumer wait",
    },
    {
      description: "See who is connected, and who was slow:",
      command: "<%= config.bin %> <%= command.id %> --monitor-port 9998",
    },
    {
      description: "One of several whose clients reach each other, over NATS:",
      command: "<%= config.bin %> <%= command.id %> --engine nats://127.0.0.1:4222 --port 9998",
    },
  ];
  static override flags = HUB_START_FLAGS;

  async run(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      onSignals(["SIGINT", "SIGTERM", "SIGHUP"], (signal) => {
        this.output.note(`${signal}: stopping; Ctrl-C again ends at once`);
        resolve();
      });
    });
    const options = await hubOptions(this.flags);
    const level = this.flags.verbose ? "debug" : this.flags["log-level"];
    const logger = await openLogger(level, this.flags["log-format"]);
    const { keepHeapCalm, startHub } = await import("../../hub/index.js");
    keepHeapCalm();
    const hub = await startHub({ ...options, logger });
    const { address, monitorUrl } = hub;
    this.output.document({
      type: "ready",
      address,
      ...(monitorUrl && { monitorUrl }),
      name: this.flags.name,
    });
    this.output.text(`hub ${this.flags.name} is up at ${address}`);
    const others = hub.stats().router;
    if (others) this.output.text(`  engine      ${others.engine}, with ${others.hubs.length} other hubs`);
    if (monitorUrl) this.output.text(`  monitoring  ${monitorUrl}/v1/clients`);
    this.output.text("from another terminal:");
    const at = address === "127.0.0.1:9999" ? "" : ` --addr ${address}`;
    this.output.text(`  hubcast hub listen${at}`);
    this.output.text(`  hubcast hub send${at} "hello" --all`);
    const stopReports = this.report(new HubLine(hub));
    await stopped;
    await hub.close();
    stopReports();
    this.output.note("stopped");
  }

  /** @returns stops it */
  private report(hub: HubLine): () => void {
    const { live, stat } = this.flags;
    return live || stat ? showLive(() => hub.line(), this.output, !live) : () => {};
  }
}
