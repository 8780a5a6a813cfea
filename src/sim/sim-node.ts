import { LIMITS } from "../core/limits.js";
import type { Frame } from "../node/protocol/frames.js";
import type { Item } from "../node/protocol/item.js";
import type { ReplicaEffect, ReplicaInput } from "../node/protocol/messages.js";
import type { Replica } from "../node/protocol/replica.js";
import { MESH_DEGREE, type Message } from "./gossip.js";
import type { Host } from "./host.js";
import { Intake } from "./intake.js";
import type { Link, Side } from "./link.js";
import { Outbox } from "./outbox.js";
import type { World } from "./world.js";

/**
 * The shell of one replica in a virtual world: what src/node/node.ts and its parts are over sockets. It carries out
 * the replica's orders, in order, and keeps its one timer. One object is one life of the process: a restart makes
 * another.
 */
export class SimNode {
  readonly replica: Replica;
  /** Open links by the peer's id, oldest first. */
  readonly links = new Map<string, Link>();
  readonly startedAtMs: number;
  alive = true;
  frozen = false;
  readonly #outbox: Outbox;
  #chosen: ReadonlySet<string> | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #backlog: (() => void)[] = [];
  readonly #intake: Intake;
  #lastRequest = 0;

  /** @param serial differs between any two nodes of a world, also two lives of one host */
  constructor(
    private readonly world: World,
    readonly host: Host,
    readonly id: string,
    readonly serial: number,
  ) {
    const { options, dice, timeline } = world;
    this.startedAtMs = timeline.nowMs;
    this.#intake = new Intake(world, this);
    this.#outbox = new Outbox(timeline, (message) => {
      if (this.alive) world.gossip.publish(this, message);
    });
    this.replica = world.makeReplica({
      id,
      name: () => host.address,
      version: "simulated",
      cluster: "simulated",
      retentionMs: options.retentionMs,
      syncIntervalMs: LIMITS.syncIntervalMs,
      itemsMax: LIMITS.itemsMax,
      itemBytesMax: LIMITS.itemBytesMax,
      policy: { text: "", accepts: () => true },
      addresses: () => [host.address],
      random: dice.named(`replica ${serial}`).random,
    });
  }

  /** This host's clock, epoch ms. */
  get nowMs(): number {
    return this.world.timeline.nowMs + this.host.skewMs;
  }

  /** Ids of the neighbours that it forwards gossip to. */
  get chosen(): ReadonlySet<string> {
    this.#chosen ??= new Set([...this.links.keys()].slice(0, MESH_DEGREE));
    return this.#chosen;
  }

  start(): void {
    this.replica.load(this.host.disk.items());
    this.tell({ type: "woke" });
  }

  post(items: readonly Item[]): void {
    this.tell({ type: "posted", request: ++this.#lastRequest, items });
  }

  receive(link: Link, frame: Uint8Array): void {
    this.#whenAwake(() => {
      const peer = this.#peerOf(link);
      if (peer !== undefined) this.tell(this.#intake.frame(peer, frame));
    });
  }

  receiveGossip(message: Message, from: string): void {
    this.#whenAwake(() => {
      const input = this.#intake.gossip(message, from);
      if (input) this.tell(input);
    });
  }

  linkUp(link: Link, peer: SimNode): void {
    this.#whenAwake(() => {
      this.links.set(peer.id, link);
      this.#chosen = undefined;
      this.tell({ type: "peerUp", peer: peer.id, address: peer.host.address });
    });
  }

  linkDown(link: Link, reason: string): void {
    this.#whenAwake(() => {
      const peer = this.#peerOf(link);
      if (peer === undefined) return;
      this.#drop(peer);
      this.tell({ type: "peerDown", peer, reason });
    });
  }

  /** The process is stopped for a while; what comes meanwhile waits. */
  freeze(forMs: number): void {
    if (this.frozen) return;
    this.frozen = true;
    this.world.timeline.after(forMs, () => this.thaw());
  }

  thaw(): void {
    this.frozen = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const action of backlog) action();
  }

  /** Says goodbye to all peers; the process ends when the words have gone out. */
  leave(): void {
    this.#outbox.flush();
    this.tell({ type: "stopped" });
    this.#end((link) => link.close(this.#sideOf(link)));
  }

  /** @param silently a power cut: nobody is told; else the system resets what the process had open */
  crash(silently: boolean): void {
    this.#end((link) => (silently ? link.vanish(this.#sideOf(link)) : link.close(this.#sideOf(link))));
  }

  tell(input: ReplicaInput): void {
    if (!this.alive) return;
    for (const effect of this.replica.handle(input, this.nowMs)) this.#perform(effect);
    this.#arm();
  }

  #perform(effect: ReplicaEffect): void {
    const { safety } = this.world;
    switch (effect.type) {
      case "commit":
        safety.committing(this, effect.add);
        this.host.disk.commit(effect, (kept) =>
          this.#whenAwake(() =>
            this.tell({ type: kept ? "committed" : "commitFailed", commit: effect.commit }),
          ),
        );
        break;
      case "answer":
        safety.answering(this, effect.outcomes);
        break;
      case "judge":
        this.#intake.judge(effect.message, effect.verdict);
        break;
      case "publish":
        safety.publishing(this, effect.items);
        this.#outbox.add(effect.items);
        break;
      case "send":
        this.#send(effect.peer, effect.frame);
        break;
      case "disconnect":
        safety.disconnecting(this, effect.peer, effect.reason);
        this.#disconnect(effect.peer);
        break;
      case "dial":
        this.host.know(effect.addresses);
        break;
      // Who said goodbye has no process that could be dialled.
      case "forget":
      case "notify":
      case "confirmed":
        break;
    }
  }

  #send(peer: string, frame: Frame): void {
    this.world.safety.sending(this, frame);
    const link = this.links.get(peer);
    if (!link) return;
    const bytes = this.world.encode(frame);
    this.world.figures.frameSent(this, bytes.length);
    link.send(this.#sideOf(link), bytes);
  }

  #disconnect(peer: string): void {
    const link = this.links.get(peer);
    if (!link) return;
    link.close(this.#sideOf(link));
    this.#drop(peer);
  }

  #drop(peer: string): void {
    this.links.delete(peer);
    this.#chosen = undefined;
  }

  #arm(): void {
    const { wakeAtMs } = this.replica;
    if (wakeAtMs === this.#armedForMs || wakeAtMs === Number.POSITIVE_INFINITY) return;
    this.#armedForMs = wakeAtMs;
    this.world.timeline.at(wakeAtMs - this.host.skewMs, () => {
      // Armed anew meanwhile: that one counts.
      if (this.#armedForMs !== wakeAtMs) return;
      this.#whenAwake(() => {
        this.#armedForMs = Number.POSITIVE_INFINITY;
        this.tell({ type: "woke" });
      });
    });
  }

  #whenAwake(action: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.#backlog.push(action);
    else action();
  }

  #end(closing: (link: Link) => void): void {
    for (const link of this.links.values()) closing(link);
    this.links.clear();
    this.alive = false;
    this.#backlog = [];
  }

  #sideOf(link: Link): Side {
    return link.ends[0] === this ? 0 : 1;
  }

  /** The peer at the other end of a link that this node still counts as open. */
  #peerOf(link: Link): string | undefined {
    const peer = link.ends[1 - this.#sideOf(link)]!.id;
    return this.links.get(peer) === link ? peer : undefined;
  }
}
