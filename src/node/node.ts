import { randomBytes } from "node:crypto";
import { VERSION } from "../net/version.js";
import { openCluster } from "./cluster/open.js";
import type { Cluster } from "./cluster/port.js";
import { Committer } from "./committer.js";
import { discoverPeers } from "./discover-peers.js";
import type { Discovery } from "./discovery.js";
import { EventLog, type UnnumberedEvent } from "./event-log.js";
import { GossipOutbox } from "./gossip-outbox.js";
import { type HttpApi, openHttpApi } from "./http/index.js";
import { Intake } from "./intake.js";
import { LocalBroadcast } from "./local-broadcast.js";
import { LogOutlet } from "./log-outlet.js";
import type { CompleteNodeOptions } from "./options.js";
import { encodeFrame, type Frame } from "./protocol/frames.js";
import { startOf } from "./protocol/holdings.js";
import type { Item } from "./protocol/item.js";
import {
  BREACHES,
  type PostOutcome,
  type ReplicaChange,
  type ReplicaEffect,
  type ReplicaInput,
} from "./protocol/messages.js";
import { TrustPolicy } from "./protocol/policy.js";
import { Replica } from "./protocol/replica.js";
import { ReceiptDesk } from "./receipt-desk.js";
import { peerOf } from "./report.js";
import { Runner } from "./runner.js";
import { openStorage } from "./storage/index.js";
import { loadInto } from "./storage/load.js";
import type { Storage } from "./storage/port.js";
import { Verifier } from "./verification/verifier.js";
import { Vitals } from "./vitals.js";

/** Wires the replica to its storage, its peers, and those who use it; carries out what it orders. */
export class Node {
  readonly startedAtMs = Date.now();
  readonly events = new EventLog(randomBytes(6).toString("hex"));
  readonly receipts = new ReceiptDesk();
  readonly outbox = new GossipOutbox(() => this.cluster);
  readonly vitals = new Vitals();
  readonly policy: TrustPolicy;
  readonly verifier = new Verifier();
  readonly intake: Intake;
  /** Bytes of frames to and from all peers. */
  readonly frameFigures = { bytesSent: 0, bytesReceived: 0 };
  cluster!: Cluster;
  replica!: Replica;
  committer: Committer | undefined;
  /** Where the engine has a log of its own. */
  outlet: LogOutlet | undefined;
  http: HttpApi | undefined;
  name = "";
  stopping = false;
  local!: LocalBroadcast;
  #runner!: Runner<ReplicaInput, ReplicaEffect>;
  #discovery: Discovery | undefined;
  #answers = new Map<number, (outcomes: readonly PostOutcome[]) => void>();
  #lastRequest = 0;
  #closing: Promise<void> | undefined;

  constructor(readonly options: CompleteNodeOptions) {
    this.policy = new TrustPolicy({
      schemes: options.require,
      keys: options.trust?.map((key) => key.toLowerCase()),
    });
    this.intake = new Intake(
      (digest) => this.replica.knows(digest),
      this.verifier,
      (input) => this.#runner.handle(input),
    );
  }

  async open(): Promise<void> {
    const { options } = this;
    const { storage, privateKey } = await openStorage(options);
    this.committer = new Committer(storage, (input) => this.#tell(input), options.logger);
    this.replica = this.#makeReplica();
    // Before anybody can connect.
    const unlogged = await loadInto(this.replica, storage, options.signal);
    const listener = this.#listener();
    this.cluster = await openCluster({ options, listener, storage, ...(privateKey && { privateKey }) });
    this.#openOutlet(storage, unlogged);
    this.name = options.name ?? `node-${this.cluster.id.slice(-6).toLowerCase()}`;
    this.#runner = new Runner({
      machine: this.replica,
      woke: { type: "woke" },
      perform: (effect) => this.#perform(effect),
    });
    this.local = new LocalBroadcast(this);
    if (options.http)
      this.http = await openHttpApi({ ...options.http, service: this.local.service, logger: options.logger });
    // What is stored may have been accepted under another policy.
    if (this.policy.text !== "") this.#runner.handle({ type: "policyChanged" });
    this.#runner.handle({ type: "woke" });
    for (const address of options.peers) this.cluster.dial({ addresses: [address] });
    if (options.mdns !== false)
      this.#discovery = await discoverPeers(this, () => this.#tell({ type: "renamed" }));
  }

  #openOutlet(storage: Storage, unlogged: readonly Item[]): void {
    const { log } = this.cluster;
    if (!log) return;
    const { figures } = this.outbox;
    this.outlet = new LogOutlet({ log, storage, logger: this.options.logger, figures });
    this.committer!.outlet = this.outlet;
    this.outlet.owe(unlogged);
  }

  /** Hands items to the replica; resolves with one outcome per item, once what it rests on is durable. */
  submit(items: readonly Item[]): Promise<readonly PostOutcome[]> {
    return new Promise((resolve) => {
      const request = ++this.#lastRequest;
      this.#answers.set(request, resolve);
      this.#runner.handle({ type: "posted", request, items });
    });
  }

  /** Accepts what these keys signed from now on, and nobody else's. */
  trust(keys: readonly string[]): void {
    if (this.policy.trust(keys)) this.#tell({ type: "policyChanged" });
  }

  askReceipts(digest: string): void {
    this.#runner.handle({ type: "receiptAsked", digest });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #makeReplica(): Replica {
    const { options } = this;
    const id = () => this.cluster.id;
    return new Replica({
      get id() {
        return id();
      },
      name: () => this.name,
      version: VERSION,
      cluster: options.cluster,
      retentionMs: options.retentionMs,
      syncIntervalMs: options.syncIntervalMs,
      itemsMax: options.itemsMax,
      itemBytesMax: options.itemBytesMax,
      policy: this.policy,
      addresses: () => this.cluster.addresses,
      random: Math.random,
    });
  }

  #listener() {
    return {
      peerUp: ({ id, address }: { id: string; address: string }) =>
        this.intake.connection({ type: "peerUp", peer: id, address }),
      peerDown: (peer: string, reason: string) => this.intake.connection({ type: "peerDown", peer, reason }),
      frame: (peer: string, frame: Uint8Array) => {
        this.frameFigures.bytesReceived += frame.length;
        this.intake.frame(peer, frame);
      },
      gossip: (message: Parameters<Intake["gossip"]>[0]) => this.intake.gossip(message),
      logUp: (isNew: boolean) => this.outlet?.owe(isNew ? this.replica.holdings.set.range(startOf(0)) : []),
    };
  }

  #tell(input: ReplicaInput): void {
    this.#runner.handle(input);
  }

  #perform(effect: ReplicaEffect): void {
    switch (effect.type) {
      case "commit":
        this.committer!.commit(effect);
        break;
      case "answer":
        this.#answers.get(effect.request)?.(effect.outcomes);
        this.#answers.delete(effect.request);
        break;
      case "judge":
        this.intake.judge(effect.message, effect.verdict);
        break;
      case "publish":
        // In the log, if there is one, they are already.
        if (!this.outlet) this.outbox.add(effect.items);
        break;
      case "send":
        this.#send(effect.peer, effect.frame);
        break;
      case "disconnect": {
        const { peer, reason } = effect;
        this.options.logger.warn({ peer, reason }, "peer disconnected by this node");
        const silent = reason === "heartbeatLost";
        this.cluster.disconnect(peer, reason, { punish: BREACHES.has(reason), silent });
        break;
      }
      case "dial":
        this.cluster.dial({ id: effect.peer, addresses: effect.addresses });
        break;
      case "forget":
        this.cluster.forget(effect.peer);
        break;
      case "notify":
        this.events.push(effect.changes.flatMap((change) => this.#eventOf(change)));
        break;
      case "confirmed":
        this.receipts.confirmed(effect.digest, effect.peer);
        break;
    }
  }

  #send(peer: string, frame: Frame): void {
    const bytes = encodeFrame(frame);
    this.frameFigures.bytesSent += bytes.length;
    this.cluster.send(peer, bytes);
  }

  #eventOf(change: ReplicaChange): UnnumberedEvent[] {
    if (change.type !== "peer") return [change];
    const record = this.replica.peers.get(change.peer);
    if (!record) return [];
    const peer = peerOf(record, this.replica, Date.now());
    this.options.logger.info(
      { peer: peer.id, peerName: peer.name, address: peer.address, reason: peer.reason },
      `peer ${peer.state}`,
    );
    return [{ type: "peer", peer }];
  }

  async #close(): Promise<void> {
    this.stopping = true;
    // First the others hear of it, while requests are finished; then nothing comes in any more.
    const goodbye = this.#discovery?.close();
    await this.http?.close();
    this.outbox.flush();
    this.receipts.close();
    this.#runner?.handle({ type: "stopped" });
    await this.cluster?.close();
    await this.verifier.close();
    // Who waits for a commit gets an answer, so the machine runs until the last one is done.
    await this.committer?.close();
    this.#runner?.stop();
    this.events.close();
    this.vitals.close();
    await goodbye;
  }
}
