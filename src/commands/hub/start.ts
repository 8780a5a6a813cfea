import { BaseCommand } from "../../cli/base-command.js";
import { readTlsFiles, readToken } from "../../cli/flag-file.js";
import { HUB_START_FLAGS, hubOptions } from "../../cli/hub-start-flags.js";
import { addressesFromElsewhere, flagWords, HubLine, programWords, showLive } from "../../cli/live-status.js";
import { openLogger } from "../../cli/logger.js";
import { notifyReady, Stopping } from "../../cli/signals.js";
import { WatchedFiles } from "../../cli/watched-files.js";
import type { Hub } from "../../hub/index.js";
import { tuneHubHeap } from "../../runtime/heap.js";

const ADDRESSES_SHOWN = 2;

export default class Start extends BaseCommand<typeof Start> {
  static override summary = "Start a hub: it relays messages between the clients that connect to it.";
  static override description =
    "Runs until Ctrl-C (or SIGTERM, SIGHUP): it takes no new clients, writes what is queued, closes them, and exits with 0. A second Ctrl-C ends it at once. With --token-file or --tls-cert, a SIGHUP that does not come from a closed terminal reads their files again, as a change of them does. Every flag also reads HUBCAST_HUB_ and its name: --outbox-max reads HUBCAST_HUB_OUTBOX_MAX.";
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

  protected override readonly takesOneDash = true;

  async run(): Promise<void> {
    const { "token-file": tokenFile, "tls-cert": cert, "tls-key": key } = this.flags;
    const files = new WatchedFiles(this.output, [tokenFile, cert, key]);
    const stopping = Stopping.ofServer(this.output, [tokenFile, cert], files);
    const options = await hubOptions(this.flags);
    const level = this.flags.verbose ? "debug" : this.flags["log-level"];
    const logger = await openLogger(level, this.flags["log-format"]);
    if (this.flags["log-format"] === "json") this.output.logTo(logger);
    const { startHub } = await import("../../hub/index.js");
    const hub = await stopping.unlessTold(startHub({ ...options, logger, signal: stopping.signal }));
    if (hub) tuneHubHeap(() => hub.stats().memoryBytes);
    if (hub) {
      this.watchFiles(hub, files);
      await this.serve(hub, stopping.told);
      files.stop();
    }
    this.output.note("stopped");
  }

  private watchFiles(hub: Hub, files: WatchedFiles): void {
    const { "token-file": tokenFile, "tls-cert": cert, "tls-key": key } = this.flags;
    const takeToken = async () => hub.renew({ token: (await readToken(tokenFile))! });
    const takePair = async () => hub.renew({ tls: (await readTlsFiles(this.flags))! });
    files.add([tokenFile], takeToken, {
      taken: `a new token, from ${tokenFile}, is in force`,
      kept: "the token read before stays in force",
    });
    files.add([cert, key], takePair, {
      taken: `a new certificate, from ${cert}, is in force`,
      kept: "the certificate read before stays in force",
    });
  }

  private async serve(hub: Hub, stopped: Promise<void>): Promise<void> {
    const { address, monitorUrl } = hub;
    this.output.document({
      type: "ready",
      address,
      ...(monitorUrl && { monitorUrl }),
      name: this.flags.name,
    });
    await notifyReady(this.output);
    const elsewhere = addressesFromElsewhere(this.flags.host).map((host) => `${host}:${hub.port}`);
    // An address that is bound to all of them is none to dial.
    const here =
      elsewhere.length > 0 || /^(0\.0\.0\.0|\[::\]):/.test(address) ? `127.0.0.1:${hub.port}` : address;
    const places = [here, ...elsewhere.slice(0, ADDRESSES_SHOWN)];
    this.output.text(`hub ${this.flags.name} is up at ${places.join(", ")}`);
    const others = hub.stats().router;
    if (others) this.output.text(`  engine      ${others.engine}, with ${others.hubs.length} other hubs`);
    if (monitorUrl) this.output.text(`  monitoring  ${monitorUrl}/v1/clients`);
    const { "token-file": tokenFile, "tls-cert": cert } = this.flags;
    const at = flagWords({
      addr: here === "127.0.0.1:9999" ? undefined : here,
      "token-file": tokenFile,
      "tls-ca": cert,
    });
    const needs = tokenFile === undefined && process.env.HUBCAST_TOKEN ? ", with HUBCAST_TOKEN as here" : "";
    this.output.text(`from another terminal${needs}:`);
    this.output.text(`  ${programWords()} hub listen${at}`);
    this.output.text(`  ${programWords()} hub send${at} "hello" --all`);
    const stopReports = this.report(new HubLine(hub));
    await stopped;
    await hub.close();
    stopReports();
  }

  /** @returns stops it */
  private report(hub: HubLine): () => void {
    const { live, stat } = this.flags;
    return live || stat ? showLive(() => hub.line(), this.output, !live) : () => {};
  }
}
