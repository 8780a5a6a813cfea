import type { Host } from "./host.js";
import { Link } from "./link.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** How often a node looks for peers to dial. */
const DIAL_EVERY_MS = 500;
/** Up to so many nodes all know all; beyond, each dials a few and lets some more dial it. */
export const FULL_MESH_NODES_MAX = 33;
const PEERS_DIALLED = 8;
const PEERS_TAKEN_MAX = 16;
/** Dials of one look. */
const DIALS = 4;

/** Who is connected to whom, and who can be: discovery, dialling, stalls, and partitions. */
export class Network {
  readonly links = new Set<Link>();

  constructor(private readonly world: World) {}

  /** Keeps a node connected as long as it lives. */
  attach(node: SimNode): void {
    const look = () => {
      if (!node.alive) return;
      if (!node.frozen) this.#dial(node);
      this.world.timeline.after(this.world.dice.whole(DIAL_EVERY_MS / 2, DIAL_EVERY_MS), look);
    };
    this.world.timeline.after(this.world.dice.whole(1, DIAL_EVERY_MS / 2), look);
  }

  /** Splits the hosts into groups at random: links across freeze until `join`. */
  split(groups: number): void {
    this.world.hosts.forEach((host) => {
      host.group = this.world.dice.whole(0, groups - 1);
    });
    for (const link of this.links) if (isAcross(link)) link.freeze();
  }

  /** Ends a partition. */
  join(): void {
    for (const link of this.links) if (isAcross(link)) link.thaw();
    for (const host of this.world.hosts) host.group = 0;
  }

  #dial(node: SimNode): void {
    const { dice, hosts, multicast, options } = this.world;
    if (options.nodes <= FULL_MESH_NODES_MAX) {
      const found = multicast ? hosts : [...node.host.known].map((address) => this.world.hostAt(address));
      for (const host of found) this.#tryDial(node, host);
      return;
    }
    for (let dial = 0; dial < DIALS && node.links.size < PEERS_DIALLED; dial++)
      this.#tryDial(node, dice.pick(hosts)!);
  }

  #tryDial(node: SimNode, host: Host | undefined): void {
    const { dice, timeline, weather } = this.world;
    const other = host?.node;
    if (!other || other === node || node.links.has(other.id) || dice.chance(weather.loss)) return;
    // A handshake takes two round trips; both ends may have changed by then.
    timeline.after(dice.whole(4, 80), () => this.#connect(node, other));
  }

  #connect(node: SimNode, other: SimNode): void {
    if (!node.alive || !other.alive || node.frozen || other.frozen || node.host.group !== other.host.group)
      return;
    if (node.links.has(other.id)) return;
    if (this.world.options.nodes > FULL_MESH_NODES_MAX && other.links.size >= PEERS_TAKEN_MAX) return;
    const stale = other.links.get(node.id);
    if (stale) other.linkDown(stale, "replaced by a new connection");
    const link = new Link(this.world, [node, other]);
    this.links.add(link);
    other.linkUp(link, node);
    node.linkUp(link, other);
  }
}

function isAcross({ ends: [a, b] }: Link): boolean {
  return a.host.group !== b.host.group;
}
