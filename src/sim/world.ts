import type { ReplicaOptions } from "../node/protocol/context.js";
import { decodeFrame, encodeFrame, type Frame, FrameDecodeError } from "../node/protocol/frames.js";
import type { Item } from "../node/protocol/item.js";
import { Replica } from "../node/protocol/replica.js";
import { Dice } from "./dice.js";
import { VirtualDisk } from "./disk.js";
import { Figures } from "./figures.js";
import { Gossip } from "./gossip.js";
import { Host } from "./host.js";
import { KnownItems } from "./known-items.js";
import { FULL_MESH_NODES_MAX, Network } from "./network.js";
import type { SimulationOptions } from "./options.js";
import { Safety } from "./safety.js";
import { SimNode } from "./sim-node.js";
import { Timeline } from "./timeline.js";

/** 2026-01-01T00:00:00Z: when every world begins. */
const BEGIN_MS = 1_767_225_600_000;

/** What the network and the disks do to what passes through them; all 0: nothing bad. */
export interface Weather {
  loss: number;
  /** Of gossip copies: sent twice. */
  duplication: number;
  /** Of gossip copies: late. */
  reordering: number;
  /** Of commits: refused. */
  diskFailure: number;
}

/** Hosts, the processes on them, the network between them, and their time. */
export class World {
  readonly timeline = new Timeline(BEGIN_MS);
  readonly dice: Dice;
  readonly weather: Weather = { loss: 0, duplication: 0, reordering: 0, diskFailure: 0 };
  readonly hosts: Host[] = [];
  readonly items = new KnownItems();
  readonly figures = new Figures();
  readonly network = new Network(this);
  readonly gossip = new Gossip(this);
  readonly safety = new Safety(this);
  /** All hosts hear of each other by mDNS; else each is told of two (`--peer`), and its peers introduce the others. */
  readonly multicast: boolean;
  readonly #hostByAddress = new Map<string, Host>();
  readonly #decoded = new WeakMap<Uint8Array, Frame>();
  #encoded: { frame: Frame; bytes: Uint8Array } | undefined;
  #starts = 0;

  /** @param makeReplica a test plants its bugs here */
  constructor(
    readonly options: SimulationOptions,
    readonly makeReplica: (options: ReplicaOptions) => Replica = (complete) => new Replica(complete),
  ) {
    this.dice = new Dice(String(options.seed));
    this.multicast = options.nodes > FULL_MESH_NODES_MAX || this.dice.chance(0.5);
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  /** Since its begin. */
  get elapsedMs(): number {
    return this.nowMs - BEGIN_MS;
  }

  /** Processes that run now, frozen ones too. */
  living(): SimNode[] {
    return this.hosts.flatMap(({ node }) => node ?? []);
  }

  hostAt(address: string): Host | undefined {
    return this.#hostByAddress.get(address);
  }

  /** A new host, switched off. */
  addHost(): Host {
    const { dice, options, hosts } = this;
    const number = hosts.length;
    const durable = dice.chance(options.disk);
    const disk = new VirtualDisk({
      timeline: this.timeline,
      dice: dice.named(`disk ${number}`),
      durable,
      failure: () => (durable ? this.weather.diskFailure : 0),
      counted: (item, change) => this.#counted(host, item, change),
    });
    const address = `sim:${number}`;
    const skewMs = dice.whole(-options.skewMs, options.skewMs);
    // The first host never leaves, so whoever knows it finds the others.
    const known = new Set(number === 0 ? [] : [hosts[0]!.address, dice.pick(hosts)!.address]);
    const host: Host = new Host(number, address, skewMs, durable, disk, known);
    hosts.push(host);
    this.#hostByAddress.set(address, host);
    return host;
  }

  /** Starts a process on a host. One with a disk keeps its identity, another gets a new one. */
  start(host: Host): void {
    host.starts++;
    const id = host.durable ? `node-${host.number}` : `node-${host.number}.${host.starts}`;
    host.node = new SimNode(this, host, id, this.#starts++);
    host.node.start();
    this.network.attach(host.node);
  }

  /** The process of a host is gone. */
  ended(host: Host): void {
    host.node = undefined;
    host.disk.crash();
  }

  /** @returns the bytes that travel; a frame said to many is encoded once */
  encode(frame: Frame): Uint8Array {
    if (this.#encoded?.frame !== frame) this.#encoded = { frame, bytes: encodeFrame(frame) };
    return this.#encoded.bytes;
  }

  /** @returns undefined when the bytes are no frame; bytes heard by many are decoded once */
  decode(bytes: Uint8Array): Frame | undefined {
    try {
      const frame = this.#decoded.get(bytes) ?? decodeFrame(bytes);
      this.#decoded.set(bytes, frame);
      return frame;
    } catch (error) {
      if (error instanceof FrameDecodeError) return undefined;
      throw error;
    }
  }

  accepted(item: Item): void {
    this.items.record(item).acceptedAtMs ??= this.nowMs;
  }

  #counted({ node }: Host, item: Item, change: 1 | -1): void {
    const record = this.items.record(item);
    record.keepers += change;
    if (record.keepers === 0) record.excused = true;
    if (change === 1 && node && node.startedAtMs <= (record.acceptedAtMs ?? this.nowMs))
      record.heldAtMs = this.nowMs;
  }
}
