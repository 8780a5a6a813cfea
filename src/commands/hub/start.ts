import type { Interfaces } from "@oclif/core";
import * as Flags from "@oclif/core/flags";
import { BaseCommand } from "../../cli/base-command.js";
import { readTlsFiles, readToken, WatchedFiles } from "../../cli/flag-file.js";
import {
  countFlag,
  defined,
  durationFlag,
  flagList,
  LIVE_FLAG,
  LOG_FLAGS,
  NATS_FLAGS,
  natsAccess,
  portFlag,
  ranged,
  sizeFlag,
  withEnvironment,
} from "../../cli/flags.js";
import { addressesFromElsewhere, flagWords, HubLine, programWords, showLive } from "../../cli/live-status.js";
import { openLogger } from "../../cli/logger.js";
import { notifyReady, Stopping } from "../../cli/signals.js";
import type { Hub, HubOptions } from "../../hub/index.js";
import { HUB_KINDS, ID_REPLICAS, SLOW_CONSUMER } from "../../hub/option-kinds.js";
import { tuneHubHeap } from "../../runtime/heap.js";

const ADDRESSES_SHOWN = 2;
const BOUNDS = { helpGroup: "BOUNDS" };

/** Flags of `hub start`; each also reads HUBCAST_HUB_ and its name. */
export const HUB_START_FLAGS = withEnvironment(
  {
    port: portFlag({
      description: "Port that clients connect to; 0 takes a free one.",
      default: HUB_KINDS.port.default,
    }),
    host: Flags.string({
      description: "Address to listen on. Others than loopback need a token, or --allow-anonymous.",
      default: HUB_KINDS.host.default,
      helpValue: "ADDRESS",
    }),
    name: Flags.string({
      description: "Name of this hub, shown to people.",
      default: HUB_KINDS.name.default,
      helpValue: "NAME",
    }),
    "token-file": Flags.string({
      description:
        "File with the token that clients must show; HUBCAST_TOKEN may hold the token itself. Shuts out clients of version 1.",
      helpValue: "PATH",
    }),
    "allow-anonymous": Flags.boolean({ description: "Let clients in without a token, on any --host." }),
    "tls-cert": Flags.string({
      description: "Certificate chain (PEM): clients must talk TLS.",
      helpValue: "PATH",
      dependsOn: ["tls-key"],
    }),
    "tls-key": Flags.string({
      description: "Private key (PEM) of the certificate.",
      helpValue: "PATH",
      dependsOn: ["tls-cert"],
    }),
    "slow-consumer": Flags.string({
      description:
        "When a receiver does not read: evict goes on without it after 250 ms and closes it at its limit; wait holds up its senders.",
      options: SLOW_CONSUMER,
      default: HUB_KINDS.slowConsumer.default,
      ...BOUNDS,
    }),
    "outbox-max": sizeFlag({
      description: "Bytes queued for one receiver; its senders wait from half of it on.",
      ...ranged(HUB_KINDS.outboxMax),
      ...BOUNDS,
    }),
    "stall-timeout": durationFlag({
      description: "With wait: how long senders wait for a receiver that takes nothing.",
      ...ranged(HUB_KINDS.stallTimeoutMs),
      ...BOUNDS,
    }),
    "memory-max": sizeFlag({
      description: "Memory of all messages and queues; at it no new message is begun.",
      ...ranged(HUB_KINDS.memoryMax),
      ...BOUNDS,
    }),
    "clients-max": countFlag({
      description: "Clients at the same time.",
      ...ranged(HUB_KINDS.clientsMax),
      ...BOUNDS,
    }),
    "monitor-port": portFlag({
      description:
        "Serve /healthz, /metrics, /v1/status and /v1/clients over HTTP on 127.0.0.1; off without it.",
    }),
    "no-mdns": Flags.boolean({ description: "Do not announce this hub by multicast DNS." }),
    "mdns-interface": Flags.string({
      description: "Announce this hub only on this interface, by name or address.",
      helpValue: "INTERFACE",
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ["no-mdns"],
    }),
    engine: Flags.string({
      description:
        "nats://HOST:4222[,HOST...]: clients of all hubs on these NATS servers reach each other. local: a hub alone.",
      default: HUB_KINDS.engine.default,
      helpValue: "local|nats://HOST:4222",
    }),
    ...NATS_FLAGS,
    "nats-replicas": countFlag({
      description: "NATS servers that keep the ids of clients, which only the first hub decides.",
      ...ranged(ID_REPLICAS),
      helpGroup: "NATS",
    }),
    stat: Flags.boolean({
      description:
        "The figures of --live as a line a second on stderr, on a terminal too; with both, --live is what counts.",
    }),
    live: LIVE_FLAG,
    ...LOG_FLAGS,
  },
  "HUBCAST_HUB_",
);

export default class Start extends BaseCommand<typeof Start> {
  static override summary = "Start a hub: it relays messages between the clients that connect to it.";
  static override description =
    "Runs until Ctrl-C (or SIGTERM, SIGHUP): it takes no new clients, writes what is queued, closes them, and exits with 0. A second Ctrl-C ends it at once. With --token-file or --tls-cert, a SIGHUP that does not come from a closed terminal reads their files again, as a change of them does. Every flag but the global ones also reads HUBCAST_HUB_ and its name: --outbox-max reads HUBCAST_HUB_OUTBOX_MAX.";
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

/** Maps flags to options of `startHub`. */
export async function hubOptions(
  flags: Interfaces.InferredFlags<typeof HUB_START_FLAGS>,
): Promise<HubOptions> {
  const interfaces = flagList(flags["mdns-interface"]);
  return defined({
    port: flags.port,
    host: flags.host,
    name: flags.name,
    token: await readToken(flags["token-file"]),
    allowAnonymous: flags["allow-anonymous"],
    tls: await readTlsFiles(flags),
    slowConsumer: flags["slow-consumer"] as "evict" | "wait",
    outboxMax: flags["outbox-max"],
    stallTimeoutMs: flags["stall-timeout"],
    memoryMax: flags["memory-max"],
    clientsMax: flags["clients-max"],
    monitorPort: flags["monitor-port"],
    engine: flags.engine,
    nats:
      flags.engine === "local"
        ? undefined
        : { ...(await natsAccess(flags)), replicas: flags["nats-replicas"] },
    mdns: interfaces ? { interfaces } : !flags["no-mdns"],
  });
}
