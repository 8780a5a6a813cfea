import { randomBytes } from "node:crypto";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { LIMITS } from "../../../core/limits.js";
import { FrameReceiver, FrameSender } from "./frame-pipe.js";
import { Herald } from "./herald.js";
import { lastToken, type Names } from "./names.js";
import { decodeMessage, encodeMessage, type LinkMessage } from "./wire.js";

interface LinksListener {
  up(peerId: string, address: string): void;
  /** Every `up` has one. */
  down(peerId: string, reason: string): void;
  frame(peerId: string, frame: Uint8Array): void;
}

interface LinksOptions {
  readonly connection: NatsConnection;
  readonly names: Names;
  readonly id: string;
  readonly peersMax: number;
  readonly listener: LinksListener;
}

interface Link {
  readonly peerId: string;
  /** Of the peer. */
  readonly session: string;
  readonly number: number;
  readonly offeredAtMs: number;
  isUp: boolean;
  readonly out: FrameSender;
  readonly in: FrameReceiver;
}

/** After a link has ended, or a wish to meet somebody: soon, but not for each of many. */
const HERE_SOON_MS = 100;
const OFFER_MS_MAX = 2_000;
/** Sessions that are not met again; the oldest is forgotten. */
const FORGOTTEN_MAX = 1_024;

/**
 * One stream of frames with each other node, over subjects of core NATS. A node is there as a session, a new one for
 * each connection to NATS, so that a link never outlives anything that may have lost a frame. Who is there says so;
 * of two that hear of each other the one with the smaller id offers a link, the other accepts.
 */
export class Links {
  readonly #options: LinksOptions;
  readonly #links = new Map<string, Link>();
  readonly #forgotten = new Set<string>();
  /** Sessions of our own, from the first on. */
  readonly #own = new Set<string>();
  #session: string | undefined;
  #subscriptions: readonly Subscription[] = [];
  readonly #herald = new Herald(() => this.#sayHere());
  #lastLink = 0;
  /** Another node has this identity now. */
  #hasYielded = false;

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** The connection is there: from now on this node can be met. */
  open(): void {
    if (this.#session !== undefined || this.#hasYielded) return;
    const { connection, names } = this.#options;
    this.#session = randomBytes(12).toString("hex");
    this.#own.add(this.#session);
    const callback = (error: Error | null, message: Msg) => {
      if (!error) this.#received(lastToken(message.subject), message.data);
    };
    this.#subscriptions = [names.to(this.#session, "*"), names.here].map((subject) =>
      connection.subscribe(subject, { callback }),
    );
    this.#herald.begin();
  }

  /** The connection is gone, or nobody is to be met any more: every link ends. */
  shut(reason: string): void {
    this.#herald.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
    this.#session = undefined;
    for (const link of [...this.#links.values()]) this.#end(link, reason);
  }

  /** Waits until peers have taken what was sent, at most so long, and says that no more will come. */
  async finish(reason: string, waitMsMax: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMsMax);
    await Promise.race([Promise.all([...this.#links.values()].map(({ out }) => out.drained())), late]);
    clearTimeout(timer);
    for (const link of this.#links.values())
      this.#say(link.session, { type: "end", link: link.number, reason });
    this.shut(reason);
  }

  send(peerId: string, frame: Uint8Array): number {
    const link = this.#links.get(peerId);
    if (!link?.isUp) return 0;
    link.out.add(frame);
    const { queuedBytes } = link.out;
    if (queuedBytes > LIMITS.peerQueueBytesMax) this.cut(peerId, "too much waits for it");
    return Math.max(1, queuedBytes);
  }

  /** @param forever not to be met again before it begins anew */
  cut(peerId: string, reason: string, forever = false): void {
    const link = this.#links.get(peerId);
    if (!link) return;
    if (forever) this.#forget(link.session);
    this.#say(link.session, { type: "end", link: link.number, reason });
    this.#end(link, reason);
  }

  /** It said goodbye. */
  forget(peerId: string): void {
    const link = this.#links.get(peerId);
    if (link) this.#forget(link.session);
  }

  /** Somebody is to be met, also one that was forgotten. */
  seek(peerId: string | undefined): void {
    if (peerId !== undefined && this.#links.get(peerId)?.isUp) return;
    this.#forgotten.clear();
    if (this.#session !== undefined) this.#herald.within(HERE_SOON_MS);
  }

  #received(from: string, bytes: Uint8Array): void {
    if (this.#own.has(from)) return;
    const message = decodeMessage(bytes);
    if (!message) return;
    if (message.type === "here") this.#here(message.id, from);
    else if (message.type === "offer") this.#offered(message.id, from, message.link);
    else {
      const link = [...this.#links.values()].find(
        (one) => one.session === from && one.number === message.link,
      );
      if (link) this.#linked(link, message);
    }
  }

  #here(id: string, session: string): void {
    if (id === this.#options.id) {
      // A twin has begun with this identity: the one that came first leaves it the place.
      this.#hasYielded = true;
      this.shut("another node with this id has come");
      return;
    }
    const link = this.#links.get(id);
    if (link && link.session !== session) this.#end(link, "it has begun anew");
    else if (link && (link.isUp || performance.now() - link.offeredAtMs < OFFER_MS_MAX)) return;
    if (this.#forgotten.has(session) || this.#links.size >= this.#options.peersMax) return;
    if (this.#options.id < id) this.#offer(id, session);
    else this.#say(session, { type: "here", id: this.#options.id });
  }

  #offer(id: string, session: string): void {
    const link = this.#newLink(id, session, ++this.#lastLink);
    this.#say(session, { type: "offer", link: link.number, id: this.#options.id });
  }

  #offered(id: string, session: string, number: number): void {
    if (id >= this.#options.id || this.#forgotten.has(session)) return;
    const before = this.#links.get(id);
    if (before) this.#end(before, "it has begun anew");
    if (this.#links.size >= this.#options.peersMax) return;
    const link = this.#newLink(id, session, number);
    this.#say(session, { type: "accept", link: number });
    this.#up(link);
  }

  #linked(link: Link, message: Exclude<LinkMessage, { type: "here" | "offer" }>): void {
    switch (message.type) {
      case "accept":
        if (!link.isUp) this.#up(link);
        break;
      case "piece": {
        const fault = link.isUp ? link.in.take(message) : undefined;
        if (fault) this.cut(link.peerId, fault);
        break;
      }
      case "credit":
        if (!link.out.credit(message.taken)) this.cut(link.peerId, "it took what it never got");
        break;
      case "end":
        this.#end(link, message.reason);
        break;
    }
  }

  #newLink(peerId: string, session: string, number: number): Link {
    const link: Link = {
      peerId,
      session,
      number,
      offeredAtMs: performance.now(),
      isUp: false,
      out: new FrameSender((piece) => this.#say(session, { type: "piece", link: number, ...piece })),
      in: new FrameReceiver(
        (frame) => this.#options.listener.frame(peerId, frame),
        (taken) => this.#say(session, { type: "credit", link: number, taken }),
      ),
    };
    this.#links.set(peerId, link);
    return link;
  }

  #up(link: Link): void {
    link.isUp = true;
    this.#options.listener.up(link.peerId, `nats://${this.#options.connection.getServer()}`);
  }

  #end(link: Link, reason: string): void {
    if (this.#links.get(link.peerId) === link) this.#links.delete(link.peerId);
    link.out.close();
    link.in.close();
    if (link.isUp) this.#options.listener.down(link.peerId, reason);
    link.isUp = false;
    if (this.#session !== undefined) this.#herald.within(5 * HERE_SOON_MS);
  }

  #sayHere(): void {
    const endMs = performance.now() - OFFER_MS_MAX;
    for (const link of this.#links.values()) {
      if (!link.isUp && link.offeredAtMs < endMs) this.#links.delete(link.peerId);
    }
    this.#publish(this.#options.names.hereOf(this.#session!), { type: "here", id: this.#options.id });
  }

  #say(session: string, message: LinkMessage): void {
    if (this.#session !== undefined) this.#publish(this.#options.names.to(session, this.#session), message);
  }

  #publish(subject: string, message: LinkMessage): void {
    const { connection } = this.#options;
    if (!connection.isClosed() && !connection.isDraining())
      connection.publish(subject, encodeMessage(message));
  }

  #forget(session: string): void {
    this.#forgotten.add(session);
    if (this.#forgotten.size <= FORGOTTEN_MAX) return;
    const [oldest] = this.#forgotten;
    this.#forgotten.delete(oldest!);
  }
}
