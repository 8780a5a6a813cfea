import { Mailbox } from "../../../../src/node/cluster/mailbox.js";
import type { Cluster, ClusterOptions, PeerCandidate } from "../../../../src/node/cluster/port.js";
import type { Message } from "../../../../src/sim/gossip.js";
import { Link, type Side } from "../../../../src/sim/link.js";
import { SIMULATION_DEFAULTS } from "../../../../src/sim/options.js";
import type { SimNode } from "../../../../src/sim/sim-node.js";
import { World } from "../../../../src/sim/world.js";

/** Virtual ms that pass in one turn of the event loop. */
const STEP_MS = 20;
const REDIAL_MS = 200;

/**
 * The simulator's links and gossip behind the Cluster port. A node here is the shell that `SimNode` is there, without
 * a replica; who dials whom is decided by the test, as in a real engine.
 */
export class SimulatedNetwork {
  readonly world = new World({ ...SIMULATION_DEFAULTS, nodes: 10 });
  readonly #engines = new Map<string, SimulatedEngine>();
  #starts = 0;
  #running = false;

  open(options: ClusterOptions, id = `node-${this.#starts}`): SimulatedEngine {
    const engine = new SimulatedEngine(this, options, id, this.#starts++);
    this.#engines.set(engine.address, engine);
    if (!this.#running) this.#run();
    return engine;
  }

  at(address: string): SimulatedEngine | undefined {
    return this.#engines.get(address);
  }

  closed(engine: SimulatedEngine): void {
    this.#engines.delete(engine.address);
  }

  #run(): void {
    this.#running = this.#engines.size > 0 || this.world.network.links.size > 0;
    if (!this.#running) return;
    this.world.timeline.runUntil(this.world.nowMs + STEP_MS);
    setImmediate(() => this.#run());
  }
}

class SimulatedEngine implements Cluster {
  readonly engine = "simulated";
  readonly address: string;
  /** Where the simulator counts what it sends. */
  readonly host: { readonly number: number };
  readonly links = new Map<string, Link>();
  readonly #dialled = new Map<string, string | undefined>();
  readonly #waiting = new Map<Link, number>();
  readonly #mailbox = new Mailbox();
  readonly #heard = new Set<Message>();
  #closed = false;

  constructor(
    private readonly network: SimulatedNetwork,
    private readonly options: ClusterOptions,
    readonly id: string,
    readonly serial: number,
  ) {
    this.address = `sim:${serial}`;
    this.host = { number: serial };
    this.#redial();
  }

  get addresses(): readonly string[] {
    return this.#closed ? [] : [this.address];
  }

  get hasAudience(): boolean {
    return this.links.size > 0;
  }

  /** All neighbours: small networks have no mesh apart from that. */
  get chosen(): ReadonlySet<string> {
    return new Set(this.links.keys());
  }

  publish(message: Uint8Array): void {
    if (!this.#closed) this.network.world.gossip.publish(this.#asNode, message);
  }

  send(peerId: string, frame: Uint8Array): number {
    const link = this.links.get(peerId);
    if (!link) return 0;
    // What a link carries is not copied on its way.
    link.send(sideOf(link, this), frame.slice());
    const waiting = (this.#waiting.get(link) ?? 0) + frame.length + 1;
    this.#waiting.set(link, waiting);
    return waiting;
  }

  dial({ id, addresses }: PeerCandidate): void {
    for (const address of addresses) if (address !== this.address) this.#dialled.set(address, id);
    this.#tryAll();
  }

  forget(peerId: string): void {
    for (const [address] of this.#dialled) {
      if (this.network.at(address)?.id === peerId) this.#dialled.delete(address);
    }
  }

  disconnect(peerId: string, reason: string): void {
    const link = this.links.get(peerId);
    if (!link) return;
    link.close(sideOf(link, this));
    this.linkDown(link, reason);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const peer of [...this.links.keys()]) this.disconnect(peer, "this node is closing");
    this.network.closed(this);
    await new Promise((resolve) => setImmediate(resolve));
  }

  // What the simulator calls, as of its own nodes.

  receive(link: Link, frame: Uint8Array): void {
    const peer = peerOf(link, this);
    peer.taken(link, frame.length + 1);
    if (this.links.get(peer.id) === link)
      this.#mailbox.post(() => this.options.listener.frame(peer.id, frame));
  }

  receiveGossip(message: Message, from: string): void {
    if (message.seen.has(this.serial) || this.#closed || this.#heard.has(message)) return;
    message.seen.add(this.serial);
    this.#heard.add(message);
    let isSettled = false;
    this.#mailbox.post(() =>
      this.options.listener.gossip({
        from,
        bytes: message.bytes,
        settle: (verdict) => {
          if (!isSettled && verdict === "accept" && !this.#closed)
            this.network.world.gossip.forward(this.#asNode, message, from);
          isSettled = true;
        },
      }),
    );
  }

  linkDown(link: Link, reason: string): void {
    const peer = peerOf(link, this);
    if (this.links.get(peer.id) !== link) return;
    this.links.delete(peer.id);
    this.#mailbox.post(() => this.options.listener.peerDown(peer.id, reason));
  }

  taken(link: Link, bytes: number): void {
    this.#waiting.set(link, (this.#waiting.get(link) ?? 0) - bytes);
  }

  linkUp(link: Link): void {
    const { id, address } = peerOf(link, this);
    this.links.set(id, link);
    this.#mailbox.post(() => this.options.listener.peerUp({ id, address }));
  }

  get #asNode(): SimNode {
    return this as unknown as SimNode;
  }

  #redial(): void {
    if (this.#closed) return;
    this.#tryAll();
    this.network.world.timeline.after(REDIAL_MS, () => this.#redial());
  }

  #tryAll(): void {
    for (const address of this.#dialled.keys()) {
      this.network.world.timeline.after(this.network.world.dice.whole(4, 80), () => this.#connect(address));
    }
  }

  #connect(address: string): void {
    const other = this.network.at(address);
    if (this.#closed || !other || !this.#dialled.has(address) || other.id === this.id) return;
    if (this.links.has(other.id) || other.options.cluster !== this.options.cluster) return;
    const stale = other.links.get(this.id);
    if (stale) other.disconnect(this.id, "replaced by a new connection");
    const link = new Link(this.network.world, [this.#asNode, other.#asNode]);
    this.network.world.network.links.add(link);
    other.linkUp(link);
    this.linkUp(link);
  }
}

function sideOf(link: Link, engine: SimulatedEngine): Side {
  return (link.ends[0] as unknown) === engine ? 0 : 1;
}

function peerOf(link: Link, engine: SimulatedEngine): SimulatedEngine {
  return link.ends[1 - sideOf(link, engine)] as unknown as SimulatedEngine;
}
