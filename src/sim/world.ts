import type { ReplicaOptions } from "../node/replica/context.js";
import type { Item } from "../node/replica/item.js";
import { Replica } from "../node/replica/replica.js";
import { Dice, Timeline } from "./determinism.js";
import { Figures, type Host, VirtualDisk } from "./host.js";
import { Known } from "./known.js";
import type { NetworkFaults } from "./link.js";
import { Network } from "./network.js";
import { SimNode } from "./node.js";
import type { SimulationOptions } from "./options.js";
import { Safety } from "./safety.js";

/** 2026-01-01T00:00:00Z: the beginning of every world. */
const BEGIN_MS = 1_767_225_600_000;

/** Items of all nodes, and entries of all rosters, up to which a world is small: its nodes are looked at as wholes. */
export const INSPECTED_ITEMS_MAX = 300_000;
const INSPECTED_NODES_MAX = 100;

/** Of worlds with partitions: those whose seed leaves before them. */
const SEED_RETIRES = 0.4;

/** Probabilities of faults of the network and the disks; all 0: no faults. */
interface FaultRates extends NetworkFaults {
  /** Of commits: refused. */
  diskFailure: number;
}

/** Hosts, the processes on them, the network between them, and their time. */
export class World {
  readonly timeline = new Timeline(BEGIN_MS);
  readonly dice: Dice;
  readonly faults: FaultRates = { loss: 0, delay: 0, diskFailure: 0 };
  readonly hosts: Host[] = [];
  readonly known = new Known();
  readonly figures = new Figures();
  readonly network: Network;
  readonly safety = new Safety(this);
  /** The host that all are told of at their start; it never leaves for good. */
  seed = 0;
  /** The seed will leave for good: those that started before know no other address, and must find each other without it. */
  readonly seedRetires: boolean;
  /** The process that runs on each host now, by number. */
  readonly #nodes: (SimNode | undefined)[] = [];
  readonly #hostByAddress = new Map<string, Host>();
  #starts = 0;

  /** @param makeReplica a test plants its bugs here */
  constructor(
    readonly options: SimulationOptions,
    readonly makeReplica: (options: ReplicaOptions) => Replica = (complete) => new Replica(complete),
  ) {
    this.dice = new Dice(String(options.seed));
    this.network = new Network(this);
    // A host without a disk restarts as another member, which no peer looks for.
    const keepIds = options.partition > 1 && options.nodes > 3 && options.churn === 0;
    this.seedRetires = keepIds && !this.network.multicast && this.dice.named("seeds").chance(SEED_RETIRES);
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  get isSmall(): boolean {
    const { nodes, items } = this.options;
    return nodes <= INSPECTED_NODES_MAX && nodes * items <= INSPECTED_ITEMS_MAX;
  }

  /** Since its beginning. */
  get elapsedMs(): number {
    return this.nowMs - BEGIN_MS;
  }

  /** Processes that run now, frozen ones too. */
  living(): SimNode[] {
    return this.#nodes.filter((node) => node !== undefined);
  }

  /** The process that runs on a host now. */
  nodeOn(host: Host): SimNode | undefined {
    return this.#nodes[host.number];
  }

  hostAt(address: string): Host | undefined {
    return this.#hostByAddress.get(address);
  }

  /** A new host, switched off. @param isLiar it gives the address of another as its own */
  addHost(isLiar = false): Host {
    const { dice, options, hosts } = this;
    const number = hosts.length;
    const durable = dice.chance(options.disk);
    const address = `sim:${number}`;
    const host: Host = {
      number,
      address,
      skewMs: dice.whole(-options.skewMs, options.skewMs),
      liesMs: 0,
      clockSetAtMs: this.nowMs,
      durable,
      disk: new VirtualDisk({
        timeline: this.timeline,
        dice: dice.named(`disk ${number}`),
        durable,
        failure: () => (durable ? this.faults.diskFailure : 0),
        counted: (item, change) => this.#counted(host, item, change),
      }),
      known: number === 0 || this.seedRetires ? [] : [dice.pick(hosts)!.address],
      claims: isLiar ? hosts[0]?.address : undefined,
      starts: 0,
      group: 0,
      isMute: false,
      gone: false,
    };
    hosts.push(host);
    this.#nodes.push(undefined);
    this.#hostByAddress.set(address, host);
    return host;
  }

  /** Addresses that a process on this host starts with. */
  seedsOf(host: Host): readonly string[] {
    const seed = this.hosts[this.seed]!;
    return [...new Set([...(host === seed ? [] : [seed.address]), ...host.known])];
  }

  /** Starts a process on a host. One with a disk keeps its identity, another gets a new one. */
  start(host: Host): void {
    host.starts++;
    const id = host.durable ? `node-${host.number}` : `node-${host.number}.${host.starts}`;
    const node = new SimNode(this, host, id, this.#starts++);
    this.#nodes[host.number] = node;
    node.start();
    this.network.attach(node);
  }

  /** The process of a host has ended. */
  ended(host: Host): void {
    this.#nodes[host.number] = undefined;
    host.disk.crash();
  }

  /** Sets the wall clock of a host, while its process runs. @param skewMs minus true time */
  setClock(host: Host, skewMs: number): void {
    host.skewMs = skewMs;
    host.clockSetAtMs = this.nowMs;
  }

  accepted(item: Item): void {
    this.known.of(item).acceptedAtMs ??= this.nowMs;
  }

  #counted(host: Host, item: Item, change: 1 | -1): void {
    const node = this.nodeOn(host);
    const record = this.known.of(item);
    record.keepers += change;
    if (record.keepers === 0) record.excused = true;
    if (change === 1 && node && node.startedAtMs <= (record.acceptedAtMs ?? this.nowMs))
      record.heldAtMs = this.nowMs;
  }
}
