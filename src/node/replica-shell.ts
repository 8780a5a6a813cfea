import { randomBytes } from "node:crypto";
import type { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { LINE_KIND } from "../core/text.js";
import { VERSION } from "../core/version.js";
import { Runner } from "../runtime/runner.js";
import { startStep } from "../runtime/start-step.js";
import type { GossipFigures, Peer } from "./broadcast.js";
import type { BrokerEngine, Cluster, ClusterListener, GossipMessage, LinkEngine } from "./cluster/port.js";
import { Committer } from "./committer.js";
import { EventLog, type UnnumberedEvent } from "./event-log.js";
import { timingsOf } from "./http/index.js";
import { LogPublisher } from "./log-publisher.js";
import { type CompleteNodeOptions, defaultName } from "./options.js";
import { CLOCK_REASONS, reasonsOf } from "./reasons.js";
import { startOf } from "./replica/holdings.js";
import { DECODING, Inbox, VerifiedRecords } from "./replica/inbox.js";
import { decodeBatch, type Item, ItemDecodeError } from "./replica/item.js";
import { partsOf, signedBytes } from "./replica/member.js";
import {
  CHOICES,
  type PostedReceipt,
  type PostOutcome,
  type Receipt,
  type ReplicaChange,
  type ReplicaEffect,
  type ReplicaInput,
} from "./replica/messages.js";
import { type Trusted, TrustPolicy } from "./replica/policy.js";
import { Replica } from "./replica/replica.js";
import { encodeFrame, type Frame } from "./replica/wire.js";
import { peerOf, unreachedPeer } from "./report.js";
import { loadInto, openStorage } from "./storage/index.js";
import type { Storage } from "./storage/port.js";
import { stopping, Verifier } from "./verification/verifier.js";

/** Of reconciliation. They are rare, and tell what differs. */
const ROUND_FRAMES: ReadonlySet<Frame["t"]> = new Set(["reconcile", "reconciled", "roundDone"]);
/** The clock is looked at for the log this often. */
const LOG_CLOCK_MS = 1_000;

/** A receipt that is not given yet. */
export interface OpenReceipt {
  readonly asked: Omit<PostedReceipt, "index">;
  readonly given: Promise<Receipt>;
}

interface ReceiptTerms {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs the replica: hands it what comes from peers, storage and clock, and carries out its effects. */
export class ReplicaShell {
  /** The wall clock at the origin of the monotonic clock, epoch ms. */
  readonly #originMs = Date.now() - performance.now();
  readonly startedAtMs = this.machineMs();
  readonly events = new EventLog(randomBytes(6).toString("hex"));
  readonly policy: TrustPolicy;
  readonly verifier = new Verifier();
  readonly #inbox: Inbox;
  /** Traffic of the log since the start. */
  readonly logFigures = { messagesReceived: 0, messagesSent: 0, itemsReceived: 0, itemsSent: 0, rejected: 0 };
  /** Bytes of frames to and from all peers. */
  readonly frameFigures = { bytesSent: 0, bytesReceived: 0 };
  cluster!: Cluster;
  /** The engine, as the one kind or the other: the replica orders nothing of the one that is not there. */
  #links!: LinkEngine;
  #broker!: BrokerEngine;
  replica!: Replica;
  committer: Committer | undefined;
  /** Where the engine has a log of its own. */
  publisher: LogPublisher | undefined;
  /** As the node is called now: discovery renames one whose name is taken. */
  name = "";
  #runner!: Runner<ReplicaInput, ReplicaEffect>;
  readonly timings = timingsOf();
  readonly #answers = new Map<number, (outcomes: readonly PostOutcome[]) => void>();
  readonly #receipts = new Map<number, (receipt: Receipt) => void>();
  readonly #counts = new Map<number, (silent: readonly string[]) => void>();
  /** Messages of the log that wait for their verdict. */
  readonly #logged = new Map<number, GossipMessage>();
  #lastRequest = 0;
  #isClosed = false;
  /** The last log message about the clock. */
  #clockSaid = { atMs: 0, messages: "" };
  #encoded: { readonly frame: Frame; readonly bytes: Uint8Array } | undefined;

  constructor(readonly options: CompleteNodeOptions) {
    this.policy = new TrustPolicy({
      schemes: options.require,
      keys: options.trust,
    });
    const { verifier } = this;
    const records = new VerifiedRecords((record) => {
      const { signature, payload } = partsOf(record);
      return this.cluster.verify(record.id, signedBytes(options.cluster, payload), signature);
    });
    this.#inbox = new Inbox(
      {
        knows: (digest) => this.replica.knows(digest),
        knowsRecord: (record) => this.replica.knowsRecord(record),
        isOutdated: (record) => this.replica.isOutdated(record),
        requestsOn: (link) => this.replica.requestsOn(link),
      },
      {
        items: (items) => verifier.check(items),
        record: (record) => records.accepts(record),
        get isOverloaded() {
          return verifier.isOverloaded;
        },
      },
      (input) => this.tell(input),
      { ...DECODING, record: (bytes) => records.read(bytes) },
    );
  }

  /** Resolves when the node listens for peers. @throws as `startNode` */
  async open(): Promise<void> {
    const { options } = this;
    const { storage, privateKey } = await openStorage(options);
    this.committer = new Committer(storage, (input) => this.tell(input), options.logger);
    this.replica = this.#makeReplica();
    // Before anybody can connect.
    const unlogged = await loadInto(this.replica, storage, options.signal);
    const late = (cluster: Cluster) => cluster.close();
    const opening = this.#openCluster(storage, privateKey);
    const what = `opening the engine ${options.engine.name}`;
    this.cluster = await startStep(what, opening, { logger: options.logger, late });
    this.#links = this.cluster as LinkEngine;
    this.#broker = this.cluster as BrokerEngine;
    this.#openPublisher(storage, unlogged);
    this.name = options.name ?? defaultName(this.cluster.id, options.http?.port);
    this.#runner = new Runner({
      machine: this.replica,
      woke: () => {
        this.#logClock();
        return { type: "woke", wallMs: Date.now() };
      },
      now: () => this.machineMs(),
      perform: (effect) => this.#perform(effect),
    });
    // Stored items may have been accepted under another policy.
    if (this.policy.text !== "") this.#runner.handle({ type: "policyChanged" });
    // Peers may connect from now on, before anything below is done.
    this.tell({ type: "started" });
  }

  /** Only the engine that the options choose is loaded. @throws portInUse, natsUnreachable and their like */
  async #openCluster({ position }: Storage, privateKey: Uint8Array | undefined): Promise<Cluster> {
    const { cluster, engine, retentionMs, p2p, clusterKey, allowPeers } = this.options;
    const own = { cluster, listener: this.#listener(), ...(privateKey && { privateKey }) };
    if (engine.name === "nats") {
      const { openNatsCluster } = await import("./cluster/nats/index.js");
      return await openNatsCluster({ ...own, ...engine, retentionMs, ...(position && { position }) });
    }
    const { openLibp2pCluster } = await import("./cluster/libp2p/index.js");
    return await openLibp2pCluster({
      ...own,
      listen: p2p,
      ...(clusterKey && { clusterKey }),
      ...(allowPeers && { allowPeers: new Set(allowPeers) }),
    });
  }

  #openPublisher(storage: Storage, unlogged: readonly Item[]): void {
    if (!("log" in this.cluster)) return;
    const { log } = this.cluster;
    const figures = this.logFigures;
    this.publisher = new LogPublisher({ log, storage, logger: this.options.logger, figures });
    this.committer!.publisher = this.publisher;
    this.publisher.publishLater(unlogged);
  }

  /**
   * Hands items to the replica; resolves with one outcome per item, once what it rests on is durable. Receipts are asked for
   * at that moment, too, and follow. Rejects with `stopping` when the node is closed.
   */
  submit(
    items: readonly Item[],
    receipts: readonly (OpenReceipt | undefined)[] = [],
  ): Promise<readonly PostOutcome[]> {
    if (this.#isClosed) return Promise.reject(stopping());
    const beganMs = performance.now();
    return new Promise((resolve) => {
      const request = ++this.#lastRequest;
      this.#answers.set(request, (outcomes) => {
        this.timings.post.observe(performance.now() - beganMs);
        resolve(outcomes);
      });
      const posted = receipts.flatMap((receipt, index) => (receipt ? [{ ...receipt.asked, index }] : []));
      this.tell({ type: "posted", request, items, ...(posted.length > 0 && { receipts: posted }) });
    });
  }

  /** Accepts what these keys signed from now on, and nobody else's. */
  trust(keys: readonly Trusted[]): void {
    if (this.policy.trust(keys)) this.tell({ type: "policyChanged" });
  }

  /** Asks all members who holds an item; resolves when enough do, when nobody is left who could, or at the deadline. */
  askReceipt(digest: string, wait: number | "all", { timeoutMs, signal }: ReceiptTerms): Promise<Receipt> {
    const receipt = this.openReceipt(wait, timeoutMs);
    this.tell({ type: "receiptsAsked", receipts: [{ ...receipt.asked, digest }] });
    return this.receiptOf(receipt, signal);
  }

  /** A receipt for a post to ask for; where the post fails, `dropReceipt`. */
  openReceipt(wait: number | "all", timeoutMs: number): OpenReceipt {
    const request = ++this.#lastRequest;
    const { promise, resolve } = Promise.withResolvers<Receipt>();
    this.#receipts.set(request, resolve);
    return { asked: { request, wait, timeoutMs }, given: promise };
  }

  dropReceipt({ asked: { request } }: OpenReceipt): void {
    this.#receipts.delete(request);
  }

  /** Resolves with a receipt that was asked for. @param signal ends the wait: it is given as it stands */
  async receiptOf({ asked: { request }, given }: OpenReceipt, signal?: AbortSignal): Promise<Receipt> {
    const beganMs = performance.now();
    const end = () => this.tell({ type: "receiptEnded", request });
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end, { once: true });
    const receipt = await given;
    signal?.removeEventListener("abort", end);
    this.timings.receipt.observe(performance.now() - beganMs);
    return receipt;
  }

  /**
   * Asks all members what they hold; resolves with the ids of those that have not answered at the deadline.
   * @param digest receipts for this item that are open hear of its holders by the same answers
   */
  askCounts(timeoutMs: number, digest?: string): Promise<readonly string[]> {
    const request = ++this.#lastRequest;
    const { promise, resolve } = Promise.withResolvers<readonly string[]>();
    this.#counts.set(request, resolve);
    this.tell({ type: "countsAsked", request, timeoutMs, digest });
    return promise;
  }

  /** Epoch ms by the wall clock at the start and the monotonic clock since: the time of the machine. */
  machineMs(): number {
    return Math.floor(this.#originMs + performance.now());
  }

  /** The node's time, epoch ms: what it stamps items with. */
  clockMs(): number {
    return this.replica.clock.ms(this.machineMs());
  }

  /** The first reconciliation is not done yet. */
  get isStarting(): boolean {
    return this.replica.starting || ("log" in this.cluster && !this.cluster.log.caughtUp);
  }

  gossipFigures(): GossipFigures {
    const { gossipFigures, figures } = this.replica;
    const { messagesReceived, messagesSent, itemsReceived, itemsSent, rejected } = this.logFigures;
    return {
      ...gossipFigures,
      // The engine's log delivers each message once.
      batchesReceived: gossipFigures.batchesReceived + messagesReceived,
      copiesReceived: gossipFigures.copiesReceived + messagesReceived,
      batchesSent: gossipFigures.batchesSent + messagesSent,
      itemsReceived: gossipFigures.itemsReceived + itemsReceived,
      itemsSent: gossipFigures.itemsSent + itemsSent,
      rejected: gossipFigures.rejected + rejected,
      skipped: this.#inbox.skipped,
      heldUp: figures.linksHeld,
    };
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
      sign: (bytes) => this.cluster.sign(bytes),
      hasBroker: options.engine.name === "nats",
      hasReadLog: () => !("log" in this.cluster && this.cluster.log.isBehind),
      linksWanted: LIMITS.linksWanted,
      linksMax: LIMITS.linksMax,
      rosterMembersMax: LIMITS.rosterMembersMax,
      random: Math.random,
    });
  }

  #listener(): ClusterListener {
    return {
      admits: (peer) => this.replica.admits(peer, this.machineMs()),
      linkUp: (link) => {
        this.options.logger.debug(link, "link opened");
        this.#inbox.link({ type: "linkUp", ...link });
      },
      linkDown: (link, reason) => {
        this.options.logger.debug({ link, reason }, "link closed");
        this.#inbox.link({ type: "linkDown", link, reason });
      },
      dialFailed: (attempt, reason, self) => {
        this.options.logger.debug({ attempt, reason }, "peer not reached");
        this.tell({ type: "dialFailed", attempt, reason, self });
      },
      frame: (link, frame) => {
        this.frameFigures.bytesReceived += frame.length;
        this.#inbox.frame(link, frame);
      },
      queued: (link, isLong) => this.tell({ type: "queued", link, isLong }),
      progressed: (link) => this.tell({ type: "progressed", link }),
      gossip: (message) => {
        this.#readLog(message).catch((error: HubcastError) => {
          // A node that closes reads the message again after its next start.
          if (error.code === "stopping") return;
          this.options.logger.warn({ err: error }, "a message of the log could not be verified");
          // Members that took its items show that this node lacks them.
          message.acknowledge("ignore");
        });
      },
      logUp: (isNew) => {
        this.options.logger.info({}, "the log of NATS is there");
        this.publisher?.publishLater(isNew ? this.replica.holdings.set.range(startOf(0)) : []);
      },
      logDown: (reason) => this.options.logger.warn({ reason }, "NATS is away"),
      broker: (isUp) => this.tell({ type: "brokerChanged", isUp }),
      leader: (isLeader) => this.tell({ type: "leaderChanged", isLeader }),
      registry: (entries) => this.#inbox.registry(entries, () => new Promise(setImmediate)),
      published: (kind, payload) => {
        this.frameFigures.bytesReceived += payload.length;
        this.#inbox.published(kind, payload);
      },
      told: (peer, frame) => {
        this.frameFigures.bytesReceived += frame.length;
        this.#inbox.told(peer, frame);
      },
    };
  }

  /** Takes a message of the engine's log: what others posted. */
  async #readLog(message: GossipMessage): Promise<void> {
    this.logFigures.messagesReceived++;
    const items = await this.#verified(message.bytes);
    if (!items) {
      this.logFigures.rejected++;
      message.acknowledge("reject");
      return;
    }
    this.logFigures.itemsReceived += items.length;
    const number = ++this.#lastRequest;
    this.#logged.set(number, message);
    message.taken?.();
    this.tell({ type: "logged", message: number, items });
  }

  /** The items of a batch. @returns undefined when it cannot be read, or an item is not valid */
  async #verified(batch: Uint8Array): Promise<readonly Item[] | undefined> {
    try {
      const items = decodeBatch(batch);
      const unknown = items.filter(({ digest }) => !this.replica.knows(digest));
      return (await this.verifier.check(unknown)).includes(false) ? undefined : items;
    } catch (error) {
      if (error instanceof ItemDecodeError) return undefined;
      throw error;
    }
  }

  /** Says once what is wrong with the clock, and once that it is over. */
  #logClock(): void {
    const nowMs = this.machineMs();
    if (nowMs - this.#clockSaid.atMs < LOG_CLOCK_MS) return;
    const details = reasonsOf(this, nowMs).filter(({ code }) => CLOCK_REASONS.has(code));
    const messages = details.map(({ code, peer }) => `${code} ${peer?.id}`).join();
    const { messages: before } = this.#clockSaid;
    this.#clockSaid = { atMs: nowMs, messages };
    if (messages === before) return;
    for (const { code, message, advice } of details)
      this.options.logger.warn({ reason: code, advice }, message);
    if (details.length === 0) this.options.logger.info({}, "the clock is in order again");
  }

  tell(input: ReplicaInput): void {
    if (input.type === "frameReceived") this.#logFrame("received", input.link, input.frame.t);
    else if (input.type === "recordsReceived") this.#logFrame("received", input.link, "records");
    else if (input.type === "itemsReceived") this.#logFrame("received", input.link, "items");
    this.#runner.handle(input);
  }

  #perform(effect: ReplicaEffect): void {
    switch (effect.type) {
      case "commit":
        if (!effect.posted) this.#observeDelivery(effect.add);
        this.committer!.commit(effect);
        break;
      case "answer":
        for (const { status, item, ...more } of effect.outcomes)
          if (status === "refused") this.options.logger.debug({ id: item.id, ...more }, "post refused");
        this.#answers.get(effect.request)?.(effect.outcomes);
        this.#answers.delete(effect.request);
        break;
      case "acknowledge":
        this.#logged.get(effect.message)?.acknowledge(effect.verdict);
        this.#logged.delete(effect.message);
        break;
      case "dial":
        this.options.logger.debug(effect, "dials a peer");
        this.#links.dial(effect);
        break;
      case "send":
        this.#send(effect.link, effect.frame);
        break;
      case "disconnect": {
        const { link, peer, reason } = effect;
        const level = CHOICES.has(reason) ? "debug" : "warn";
        this.options.logger[level]({ peer, reason }, "peer disconnected by this node");
        this.#links.disconnect(link, reason);
        break;
      }
      case "holdUp":
        this.#links.holdUp(effect.link, effect.isHeldUp);
        break;
      case "verify":
        this.#inbox.verify(effect);
        break;
      case "renew":
        this.#broker.renew(effect.record);
        break;
      case "readRegistry":
        this.#broker.readRegistry();
        break;
      case "publish":
        this.frameFigures.bytesSent += effect.payload.length;
        this.#broker.publish(effect.kind, effect.payload);
        break;
      case "tell": {
        const bytes = encodeFrame(effect.frame);
        this.frameFigures.bytesSent += bytes.length;
        this.#broker.tell(effect.peer, bytes);
        break;
      }
      case "append":
        this.publisher?.publishLater(effect.items);
        break;
      case "receipt":
        this.#receipts.get(effect.request)?.(effect.receipt);
        this.#receipts.delete(effect.request);
        break;
      case "counted":
        this.#counts.get(effect.request)?.(effect.silent);
        this.#counts.delete(effect.request);
        break;
      case "notify":
        this.events.push(effect.changes.flatMap((change) => this.#eventOf(change)));
        break;
    }
  }

  #logFrame(direction: "sent" | "received", link: number, type: Frame["t"]): void {
    const { logger } = this.options;
    if (ROUND_FRAMES.has(type)) logger.debug({ link }, `${direction} ${type}`);
    else logger.trace?.({ link }, `${direction} ${type}`);
  }

  #send(link: number, frame: Frame): void {
    this.#logFrame("sent", link, frame.t);
    // One that goes to many links is encoded once.
    if (this.#encoded?.frame !== frame) this.#encoded = { frame, bytes: encodeFrame(frame) };
    const { bytes } = this.#encoded;
    this.frameFigures.bytesSent += bytes.length;
    this.#links.send(link, bytes);
  }

  #observeDelivery(items: readonly Item[]): void {
    const nowMs = this.clockMs();
    for (const { timestampMs } of items) this.timings.delivery.observe(nowMs - timestampMs);
  }

  #eventOf(change: ReplicaChange): UnnumberedEvent[] {
    if (change.type !== "peer") return [change];
    const peer = this.#peer(change.peer);
    if (!peer) return [];
    const { id, name, address, state, reason, reasons } = peer;
    // Differences between nodes are warnings for the operator, with names.
    const level = reasons || state === "unreached" ? "warn" : "info";
    const why = [...(reasons ?? []), ...(level === "warn" && reason ? [reason] : [])].join(", ");
    this.options.logger[level](
      { [LINE_KIND]: `peer ${state} ${reasons ?? ""}`, peer: id, peerName: name, address, reason },
      level === "warn" ? `peer ${name} ${state}: ${why}` : `peer ${state}`,
    );
    this.options.onPeer?.(peer);
    return [{ type: "peer", peer }];
  }

  #peer(id: string): Peer | undefined {
    const { roster, membership } = this.replica;
    const member = roster.get(id);
    if (member) return peerOf(member, this, this.machineMs());
    const stranger = membership.stranger(id);
    return stranger && unreachedPeer(stranger, this.replica.clock);
  }

  async close(): Promise<void> {
    this.#runner?.handle({ type: "stopped" });
    await this.cluster?.close();
    await this.verifier.close();
    // Callers that wait for a commit get an answer, so the machine runs until the last one is done.
    await this.committer?.close();
    this.#isClosed = true;
    this.#runner?.stop();
    this.events.close();
  }
}
