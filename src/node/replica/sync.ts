import { LIMITS } from "../../core/limits.js";
import { slicesOf } from "../../core/machine.js";
import type { ReplicaContext } from "./context.js";
import { encodedLength, type Item } from "./item.js";
import { type Link, slownessMs } from "./links.js";
import type { HoldingsSummary } from "./member.js";
import type { DisconnectReason } from "./messages.js";
import { type Differences, Rounds } from "./rounds.js";
import { type Frame, itemsFrame, packDigests, unpackDigests } from "./wire.js";

type SyncFrame = Extract<
  Frame,
  { readonly t: "summary" | "reconcile" | "reconciled" | "roundDone" | "have" | "want" }
>;

/** How often what differs is looked at. */
const TICK_MS = 500;
/**
 * An answer waits behind all that the peer has to read, and behind what this node has to: its deadline has so many round
 * trips more, and so many times the lateness of this node.
 */
const ANSWER_ROUND_TRIPS = 16;
const ANSWER_LATES = 32;

/**
 * Anti-entropy between linked peers: they tell each other what they hold, and reconcile when they meet, when what gossip
 * should have settled differs, and now and then (docs/protocol.md#rounds).
 */
export class Sync {
  readonly #exchange: Exchange;
  readonly #rounds: Rounds;
  /** Peers that this node has reconciled with, in either role, since they met. */
  readonly #reconciled = new Set<string>();
  /** Peers whose last summary is still to be compared with what is held here, as soon as nothing is on its way. */
  readonly #uncompared = new Set<string>();
  #summary: HoldingsSummary | undefined;
  #summaryAtMs = 0;
  /** Gossip lagged when peers were told last. */
  #isLagging = false;
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #tickAtMs = 0;
  /** Without a peer by then, the node is ready alone. */
  #aloneAtMs: number | undefined;

  constructor(private readonly context: ReplicaContext) {
    this.#exchange = new Exchange(context);
    this.#rounds = new Rounds(context, this.#exchange);
  }

  get wakeAtMs(): number {
    return this.#tickAtMs;
  }

  /** A link serves from now on. */
  linkUp(link: Link, nowMs: number): void {
    if (this.context.sharesItems(link)) this.#tellSummaryTo(link, nowMs);
    // Nothing is exchanged with a peer of another retention: nothing to wait for.
    else this.context.starting &&= this.context.links.count > 1;
  }

  linkDown(peer: string, nowMs: number): void {
    const { links, wants } = this.context;
    this.#reconciled.delete(peer);
    this.#uncompared.delete(peer);
    this.#rounds.forget(peer);
    // Others that hold what this peer owed are asked instead.
    const other = wants.drop(peer) > 0 ? [...links.up()].find(this.context.sharesItems) : undefined;
    if (other) this.#rounds.request(other.peer, nowMs);
    else this.#rounds.advance(nowMs);
    // The peer may come back, or another.
    if (links.count === 0) this.#aloneAtMs = nowMs + LIMITS.aloneAfterMs;
  }

  /** @returns why the link must end, if it must */
  frame(link: Link, frame: SyncFrame, nowMs: number): DisconnectReason | undefined {
    // Between two retentions no item counts on the other side.
    if (!this.context.sharesItems(link)) return undefined;
    switch (frame.t) {
      case "summary":
        this.#summarised(link, frame, nowMs);
        return undefined;
      case "reconcile":
        return this.#rounds.respond(link.peer, frame.round, frame.message, nowMs);
      case "reconciled": {
        const result = this.#rounds.answered(link.peer, frame.round, frame.message, nowMs);
        if (result !== "done") return result;
        this.#reconciled.add(link.peer);
        this.#advance(nowMs);
        return undefined;
      }
      case "roundDone":
        this.#reconciled.add(link.peer);
        this.#advance(nowMs);
        return undefined;
      case "have":
        this.#exchange.want(link.peer, unpackDigests(frame.digests), nowMs);
        return undefined;
      case "want":
        this.#exchange.give(link, frame.digests, nowMs);
        return undefined;
    }
  }

  /** Verified items came, in answer to a `want`. @returns why the link must end, if it must */
  items(link: Link, served: number, items: readonly Item[], nowMs: number): DisconnectReason | undefined {
    if (!this.#exchange.take(link.peer, served, items, nowMs)) return "unwantedItem";
    this.#advance(nowMs);
    return undefined;
  }

  /** Items that a round found have arrived here. Peers may lack them whose summaries have not changed meanwhile. */
  fetched(nowMs: number): void {
    this.#fetchedAtMs = nowMs;
    for (const { peer } of this.context.links.up()) this.#uncompared.add(peer);
  }

  /** Other items are taken from now on: peers may hold some. */
  policyChanged(nowMs: number): void {
    for (const link of this.context.links.up())
      if (this.context.sharesItems(link)) this.#rounds.request(link.peer, nowMs);
  }

  /** @returns links whose peers owe an answer for too long */
  tick(nowMs: number): Link[] {
    if (nowMs < this.#tickAtMs) return [];
    const { links, wants, lateMs } = this.context;
    this.#tickAtMs = nowMs + TICK_MS;
    this.#aloneAtMs ??= nowMs + LIMITS.aloneAfterMs;
    // A peer that is far away takes longer to meet.
    const aloneAtMs = this.#aloneAtMs + (this.context.isMeeting ? LIMITS.peerHandshakeMsMax : 0);
    if (nowMs >= aloneAtMs && links.count === 0) this.context.starting = false;
    this.#tellSummary(nowMs);
    for (const peer of this.#uncompared) this.#compare(peer, nowMs);
    this.#advance(nowMs);
    return [...wants.owed(), ...this.#rounds.owed].flatMap((owed) => {
      const link = links.with(owed.peer);
      if (!link) return [];
      const moreMs = ANSWER_ROUND_TRIPS * slownessMs(link) + ANSWER_LATES * lateMs;
      const sinceMs = Math.max(owed.askedAtMs, link.progressAtMs);
      return nowMs - sinceMs > LIMITS.answerTimeoutMs + moreMs ? [link] : [];
    });
  }

  /** A summary of this node's items, for others. */
  summarise(nowMs: number): HoldingsSummary {
    const { holdings } = this.context;
    const { sinceMs, settledMs } = this.context.window(nowMs);
    const whole = holdings.fingerprint(sinceMs);
    const settled = holdings.fingerprint(sinceMs, settledMs);
    return {
      count: whole.count,
      fingerprint: whole.fingerprint,
      sinceMs,
      settledMs,
      settledFingerprint: settled.fingerprint,
    };
  }

  /** Tells all peers what this node holds: soon after a change, seldom without one. */
  #tellSummary(nowMs: number): void {
    const { links } = this.context;
    // Others may lack fetched items, unlike gossiped ones: they are told sooner.
    const isFetching =
      nowMs - this.#fetchedAtMs < LIMITS.summaryIdleMs ||
      [...links.up()].some((link) => link.differsSinceMs > 0);
    const everyMs = isFetching ? LIMITS.summaryMs : LIMITS.summaryBusyMs;
    if (nowMs - this.#summaryAtMs < everyMs || links.count === 0) return;
    const before = this.#summary;
    const summary = this.summarise(nowMs);
    const changed =
      summary.fingerprint !== before?.fingerprint || summary.settledFingerprint !== before.settledFingerprint;
    // A summary sent while gossip lagged left out much of the set.
    const wasLagging = this.#isLagging;
    this.#isLagging =
      this.context.clock.ms(nowMs) - LIMITS.settleMs - summary.settledMs > LIMITS.summaryMs / 2;
    if (!changed && !wasLagging && nowMs - this.#summaryAtMs < LIMITS.summaryIdleMs) return;
    this.#summary = summary;
    this.#summaryAtMs = nowMs;
    for (const link of this.context.links.up())
      if (this.context.sharesItems(link)) this.context.send(link, { t: "summary", ...summary });
  }

  #tellSummaryTo(link: Link, nowMs: number): void {
    const summary = this.summarise(nowMs);
    this.#isLagging ||=
      this.context.clock.ms(nowMs) - LIMITS.settleMs - summary.settledMs > LIMITS.summaryMs / 2;
    this.context.send(link, { t: "summary", ...summary });
  }

  #summarised(link: Link, summary: HoldingsSummary, nowMs: number): void {
    link.summary = summary;
    this.context.roster.byHash(link.hash)?.holds(summary, nowMs);
    if (this.#agrees(summary)) link.differsSinceMs = 0;
    else if (link.differsSinceMs === 0) {
      link.differsSinceMs = nowMs;
      // The peer knows what this node said before that. With another policy no round follows, so it is told now.
      if (!this.#sharesPolicy(link)) this.#tellSummaryTo(link, nowMs);
    }
    if (this.#initiates(link)) {
      this.#uncompared.add(link.peer);
      this.#compare(link.peer, nowMs);
    } else if (this.#reconciled.has(link.peer) && this.#isBehind(link)) {
      // Its summary of this node may be old: a new one shows it the difference.
      this.#tellSummaryTo(link, nowMs);
    }
  }

  /**
   * Peers that meet reconcile once; later, when what gossip should have settled differs. One of the two initiates the round, and
   * leaves alone for now a peer that is still fetching what an earlier round found.
   */
  #compare(peer: string, nowMs: number): void {
    const link = this.context.links.with(peer);
    if (!link?.summary || !this.#initiates(link)) this.#uncompared.delete(peer);
    else if (!this.#isOccupied(link, nowMs) && !this.#lags(link.summary, nowMs)) {
      this.#uncompared.delete(peer);
      if (!this.#reconciled.has(peer) || this.#isBehind(link)) this.#rounds.request(peer, nowMs);
    }
  }

  /** Gossip lags here: what a peer calls settled may be about to come. */
  #lags({ settledMs }: HoldingsSummary, nowMs: number): boolean {
    return settledMs > this.context.window(nowMs).settledMs + LIMITS.summaryMs;
  }

  /** One of the two lacks what gossip should have settled, and not by policy. */
  #isBehind(link: Link): boolean {
    return link.summary !== undefined && this.#sharesPolicy(link) && !this.#agrees(link.summary);
  }

  #sharesPolicy({ record }: Link): boolean {
    return record?.policy === this.context.options.policy.text;
  }

  /** Whether a peer's summary says that its settled items are the same as ours. */
  #agrees({ sinceMs, settledMs, settledFingerprint }: HoldingsSummary): boolean {
    const ours = this.context.holdings.fingerprint(sinceMs, Math.max(sinceMs, settledMs));
    return ours.fingerprint === settledFingerprint;
  }

  /** A round with a peer is open or asked for, or what one found is on its way. */
  #isOccupied({ peer, givenAtMs }: Link, nowMs: number): boolean {
    if (this.#rounds.isBusyWith(peer)) return true;
    const isFetching = nowMs - givenAtMs < LIMITS.settleMs || this.context.wants.from(peer) > 0;
    return isFetching && this.#reconciled.has(peer);
  }

  /** Of two that meet the one that is still starting initiates a round; of equals, and later on, the one with the smaller id. */
  #initiates({ peer, hello, greetedStarting }: Link): boolean {
    if (this.#reconciled.has(peer) || greetedStarting === hello!.starting)
      return this.context.options.id < peer;
    return greetedStarting;
  }

  #advance(nowMs: number): void {
    this.#endStart(nowMs);
    this.#rounds.advance(nowMs);
  }

  /** Ends the start when this node has fetched all that it wants from peers that answer. */
  #endStart(nowMs: number): void {
    const { wants, starting } = this.context;
    if (!starting || wants.expected(nowMs) > 0) return;
    this.context.starting = ![...this.#reconciled].some((peer) => wants.from(peer) === 0);
  }
}

/** Moves exactly the items that a round found missing: `have` offers, `want` asks, `items` gives (protocol.md#exchange). */
class Exchange implements Differences {
  constructor(private readonly context: ReplicaContext) {}

  /** Tells a peer which items it lacks. @param digests those a round found here and not there */
  offer(peer: string, digests: readonly string[]): void {
    for (const some of slicesOf(digests, LIMITS.digestsPerFrameMax))
      this.context.sendTo(peer, { t: "have", digests: packDigests(some) });
  }

  /** The peer holds these; those unknown here are asked for. */
  want(peer: string, digests: readonly string[], nowMs: number): void {
    const { context } = this;
    // A full node stops asking: what it fetched it could not keep.
    if (context.isFull()) return;
    context.wants.add(
      peer,
      digests.filter((digest) => !context.knows(digest)),
      nowMs,
    );
    this.#ask(peer, nowMs);
  }

  /** Answers one `want`: as many of its items, in its order, as one answer may carry, at least one. */
  give(link: Link, packed: Uint8Array, nowMs: number): void {
    const { holdings, figures, send } = this.context;
    const items: Item[] = [];
    let bytes = 0;
    let served = 0;
    for (const digest of unpackDigests(packed)) {
      // Expired since the round found it: counted in `served`, and not sent.
      const item = holdings.byDigest(digest);
      if (item) {
        bytes += encodedLength(item);
        if (items.length > 0 && bytes > LIMITS.itemsPerAnswerBytes) break;
        items.push(item);
      }
      served++;
    }
    figures.itemsSentBySync += items.length;
    link.givenAtMs = nowMs;
    send(link, itemsFrame(served, items));
  }

  /** Takes the answer to a `want`. @returns false when nobody asked for that */
  take(peer: string, served: number, items: readonly Item[], nowMs: number): boolean {
    const { context } = this;
    const bytes = items.reduce((sum, item) => sum + encodedLength(item), 0);
    const digests = items.map((item) => item.digest);
    if (!context.wants.answered(peer, served, digests, bytes, nowMs)) return false;
    context.figures.itemsReceivedBySync += items.length;
    context.take(items, "sync", nowMs);
    // Requests in flight stay, or their answers would be refused.
    if (context.isFull()) context.wants.dropQueue(peer);
    this.#ask(peer, nowMs);
    return true;
  }

  #ask(peer: string, nowMs: number): void {
    const { context } = this;
    for (const digests of context.wants.next(peer, context.knows, nowMs)) {
      context.sendTo(peer, { t: "want", digests: packDigests(digests) });
    }
  }
}
