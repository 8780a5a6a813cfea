import { BaseCommand } from "../../cli/base-command.js";
import { readTlsFiles, WatchedFiles } from "../../cli/flag-file.js";
import {
  addressesFromElsewhere,
  flagWords,
  programWords,
  reportPeers,
  shellWord,
  showLive,
} from "../../cli/live-status.js";
import { openLogger } from "../../cli/logger.js";
import { notifyReady, Stopping } from "../../cli/signals.js";
import { nodeOptions, readTokens, readTrustFile, START_FLAGS } from "../../cli/start-flags.js";
import type { Peer } from "../../node/broadcast.js";
import type { StartedNode } from "../../node/index.js";
import { tuneNodeHeap } from "../../runtime/heap.js";

const ADDRESSES_SHOWN = 2;

/** Where other machines call an API that is bound to all addresses. */
function urlsFromElsewhere(host: string, url: string | undefined): readonly string[] {
  if (url === undefined) return [];
  const { protocol, port } = new URL(url);
  return addressesFromElsewhere(host).map((address) => `${protocol}//${address}:${port}`);
}

/** The facts in the first lines about a node. */
interface Started {
  readonly id: string;
  readonly name: string;
  readonly url?: string | undefined;
  readonly peerAddresses: readonly string[];
}

export default class Start extends BaseCommand<typeof Start> {
  static override summary = "Start a node: it finds the others and keeps the shared set of items.";
  static override description =
    "Runs until Ctrl-C (or SIGTERM, SIGHUP): it says goodbye to its peers, finishes its requests, and exits with 0. A second Ctrl-C ends it at once. With --trust, --token-file or --tls-cert, a SIGHUP that does not come from a closed terminal reads their files again, as a change of them does. Every flag but the global ones also reads HUBCAST_ and its name: --p2p-port reads HUBCAST_P2P_PORT.";
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

  protected override readonly takesOneDash = true;

  async run(): Promise<void> {
    const { trust, "token-file": tokens, "tls-cert": cert, "tls-key": key } = this.flags;
    const files = new WatchedFiles(this.output, [trust, tokens, cert, key]);
    const stopping = Stopping.ofServer(this.output, [trust, tokens, cert], files);
    const options = await nodeOptions(this.flags);
    const level = this.flags.verbose ? "debug" : this.flags["log-level"];
    const logger = await openLogger(level, this.flags["log-format"]);
    if (this.flags["log-format"] === "json") this.output.logTo(logger);
    const { startNode } = await import("../../node/index.js");
    const report = reportPeers(logger, this.output);
    // Peers that come while the node starts are told behind the lines about the node itself.
    const early: Peer[] = [];
    let onPeer = (peer: Peer): void => void early.push(peer);
    const events = { signal: stopping.signal, onPeer: (peer: Peer) => onPeer(peer) };
    const node = await stopping.unlessTold(startNode({ ...options, logger, ...events }));
    if (node) {
      tuneNodeHeap();
      this.announce(node);
      await notifyReady(this.output);
      onPeer = report;
      early.forEach(report);
      this.watchFiles(node, files);
      const stopLive = this.flags.live ? await this.showLive(node) : () => {};
      await stopping.told;
      stopLive();
      files.stop();
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

  private watchFiles(node: StartedNode, files: WatchedFiles): void {
    const { trust, "token-file": tokens, "tls-cert": cert, "tls-key": key } = this.flags;
    const takeKeys = async () => node.trust(await readTrustFile(trust!));
    const takeTokens = async () => node.renew({ tokens: (await readTokens(tokens))! });
    const takePair = async () => node.renew({ tls: (await readTlsFiles(this.flags))! });
    files.add([trust], takeKeys, {
      taken: `the keys in ${trust} are trusted, and no others`,
      kept: "the keys trusted before stay trusted",
    });
    files.add([tokens], takeTokens, {
      taken: `new tokens, from ${tokens}, are in force`,
      kept: "the tokens read before stay in force",
    });
    files.add([cert, key], takePair, {
      taken: `a new certificate, from ${cert}, is in force`,
      kept: "the certificate read before stays in force",
    });
  }

  private announce({ id, name, url, peerAddresses }: Started): void {
    const elsewhere = urlsFromElsewhere(this.flags.host, url);
    this.output.document({
      type: "ready",
      url,
      ...(elsewhere.length > 0 && { urls: elsewhere }),
      peerAddresses,
      name,
      id,
    });
    if (this.flags.name !== undefined && name !== this.flags.name) {
      this.output.warning(
        `the name ${this.flags.name} is taken on this network; this node is called ${name}`,
      );
    }
    const more = peerAddresses.length - ADDRESSES_SHOWN;
    const { "token-file": tokenFile, "tls-cert": cert, trust } = this.flags;
    const tls = cert === undefined ? "" : `NODE_EXTRA_CA_CERTS=${shellWord(cert)} `;
    const program = `${tls}${programWords()}`;
    const at = flagWords({
      url: url === "http://127.0.0.1:8080" ? undefined : url,
      "token-file": tokenFile,
    });
    this.output.text(`node ${name} is up, in cluster ${this.flags.cluster}`);
    for (const [index, place] of [url, ...elsewhere.slice(0, ADDRESSES_SHOWN)].entries())
      this.output.text(`  ${(index === 0 ? "board, api" : "").padEnd(12)}  ${place}`);
    if (peerAddresses.length === 0) this.output.text(`  meets others  ${this.flags.engine}`);
    else
      for (const [index, address] of peerAddresses.slice(0, ADDRESSES_SHOWN).entries())
        this.output.text(`  ${(index === 0 ? "peer address" : "").padEnd(12)}  ${address}`);
    if (more > 0) this.output.text(`                and ${more} more: ${program} broadcast status${at}`);
    const needs = tokenFile === undefined && process.env.HUBCAST_TOKEN ? ", with HUBCAST_TOKEN as here" : "";
    this.output.text(`from another terminal${needs}:`);
    // A post needs a key that is trusted, and this node does not know where anybody keeps one.
    if (trust === undefined) this.output.text(`  ${program} broadcast post${at} "hello"`);
    this.output.text(`  ${program} broadcast watch${at}`);
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
