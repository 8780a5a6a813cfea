import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { Exchange } from "./exchange.js";
import { type SummaryFrame, unpackDigests } from "./frames.js";
import type { DisconnectReason, ReplicaInput } from "./messages.js";
import { Neighbours } from "./neighbours.js";
import type { PeerRecord } from "./peer-table.js";
import { Rounds } from "./rounds.js";

/** What comes from one peer that is connected already. */
type PeerInput = Extract<ReplicaInput, { type: "peerDown" | "frameReceived" | "itemsReceived" | "garbled" }>;

type SyncInput =
  | PeerInput
  | Extract<ReplicaInput, { type: "peerUp" | "renamed" | "policyChanged" | "stopped" | "woke" }>;

/** How often the timers of all peers are looked at together: one wake-up, not one per peer. */
const TICK_MS = 500;

/** All that a replica and its peers say to each other besides gossip. */
export class Sync {
  readonly #neighbours: Neighbours;
  readonly #exchange: Exchange;
  readonly #rounds: Rounds;
  /** Peers that this node has reconciled with, in either role, since they met. */
  readonly #reconciled = new Set<string>();
  /** Peers whose last summary is still to be compared with what is held here, as soon as nothing is on its way. */
  readonly #uncompared = new Set<string>();
  #tickAtMs = 0;
  /** Without a peer by then, the node is ready alone. */
  #aloneAtMs: number | undefined;

  constructor(private readonly context: ReplicaContext) {
    this.#neighbours = new Neighbours(context);
    this.#exchange = new Exchange(context);
    this.#rounds = new Rounds(context, this.#exchange);
  }

  get wakeAtMs(): number {
    return this.#tickAtMs;
  }

  handle(input: SyncInput, nowMs: number): void {
    switch (input.type) {
      case "woke":
        this.#tick(nowMs);
        return;
      case "renamed":
        this.#neighbours.tellAll({ t: "renamed", name: this.context.options.name() });
        return;
      case "policyChanged":
        this.#neighbours.tellAll({ t: "policy", policy: this.context.options.policy.text });
        // They may hold what this node takes from now on.
        for (const { id } of this.context.peers.greeted()) this.#rounds.request(id, nowMs);
        return;
      case "stopped":
        this.#neighbours.leave();
        return;
      case "peerUp":
        this.#neighbours.greet(this.context.peers.up(input.peer, input.address, nowMs), nowMs);
        return;
    }
    const peer = this.context.peers.get(input.peer);
    // Words of somebody already cut off.
    if (peer?.state !== "connected") return;
    const reason = this.#hear(peer, input, nowMs);
    if (reason) this.#cut(peer, reason, nowMs);
  }

  /** @returns why the peer must go, if it must */
  #hear(peer: PeerRecord, input: PeerInput, nowMs: number): DisconnectReason | undefined {
    peer.heardAtMs = nowMs;
    switch (input.type) {
      case "peerDown":
        this.#gone(peer, input.reason, nowMs);
        return undefined;
      case "garbled":
        return "badFrame";
      case "itemsReceived":
        if (input.invalid > 0) return "invalidItem";
        if (!this.#exchange.take(peer.id, input.served, input.items, nowMs)) return "unwantedItem";
        this.#advance(peer.id, nowMs);
        return undefined;
      case "frameReceived":
        return this.#frame(peer, input.frame, nowMs);
    }
  }

  #frame(
    peer: PeerRecord,
    frame: Extract<ReplicaInput, { type: "frameReceived" }>["frame"],
    nowMs: number,
  ): DisconnectReason | undefined {
    if (frame.t === "hello" ? peer.hello : !peer.hello) return "badFrame";
    switch (frame.t) {
      case "hello": {
        const reason = this.#neighbours.greeted(peer, frame, nowMs);
        if (!reason) this.context.emit({ type: "notify", changes: [{ type: "peer", peer: peer.id }] });
        return reason;
      }
      case "summary":
        this.#summary(peer, frame, nowMs);
        return undefined;
      case "ping":
        this.context.emit({ type: "send", peer: peer.id, frame: { t: "pong", atMs: frame.atMs, nowMs } });
        return undefined;
      case "pong":
        this.#neighbours.ponged(peer, frame.atMs, frame.nowMs, nowMs);
        return undefined;
      case "renamed":
        peer.hello = { ...peer.hello!, name: frame.name };
        return undefined;
      case "policy":
        peer.hello = { ...peer.hello!, policy: frame.policy };
        return undefined;
      case "bye":
        peer.leaving = true;
        return undefined;
      case "peers":
        this.#neighbours.introduced(frame.peers);
        return undefined;
      case "reconcile":
        return this.#rounds.respond(peer.id, frame.round, frame.message, nowMs);
      case "reconciled": {
        const result = this.#rounds.answered(peer.id, frame.round, frame.message, nowMs);
        if (result !== "done") return result;
        this.#reconciled.add(peer.id);
        this.#advance(peer.id, nowMs);
        return undefined;
      }
      case "roundDone":
        this.#reconciled.add(peer.id);
        this.#advance(peer.id, nowMs);
        return undefined;
      case "have":
        this.#exchange.want(peer.id, unpackDigests(frame.digests), nowMs);
        return undefined;
      case "want":
        this.#exchange.give(peer, frame.digests, nowMs);
        return undefined;
      case "confirm":
        this.context.confirm(peer.id, unpackDigests(frame.digest)[0]!);
        return undefined;
      case "confirmed":
        this.context.emit({ type: "confirmed", digest: unpackDigests(frame.digest)[0]!, peer: peer.id });
        return undefined;
    }
  }

  /** What a round found has arrived here: peers may lack it, whose summaries said nothing new meanwhile. */
  fetched(): void {
    for (const { id } of this.context.peers.greeted()) this.#uncompared.add(id);
  }

  #summary(peer: PeerRecord, summary: SummaryFrame, nowMs: number): void {
    this.#neighbours.summarised(peer, summary, nowMs);
    if (this.#leads(peer)) {
      this.#uncompared.add(peer.id);
      this.#compare(peer, nowMs);
    } else if (this.#reconciled.has(peer.id) && this.#isBehind(peer, summary)) {
      // The one that leads knows only what this node said last, and it said nothing since: nothing came.
      this.#neighbours.tellSummaryTo(peer, nowMs);
    }
  }

  /**
   * Peers that meet reconcile once; later, when what gossip should have settled differs. One of the two leads, and
   * leaves alone for now a peer that is still fetching what an earlier round found.
   */
  #compare(peer: PeerRecord, nowMs: number): void {
    if (!peer.summary || !this.#leads(peer)) this.#uncompared.delete(peer.id);
    else if (!this.#isOccupied(peer, nowMs)) {
      this.#uncompared.delete(peer.id);
      if (!this.#reconciled.has(peer.id) || this.#isBehind(peer, peer.summary))
        this.#rounds.request(peer.id, nowMs);
    }
  }

  /** One of the two lacks what gossip should have settled, and not by policy. */
  #isBehind(peer: PeerRecord, summary: SummaryFrame): boolean {
    return this.#neighbours.sharesPolicy(peer) && !this.#neighbours.agreesSettled(summary);
  }

  /** A round with a peer is open or asked for, or what one found is on its way. */
  #isOccupied(peer: PeerRecord, nowMs: number): boolean {
    if (this.#rounds.isBusyWith(peer.id)) return true;
    const isFetching = nowMs - peer.givenAtMs < LIMITS.settleMs || this.context.wants.from(peer.id) > 0;
    return isFetching && this.#reconciled.has(peer.id);
  }

  /** Of two that meet the one that is still starting leads; of equals, and later on, the one with the smaller id. */
  #leads(peer: PeerRecord): boolean {
    const theyWereStarting = peer.hello!.starting;
    if (this.#reconciled.has(peer.id) || peer.greetedStarting === theyWereStarting) {
      return this.context.options.id < peer.id;
    }
    return peer.greetedStarting;
  }

  #advance(peer: string, nowMs: number): void {
    if (this.context.starting && this.#reconciled.has(peer) && this.context.wants.size === 0) {
      this.context.starting = false;
    }
    this.#rounds.advance(nowMs);
  }

  #tick(nowMs: number): void {
    // Further off than ever asked for: the clock was set back.
    if (nowMs < this.#tickAtMs && this.#tickAtMs - nowMs <= TICK_MS) return;
    this.#tickAtMs = nowMs + TICK_MS;
    this.#aloneAtMs ??= nowMs + LIMITS.aloneAfterMs;
    if (nowMs >= this.#aloneAtMs && this.context.peers.greeted().length === 0) this.context.starting = false;
    for (const peer of this.#neighbours.checkPulse(nowMs)) this.#cut(peer, "heartbeatLost", nowMs);
    for (const id of [...this.context.wants.overdue(nowMs), this.#rounds.overdue(nowMs)]) {
      const peer = id === undefined ? undefined : this.context.peers.get(id);
      if (peer?.state === "connected") this.#cut(peer, "answerOverdue", nowMs);
    }
    this.#neighbours.tellSummary(nowMs);
    for (const id of this.#uncompared) this.#compare(this.context.peers.get(id)!, nowMs);
    this.#rounds.advance(nowMs);
    this.context.peers.prune(nowMs);
  }

  #cut(peer: PeerRecord, reason: DisconnectReason, nowMs: number): void {
    this.context.emit({ type: "disconnect", peer: peer.id, reason });
    this.#gone(peer, reason, nowMs);
  }

  #gone(peer: PeerRecord, reason: string, nowMs: number): void {
    const { peers, wants, emit } = this.context;
    if (!peers.down(peer.id, reason, nowMs)) return;
    this.#reconciled.delete(peer.id);
    this.#uncompared.delete(peer.id);
    this.#rounds.forget(peer.id);
    if (peer.leaving) emit({ type: "forget", peer: peer.id });
    emit({ type: "notify", changes: [{ type: "peer", peer: peer.id }] });
    // Whoever else holds what this peer owed is asked instead.
    const [other] = wants.drop(peer.id) > 0 ? peers.greeted() : [];
    if (other) this.#rounds.request(other.id, nowMs);
    else this.#rounds.advance(nowMs);
  }
}
