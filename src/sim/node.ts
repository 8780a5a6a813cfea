import { LIMITS } from "../core/limits.js";
import type { ReplicaOptions } from "../node/replica/context.js";
import { Inbox } from "../node/replica/inbox.js";
import type { Item } from "../node/replica/item.js";
import type { ReplicaEffect, ReplicaInput } from "../node/replica/messages.js";
import type { Replica } from "../node/replica/replica.js";
import type { Frame } from "../node/replica/wire.js";
import type { Dice, Timeline } from "./determinism.js";
import type { Figures, Host } from "./host.js";
import type { Known } from "./known.js";
import type { LinkEnd, Side, VirtualLink } from "./link.js";
import type { SimulationOptions } from "./options.js";
import { broken, type Safety } from "./safety.js";

/** A machine that is woken more often within one instant makes no progress. */
const WAKES_AT_ONCE_MAX = 10_000;

/** The world around a process. */
interface NodeWorld {
  readonly options: SimulationOptions;
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly known: Known;
  readonly safety: Safety;
  readonly figures: Figures;
  readonly makeReplica: (options: ReplicaOptions) => Replica;
  readonly network: {
    /** Tries to connect a node with the process at one of the addresses; tells it `dialFailed`, or both ends `linkUp`. */
    dial(node: SimNode, attempt: number, addresses: readonly string[], peer: string | undefined): void;
  };
}

/**
 * The shell of one replica in a virtual world, as src/node/node.ts is its shell over sockets. It carries out the
 * replica's effects, in order, and keeps its one timer. Each object is one process: a restart makes another.
 */
export class SimNode implements LinkEnd {
  readonly replica: Replica;
  readonly startedAtMs: number;
  /** The time of its machine minus true time, ms: its wall clock when the process started. */
  readonly #offsetMs: number;
  alive = true;
  frozen = false;
  /** Open links by number, each with this node's side of it. */
  readonly #links = new Map<number, { readonly link: VirtualLink; readonly side: Side }>();
  readonly #heldUp = new Set<number>();
  /** Digests of the items whose receipts are pending, by request. */
  readonly #asked = new Map<number, string>();
  readonly #inbox: Inbox;
  readonly #inputs: ReplicaInput[] = [];
  #isHandling = false;
  #armedForMs = Number.POSITIVE_INFINITY;
  #backlog: (() => void)[] = [];
  #lastRequest = 0;
  #lastLink = 0;
  #wokeAtMs = 0;
  #wakes = 0;

  /** @param serial differs between any two nodes of a world, also two lives of one host */
  constructor(
    private readonly world: NodeWorld,
    readonly host: Host,
    readonly id: string,
    serial: number,
  ) {
    const { options, dice, timeline, known } = world;
    this.startedAtMs = timeline.nowMs;
    this.#offsetMs = host.skewMs;
    this.replica = world.makeReplica({
      id,
      name: () => host.address,
      version: "simulated",
      cluster: "simulated",
      retentionMs: options.retentionMs,
      syncIntervalMs: LIMITS.syncIntervalMs,
      itemsMax: LIMITS.itemsMax,
      itemBytesMax: LIMITS.itemBytesMax,
      policy: { text: "", refusalOf: () => undefined },
      addresses: () => [host.claims ?? host.address],
      sign: known.sign(id),
      hasBroker: false,
      hasReadLog: () => true,
      linksWanted: LIMITS.linksWanted,
      linksMax: LIMITS.linksMax,
      rosterMembersMax: options.rosterMembersMax,
      random: dice.named(`replica ${serial}`).random,
    });
    this.#inbox = new Inbox(this.replica, known, (input) => this.tell(input), known);
  }

  /** The node's time, epoch ms. */
  get nowMs(): number {
    return this.replica.clock.ms(this.machineMs);
  }

  /** The time of its machine, which never jumps, epoch ms. */
  get machineMs(): number {
    return this.world.timeline.nowMs + this.#offsetMs;
  }

  start(): void {
    this.replica.load(this.host.disk.items());
    this.tell({ type: "started" });
  }

  admits(peer: string): boolean {
    return this.replica.admits(peer, this.machineMs);
  }

  nextLink(): number {
    return ++this.#lastLink;
  }

  post(items: readonly Item[]): void {
    this.tell({ type: "posted", request: ++this.#lastRequest, items });
  }

  /** Asks which members hold an item. */
  askReceipt(digest: string, wait: number | "all", timeoutMs: number): void {
    const request = ++this.#lastRequest;
    this.#asked.set(request, digest);
    this.tell({ type: "receiptsAsked", receipts: [{ request, digest, wait, timeoutMs }] });
  }

  linkUp(link: VirtualLink, side: Side, attempt: number | undefined): void {
    this.#whenAwake(() => {
      const number = link.numbers[side];
      const peer = link.ends[side === 0 ? 1 : 0];
      this.#links.set(number, { link, side });
      const up = { type: "linkUp", link: number, peer: peer.id, address: peer.host.address } as const;
      this.#inbox.link({ ...up, ...(attempt !== undefined && { attempt }) });
    });
  }

  receive(number: number, frame: Uint8Array): void {
    if (this.frozen) this.#backlog.push(() => this.receive(number, frame));
    else if (this.alive && this.#links.has(number)) this.#inbox.frame(number, frame);
  }

  linkDown(number: number, reason: string): void {
    this.#whenAwake(() => {
      if (this.#links.delete(number)) this.#inbox.link({ type: "linkDown", link: number, reason });
    });
  }

  /** Stops the process for a while; its inputs wait. */
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

  /** Says goodbye to all members; the process ends when the goodbyes are sent. */
  leave(): void {
    this.tell({ type: "stopped" });
    this.#end((link, side) => link.close(side));
  }

  /** @param silently a power cut: its peers are not told; otherwise the system resets its connections */
  crash(silently: boolean): void {
    this.#end((link, side) => (silently ? link.vanish(side) : link.close(side)));
  }

  /** Passes an input to the machine; an input caused by an effect waits until the current one is handled. */
  tell(input: ReplicaInput): void {
    if (!this.alive) return;
    if (this.frozen) {
      this.#backlog.push(() => this.tell(input));
      return;
    }
    if (this.#isHandling) {
      this.#inputs.push(input);
      return;
    }
    this.#isHandling = true;
    for (let next: ReplicaInput | undefined = input; next && this.alive; next = this.#inputs.shift())
      for (const effect of this.replica.handle(next, this.machineMs)) this.#perform(effect);
    this.#isHandling = false;
    this.#arm();
  }

  #perform(effect: ReplicaEffect): void {
    const { safety, network } = this.world;
    switch (effect.type) {
      case "commit":
        safety.committing(this, effect);
        this.host.disk.commit(effect, (kept) =>
          this.#whenAwake(() =>
            this.tell({ type: kept ? "committed" : "commitFailed", commit: effect.commit }),
          ),
        );
        break;
      case "answer":
        safety.answering(this, effect.outcomes);
        break;
      case "dial":
        network.dial(this, effect.attempt, effect.addresses, effect.peer);
        break;
      case "send": {
        const open = this.#links.get(effect.link);
        safety.sending(this, effect.frame, open);
        if (!open) return;
        const bytes = this.world.known.encode(this.#bent(effect.frame));
        this.world.figures.sent(this.host, bytes.length);
        open.link.send(open.side, bytes);
        break;
      }
      case "disconnect": {
        safety.disconnecting(this, effect.peer, effect.reason);
        const open = this.#links.get(effect.link);
        this.#links.delete(effect.link);
        open?.link.close(open.side);
        break;
      }
      case "holdUp":
        this.#holdUp(effect.link, effect.isHeldUp);
        break;
      case "verify":
        this.#inbox.verify(effect);
        break;
      case "receipt":
        safety.receipt(this, this.#asked.get(effect.request)!, effect.receipt);
        this.#asked.delete(effect.request);
        break;
      case "acknowledge":
      case "counted":
      case "notify":
        break;
    }
  }

  /** The frame with the time shifted if the host lies about it. */
  #bent(frame: Frame): Frame {
    const { liesMs } = this.host;
    const isTelling = liesMs !== 0 && (frame.t === "hello" || frame.t === "pong");
    return isTelling ? { ...frame, nowMs: frame.nowMs + liesMs } : frame;
  }

  #holdUp(number: number, isHeldUp: boolean): void {
    const open = this.#links.get(number);
    if (!open || this.#heldUp.has(number) === isHeldUp) return;
    const peersSide = open.side === 0 ? 1 : 0;
    if (isHeldUp) {
      this.#heldUp.add(number);
      open.link.freeze(peersSide);
    } else {
      this.#heldUp.delete(number);
      open.link.thaw(peersSide);
    }
  }

  #arm(): void {
    const { wakeAtMs } = this.replica;
    if (wakeAtMs === this.#armedForMs || wakeAtMs === Number.POSITIVE_INFINITY) return;
    this.#armedForMs = wakeAtMs;
    this.world.timeline.at(Math.ceil(wakeAtMs) - this.#offsetMs, this.#wake);
  }

  readonly #wake = (): void => {
    // A later wake-up has replaced this one.
    if (this.#armedForMs > this.machineMs) return;
    if (this.frozen) this.#backlog.push(this.#wake);
    else if (this.alive) this.#woken();
  };

  #woken(): void {
    this.#armedForMs = Number.POSITIVE_INFINITY;
    if (this.#wokeAtMs !== this.world.timeline.nowMs) this.#wakes = 0;
    this.#wokeAtMs = this.world.timeline.nowMs;
    if (++this.#wakes > WAKES_AT_ONCE_MAX)
      broken("progresses", this, `is woken ${this.#wakes} times in one instant`);
    this.tell({ type: "woke", wallMs: this.world.timeline.nowMs + this.host.skewMs });
  }

  #whenAwake(action: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.#backlog.push(action);
    else action();
  }

  #end(closing: (link: VirtualLink, side: Side) => void): void {
    for (const { link, side } of this.#links.values()) closing(link, side);
    this.#links.clear();
    this.alive = false;
    this.#backlog = [];
  }
}
