import type { Dice, Timeline } from "./determinism.js";
import type { Host } from "./host.js";
import { type NetworkFaults, type Side, VirtualLink } from "./link.js";
import type { SimNode } from "./node.js";
import type { SimulationOptions } from "./options.js";
import type { Safety } from "./safety.js";

/** The longest time until a dial without an answer fails, as in the engine. */
const UNREACHABLE_MS = 5_000;
/** Larger worlds have no multicast: their nodes start with a few addresses. */
const MULTICAST_NODES_MAX = 33;
/** A node announces itself three times after its start, and queries periodically, as with mDNS. */
const ANNOUNCED_AT_MS = [30, 1_000, 4_000];
const QUERY_EVERY_MS = 20_000;

/** The hosts that the network connects, and the processes on them. */
interface ConnectedWorld {
  readonly options: SimulationOptions;
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly faults: Readonly<NetworkFaults>;
  readonly safety: Safety;
  readonly hosts: readonly Host[];
  hostAt(address: string): Host | undefined;
  /** The process that runs on a host now. */
  nodeOn(host: Host): SimNode | undefined;
  /** Processes that run now, frozen ones too. */
  living(): readonly SimNode[];
  /** Addresses that a process is told when it starts on a host. */
  seedsOf(host: Host): readonly string[];
}

/** Connects hosts: discovery, dials, links, and partitions. */
export class Network {
  readonly links = new Set<VirtualLink>();
  /** Whether hosts discover each other by multicast; otherwise each starts with two addresses, as with `--peer`. */
  readonly multicast: boolean;

  constructor(private readonly world: ConnectedWorld) {
    this.multicast = world.options.nodes <= MULTICAST_NODES_MAX && world.dice.named("network").chance(0.5);
  }

  /** A process has started: it discovers others, or gets a few addresses. */
  attach(node: SimNode): void {
    const { timeline, dice } = this.world;
    if (!this.multicast) {
      for (const address of this.world.seedsOf(node.host))
        timeline.after(dice.whole(0, 20), () => node.tell({ type: "found", addresses: [address] }));
      return;
    }
    for (const delayMs of ANNOUNCED_AT_MS) timeline.after(delayMs, () => this.#announce(node));
    const query = () => {
      if (!node.alive) return;
      for (const other of this.world.living()) this.#hears(node, other);
      timeline.after(QUERY_EVERY_MS, query);
    };
    timeline.after(dice.whole(10, 100), query);
  }

  /** Tries to connect a node with the process at the first of some addresses. */
  dial(node: SimNode, attempt: number, addresses: readonly string[], peer: string | undefined): void {
    const { dice, timeline, faults, safety } = this.world;
    safety.dialling(node, addresses[0]!);
    const host = this.world.hostAt(addresses[0]!);
    const failed = (delayMs: number, reason: string, self = false) =>
      timeline.after(delayMs, () => node.tell({ type: "dialFailed", attempt, reason, self }));
    if (host === node.host) {
      failed(5, "own address", true);
      return;
    }
    if (!host || isApart(node.host, host) || dice.chance(faults.loss)) {
      failed(dice.whole(1_000, UNREACHABLE_MS), "no answer");
      return;
    }
    // A handshake takes two round trips; both ends may have changed by then.
    timeline.after(dice.whole(4, 80), () => {
      const other = this.world.nodeOn(host);
      if (!node.alive || !other || (peer !== undefined && other.id !== peer))
        return failed(1, "nobody there, or another");
      if (isApart(node.host, host) || node.frozen || other.frozen) return failed(UNREACHABLE_MS, "no answer");
      if (!other.admits(node.id)) return failed(1, "refused");
      const link = new VirtualLink({
        timeline,
        dice,
        faults,
        ends: [node, other],
        numbers: [node.nextLink(), other.nextLink()],
        closed: (link) => this.links.delete(link),
      });
      this.links.add(link);
      if (isCut(node.host, host)) link.freeze(0);
      if (isCut(host, node.host)) link.freeze(1);
      other.linkUp(link, 1, undefined);
      node.linkUp(link, 0, attempt);
    });
  }

  /** Splits the hosts into groups at random: links across freeze until `join`. */
  split(groups: number): void {
    const { dice, hosts } = this.world;
    this.#change(() => {
      for (const host of hosts) host.group = dice.whole(0, groups - 1);
    });
  }

  /** Cuts one direction: messages of some hosts do not reach the others. */
  cutOneWay(): void {
    const { dice, hosts } = this.world;
    this.#change(() => {
      for (const host of hosts) host.isMute = dice.chance(0.3);
    });
  }

  /** Ends partitions and cuts. */
  join(): void {
    this.#change(() => {
      for (const host of this.world.hosts) Object.assign(host, { group: 0, isMute: false });
    });
  }

  #change(change: () => void): void {
    const directions = [...this.links].flatMap((link) =>
      ([0, 1] as const).map((from) => ({ link, from, was: isCutOff(link, from) })),
    );
    change();
    for (const { link, from, was } of directions) {
      const is = isCutOff(link, from);
      if (is && !was) link.freeze(from);
      if (!is && was) link.thaw(from);
    }
  }

  #announce(node: SimNode): void {
    if (!node.alive) return;
    for (const other of this.world.living()) this.#hears(other, node);
  }

  /** One node discovers another by multicast. */
  #hears(listener: SimNode, speaker: SimNode): void {
    const { dice, faults } = this.world;
    if (listener === speaker || isApart(listener.host, speaker.host) || speaker.frozen) return;
    if (dice.chance(faults.loss)) return;
    listener.tell({ type: "found", addresses: [speaker.host.address], peer: speaker.id });
  }
}

/** No packet of the first host reaches the second. */
function isCut(from: Host, to: Host): boolean {
  return from.group !== to.group || (from.isMute && !to.isMute);
}

/** A connection needs both directions. */
function isApart(a: Host, b: Host): boolean {
  return isCut(a, b) || isCut(b, a);
}

function isCutOff({ ends }: VirtualLink, from: Side): boolean {
  return isCut(ends[from].host, ends[from === 0 ? 1 : 0].host);
}
