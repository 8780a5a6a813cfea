import type { Link } from "./link.js";
import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** Neighbours that a node chooses to forward to, those it has longest: GossipSub's D. */
export const MESH_DEGREE = 6;
/** A copy comes twice this often while faults happen, and late up to so many ms: out of order. */
const LATE_MS_MAX = 300;

/** One gossip message on its way through the mesh. */
export interface Message {
  readonly bytes: Uint8Array;
  /** Nodes that have received it: GossipSub's seen cache. */
  readonly seen: Marks;
}

/** A set of small whole numbers, one bit each: the serial numbers of nodes. */
export class Marks {
  #bits = new Uint8Array(32);

  has(number: number): boolean {
    return ((this.#bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }

  add(number: number): void {
    if (number >> 3 >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(this.#bits.length * 2, (number >> 3) + 1));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[number >> 3]! |= 1 << (number & 7);
  }
}

/**
 * Gossip as GossipSub does it: the author sends to all its neighbours, whoever accepts a message forwards it once, to
 * the neighbours of its mesh. Copies get lost, come twice, and overtake each other.
 */
export class Gossip {
  constructor(private readonly world: World) {}

  /** The author floods. */
  publish(author: SimNode, bytes: Uint8Array): void {
    const message: Message = { bytes, seen: new Marks() };
    message.seen.add(author.serial);
    for (const link of author.links.values()) this.#send(author, link, message);
  }

  /** @param from who it came from, and is not sent to */
  forward(node: SimNode, message: Message, from: string): void {
    for (const [peer, link] of node.links) {
      if (peer !== from && isMeshed(node, peer, link)) this.#send(node, link, message);
    }
  }

  #send(from: SimNode, link: Link, message: Message): void {
    const { dice, weather, timeline, figures } = this.world;
    const side = link.ends[0] === from ? 0 : 1;
    const to = link.ends[1 - side]!;
    figures.gossipSent(from, message.bytes.length);
    if (link.isFrozen || !link.open[side] || dice.chance(weather.loss)) return;
    figures.copiesReceived++;
    const copies = dice.chance(weather.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      // A copy of what is there already changes nothing when it comes: it need not be sent on.
      if (message.seen.has(to.serial)) return;
      const lateMs = dice.chance(weather.reordering) ? dice.whole(0, LATE_MS_MAX) : 0;
      timeline.after(link.delayMs() + lateMs, () => to.receiveGossip(message, from.id));
    }
  }
}

/** Each end forwards to the neighbours it chose, and to those that chose it: the mesh goes both ways. */
function isMeshed(node: SimNode, peer: string, link: Link): boolean {
  return node.chosen.has(peer) || link.ends[link.ends[0] === node ? 1 : 0].chosen.has(node.id);
}
