import type { SimNode } from "./sim-node.js";

/** What one host sent and received. */
interface HostFigures {
  messages: number;
  bytes: number;
}

/** Counts what travels through a world. */
export class Figures {
  readonly #sent: HostFigures[] = [];
  frames = 0;
  frameBytes = 0;
  gossipCopies = 0;
  gossipBytes = 0;
  /** Copies of gossip messages that reached a node, duplicates included. */
  copiesReceived = 0;
  /** Gossip messages that reached a node for the first time. */
  messagesReceived = 0;

  frameSent({ host }: SimNode, bytes: number): void {
    this.frames++;
    this.frameBytes += bytes;
    this.#add(host.number, bytes);
  }

  gossipSent({ host }: SimNode, bytes: number): void {
    this.gossipCopies++;
    this.gossipBytes += bytes;
    this.#add(host.number, bytes);
  }

  perHost(): readonly HostFigures[] {
    return this.#sent;
  }

  #add(host: number, bytes: number): void {
    this.#sent[host] ??= { messages: 0, bytes: 0 };
    const sent = this.#sent[host];
    sent.messages++;
    sent.bytes += bytes;
  }
}
