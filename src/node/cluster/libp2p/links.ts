import type { Connection, Stream } from "@libp2p/interface";
import { FrameStream } from "./frame-stream.js";
import type { Gossip } from "./gossip.js";
import { decodeGreeting, encodeGreeting } from "./greeting.js";
import { AwaitedConnections, type Link, newLink } from "./link.js";

/** The protocol of the frame stream. */
export const SYNC_PROTOCOL = "/hubcast/sync/1";

interface LinksListener {
  up(peerId: string, address: string): void;
  /** Every `up` has one. */
  down(peerId: string, reason: string): void;
  frame(peerId: string, frame: Uint8Array): void;
}

/**
 * Which connection serves which peer: one at a time, whoever dialled and however often.
 *
 * The node with the smaller id opens the frame stream, so it alone chooses among several connections: the first
 * one. A second one that it dialled itself is closed. A second one that the peer dialled means that both dialled at
 * once, or that the peer came back from a crash; so it asks on it whether the peer still holds the first (see
 * Greeting). A peer that says no is right: the old link is dead. Nothing depends on timing.
 */
export class Links {
  readonly #selfId: string;
  readonly #cluster: string;
  readonly #gossip: Gossip;
  readonly #listener: LinksListener;
  /** By peer: the link that serves it, or is about to. */
  readonly #links = new Map<string, Link>();
  /** All links, also those whose fate is open. */
  readonly #all = new Set<Link>();
  readonly #awaited = new AwaitedConnections();

  /** Set once this node closes: whatever ends after that ends for this reason. */
  #closingReason: string | undefined;

  constructor(selfId: string, cluster: string, gossip: Gossip, listener: LinksListener) {
    this.#selfId = selfId;
    this.#cluster = cluster;
    this.#gossip = gossip;
    this.#listener = listener;
  }

  /** Peers that are served, or about to be. */
  get size(): number {
    return this.#links.size;
  }

  /** Whether a connection serves that peer, is about to, or is still the peer's to choose. */
  isConnected(peerId: string): boolean {
    return this.#awaited.has(peerId) || [...this.#all].some((link) => link.peerId === peerId);
  }

  /** Whether gossip may flow on it: both have greeted. */
  serves(connection: Connection): boolean {
    const link = this.#links.get(connection.remotePeer.toString());
    return link?.connection.id === connection.id && (link.state === "joining" || link.state === "up");
  }

  /** A connection was opened, by us or by the peer. */
  connected(connection: Connection): void {
    connection.addEventListener("close", () => this.#disconnected(connection), { once: true });
    if (connection.status !== "open" || this.#closingReason !== undefined) return;
    if (this.#opens(connection)) this.#offer(connection);
    else this.#await(connection);
  }

  /** The peer opened a frame stream. */
  accepted(stream: Stream, connection: Connection): void {
    this.#awaited.delete(connection);
    if (this.#opens(connection)) {
      connection.abort(new Error("the frame stream is not the peer's to open"));
      return;
    }
    this.#attach(this.#newLink(connection, false), stream);
  }

  /** Gossip with that peer flows. */
  joined(peerId: string): void {
    const link = this.#links.get(peerId);
    if (link?.state === "joining") this.#up(link);
  }

  /** @returns bytes that wait for the peer; 0 when it is not connected */
  send(peerId: string, frame: Uint8Array): number {
    const link = this.#links.get(peerId);
    return link?.state === "up" ? link.frames!.send(frame) : 0;
  }

  /** @param silent it said nothing any more, which counts against it in the middle of a frame */
  cut(peerId: string, reason: string, silent = false): void {
    const link = this.#links.get(peerId);
    if (link) this.#end(link, reason, silent && link.frames?.isMidFrame);
  }

  /** Tells every peer, behind what was sent, that no more will come; resolves when they have hung up. */
  async finish(reason: string): Promise<void> {
    this.#closingReason = reason;
    const up = [...this.#all].filter(({ state }) => state === "up");
    await Promise.all(
      up.map(async (link) => {
        await link.frames!.finish();
        const { promise, resolve } = Promise.withResolvers<void>();
        link.connection.addEventListener("close", () => resolve(), { once: true });
        if (link.connection.status === "open") await promise;
      }),
    );
  }

  close(): void {
    this.#awaited.clear();
    for (const link of this.#all) {
      link.next = undefined;
      this.#end(link, "");
    }
  }

  /** The peers that are up. */
  *up(): Iterable<{ readonly id: string; readonly address: string; readonly queuedBytes: number }> {
    for (const { peerId, connection, state, frames } of this.#links.values()) {
      if (state !== "up") continue;
      yield { id: peerId, address: connection.remoteAddr.toString(), queuedBytes: frames!.queuedBytes };
    }
  }

  #opens(connection: Connection): boolean {
    return this.#selfId < connection.remotePeer.toString();
  }

  #offer(connection: Connection): void {
    const current = this.#links.get(connection.remotePeer.toString());
    if (!current) this.#open(connection, false);
    else if (connection.direction === "outbound") connection.abort(new Error("already connected"));
    else if (current.state === "up") this.#open(connection, true);
    else {
      current.next?.abort(new Error("already connected"));
      current.next = connection;
    }
  }

  #await(connection: Connection): void {
    if (
      connection.direction === "outbound" &&
      this.#links.get(connection.remotePeer.toString())?.state === "up"
    ) {
      connection.abort(new Error("already connected"));
      return;
    }
    this.#awaited.add(connection);
  }

  #open(connection: Connection, spare: boolean): void {
    const link = this.#newLink(connection, spare);
    if (!spare) this.#links.set(link.peerId, link);
    connection.newStream(SYNC_PROTOCOL).then(
      (stream) => {
        if (link.state === "down") return stream.abort(new Error("too late"));
        this.#attach(link, stream);
        link.frames!.send(encodeGreeting({ spare, cluster: this.#cluster }));
      },
      (error) => this.#end(link, `no frame stream: ${(error as Error).message}`),
    );
  }

  #newLink(connection: Connection, spare: boolean): Link {
    const link = newLink(connection, spare, (reason) => this.#end(link, reason));
    this.#all.add(link);
    return link;
  }

  #attach(link: Link, stream: Stream): void {
    link.frames = new FrameStream(stream, {
      frame: (frame) => this.#received(link, frame),
      ended: (reason, breach) => this.#end(link, reason, breach),
    });
  }

  #received(link: Link, frame: Uint8Array): void {
    if (link.state === "down") return;
    if (link.state === "greeting") {
      this.#greeted(link, frame);
      return;
    }
    // The peer is further than we are; what it sends must still find its peerUp in front.
    if (link.state === "joining") this.#up(link);
    this.#listener.frame(link.peerId, frame);
  }

  #greeted(link: Link, frame: Uint8Array): void {
    const greeting = decodeGreeting(frame);
    const opened = this.#opens(link.connection);
    const current = this.#links.get(link.peerId);
    if (!greeting) {
      this.#end(link, "it does not speak hubcast");
      return;
    }
    if (greeting.spare && !opened && current) {
      this.#end(link, "already connected");
      return;
    }
    if (!opened) link.frames!.send(encodeGreeting({ spare: false, cluster: this.#cluster }));
    if (greeting.cluster !== this.#cluster) {
      // The answer, if it was ours to give, must leave before the connection is cut.
      const reason = `it belongs to cluster "${greeting.cluster}"`;
      void link.frames!.finish().then(() => this.#end(link, reason));
      return;
    }
    if (current && current !== link) {
      current.next = undefined;
      this.#end(current, "replaced by a newer connection");
    }
    this.#links.set(link.peerId, link);
    link.state = "joining";
    if (opened) this.#gossip.join(link.connection);
  }

  #up(link: Link): void {
    clearTimeout(link.deadline);
    link.state = "up";
    this.#listener.up(link.peerId, link.connection.remoteAddr.toString());
    if (link.next?.status === "open") this.#open(link.next, true);
    link.next = undefined;
  }

  #disconnected(connection: Connection): void {
    this.#awaited.delete(connection);
    for (const link of this.#all) {
      if (link.connection === connection) this.#end(link, "connection lost");
    }
  }

  #end(link: Link, reason: string, breach = false): void {
    if (link.state === "down") return;
    const { state, peerId, connection, next } = link;
    if (breach) this.#gossip.punish(peerId);
    link.state = "down";
    clearTimeout(link.deadline);
    this.#all.delete(link);
    if (this.#links.get(peerId) === link) {
      this.#links.delete(peerId);
      if (state !== "greeting") this.#gossip.leave(connection.remotePeer);
    }
    link.frames?.abort(reason);
    connection.abort(new Error(reason));
    if (state === "up") this.#listener.down(peerId, this.#closingReason ?? reason);
    if (next?.status === "open") this.#offer(next);
  }
}
