import { BaseCommand } from "../../cli/base-command.js";
import { keepHeapLean } from "../../cli/lean-heap.js";
import { showLive } from "../../cli/live-status.js";
import { openLogger } from "../../cli/logger.js";
import { nodeOptions } from "../../cli/node-options.js";
import { reportPeers } from "../../cli/peer-reports.js";
import { onHangUp, onSignals } from "../../cli/signals.js";
import { START_FLAGS } from "../../cli/start-flags.js";
import { type TrustWatch, watchTrustFile } from "../../cli/trust-file.js";
import type { StartedNode } from "../../node/index.js";

const ADDRESSES_SHOWN = 2;

/** What the first lines say of a node. */
interface Started {
  readonly id: string;
  readonly name: string;
  readonly url?: string | undefined;
  readonly peerAddresses: readonly string[];
}

export default class Start extends BaseCommand<typeof Start> {
  static override summary = "Start a node: it finds the others and keeps the shared set of items.";
  static override description =
    "Runs until Ctrl-C (or SIGTERM, SIGHUP): it says goodbye to its peers, finishes its requests, and exits with 0. A second Ctrl-C ends it at once. With --trust, a SIGHUP that does not come from a closed terminal reads the trust file again. Every flag also reads HUBCAST_ and its name: --p2p-port reads HUBCAST_P2P_PORT.";
  static override examples = [
    { description: "A node on this machine:", command: "<%= config.bin %> <%= command.id %>" },
    { description: "A second one beside it:", command: "<%= config.bin %> <%= command.id %> --port 8081" },
    {
      description: "One that other machines may call, with a token:",
      command: "<%= config.bin %> <%= command.id %> --host 0.0.0.0 --token-file token",
    },
    {
      description: "One that only nodes with the same key can join:",
      command: "<%= config.bin %> <%= command.id %> --cluster-key-file cluster.key",
    },
    {
      description: "One that accepts only what trusted authors signed:",
      command: "<%= config.bin %> <%= command.id %> --trust trusted.txt",
    },
    {
      description: "Figures below what it says:",
      command: "<%= config.bin %> <%= command.id %> --live",
    },
    {
      description: "Where multicast does not reach:",
      command: "<%= config.bin %> <%= command.id %> --p2p-port 4001 --peer 192.168.7.2:4001",
    },
    {
      description: "Past one network, with nats-server -js on a machine that all reach:",
      command: "<%= config.bin %> <%= command.id %> --engine nats://10.0.0.7:4222 --data-dir items",
    },
  ];
  static override flags = START_FLAGS;

  override async init(): Promise<void> {
    // The seed's users write -httpport, with one dash.
    this.argv = this.argv.map((word) => (/^-httpport(=|$)/.test(word) ? `-${word}` : word));
    await super.init();
  }

  async run(): Promise<void> {
    const stopping = new AbortController();
    let trust: TrustWatch | undefined;
    const stopped = new Promise<void>((resolve) => {
      const stop = (signal: NodeJS.Signals) => {
        this.output.note(`${signal}: stopping; Ctrl-C again ends at once`);
        stopping.abort();
        resolve();
      };
      onSignals(["SIGINT", "SIGTERM", ...(this.flags.trust ? [] : (["SIGHUP"] as const))], stop);
      if (this.flags.trust)
        onHangUp(
          () => stop("SIGHUP"),
          () => trust?.look(),
        );
    });
    const options = await nodeOptions(this.flags);
    const level = this.flags.verbose ? "debug" : this.flags["log-level"];
    const logger = await openLogger(level, this.flags["log-format"]);
    const { startNode } = await import("../../node/index.js");
    const node = await startNode({ ...options, logger, signal: stopping.signal }).catch((error) => {
      // Stopped while it was starting: it has given everything back.
      if (stopping.signal.aborted) return undefined;
      throw error;
    });
    if (node) {
      keepHeapLean();
      this.announce(node);
      const stopReports = reportPeers(node, this.output);
      trust = this.watchTrust(node);
      const stopLive = this.flags.live ? await this.showLive(node) : () => {};
      await stopped;
      stopLive();
      stopReports();
      trust?.stop();
      await node.close();
    }
    this.output.note("stopped");
  }

  /** @returns stops it */
  private async showLive(node: StartedNode): Promise<() => void> {
    const { LiveNode } = await import("../../tui/index.js");
    const live = new LiveNode();
    return showLive(async () => live.line(await node.status(), await node.peers()), this.output);
  }

  private watchTrust(node: StartedNode): TrustWatch | undefined {
    const path = this.flags.trust;
    if (path === undefined) return undefined;
    return watchTrustFile(
      path,
      (keys) => {
        node.trust(keys);
        this.output.detail(`${keys.length} keys are trusted, from ${path}`);
      },
      ({ message }) => this.output.warning(`${message}; the keys trusted before stay trusted`),
    );
  }

  private announce({ id, name, url, peerAddresses }: Started): void {
    this.output.document({ type: "ready", url, peerAddresses, name, id });
    if (this.flags.name !== undefined && name !== this.flags.name) {
      this.output.warning(
        `the name ${this.flags.name} is taken on this network; this node is called ${name}`,
      );
    }
    const more = peerAddresses.length - ADDRESSES_SHOWN;
    const at = url === "http://127.0.0.1:8080" ? "" : ` --url ${url}`;
    this.output.text(`node ${name} is up, in cluster ${this.flags.cluster}`);
    this.output.text(`  http api      ${url}`);
    if (peerAddresses.length === 0) this.output.text(`  meets others  ${this.flags.engine}`);
    else
      this.output.text(
        `  peer address  ${peerAddresses.slice(0, ADDRESSES_SHOWN).join("\n                ")}`,
      );
    if (more > 0) this.output.text(`                and ${more} more: hubcast broadcast status${at}`);
    this.output.text("from another terminal:");
    this.output.text(`  hubcast broadcast post${at} "hello"`);
    this.output.text(`  hubcast broadcast watch${at}`);
    this.output.text(`${this.whoCanJoin(peerAddresses)}; Ctrl-C stops`);
  }

  private whoCanJoin(peerAddresses: readonly string[]): string {
    const { "cluster-key-file": key, "allow-peers": allowed, trust } = this.flags;
    const who = [...(key ? ["with the cluster key"] : []), ...(allowed ? [`listed in ${allowed}`] : [])];
    if (peerAddresses.length === 0) return "whoever NATS lets in can join";
    if (who.length > 0) return `only nodes ${who.join(" and ")} can join`;
    return trust
      ? "no cluster key: anyone on this network can join and read; what trusted keys signed is accepted"
      : "no cluster key: anyone on this network can join and post";
  }
}
