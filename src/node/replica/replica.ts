import { LIMITS } from "../../core/limits.js";
import type { Machine } from "../../core/machine.js";
import { isAsk } from "../negentropy/sketch-message.js";
import { Refusals, refuseFromPeer, refusePosted } from "./admission.js";
import { Clock } from "./clock.js";
import { type Answer, Commits, type Origin } from "./commits.js";
import type { GossipFigures, ReplicaContext, ReplicaFigures, ReplicaOptions } from "./context.js";
import { Expiry, noteChange, REMOVE_STEP } from "./expiry.js";
import { Gossip } from "./gossip.js";
import { fingerprintSince, Holdings, startOf } from "./holdings.js";
import type { Item } from "./item.js";
import { type Link, Links } from "./links.js";
import type { HoldingsSummary, MemberRecord } from "./member.js";
import { Membership } from "./membership.js";
import {
  type AskedReceipt,
  CHOICES,
  type CommitRefusal,
  type DisconnectReason,
  isKept,
  type PostOutcome,
  PUNISHED,
  type ReplicaChange,
  type ReplicaEffect,
  type ReplicaInput,
} from "./messages.js";
import { Questions } from "./questions.js";
import { Registry } from "./registry.js";
import { Repair } from "./repair.js";
import { Roster } from "./roster.js";
import { Sync } from "./sync.js";
import { Wants } from "./wants.js";
import {
  type AnswersFrame,
  type BatchKind,
  batchFrame,
  encodeQuestion,
  type Frame,
  isTold,
  type Question,
} from "./wire.js";

/** A lag of gossip counts half after so long. */
const LAG_HALF_LIFE_MS = 1_000;
const LAG_MS_MAX = 10_000;

/** Input from one link. */
type LinkInput = Extract<
  ReplicaInput,
  {
    type:
      | "frameReceived"
      | "helloReceived"
      | "otherVersion"
      | "recordsReceived"
      | "itemsReceived"
      | "garbled";
  }
>;

/**
 * One node as a machine: its copy of the replicated set, its members, gossip, and anti-entropy. The set is the union of
 * all valid, unexpired items; it only grows and expires, so nodes that have seen the same items hold the same set. The node
 * runs this machine over sockets and a disk, the simulator over a virtual network.
 */
export class Replica implements Machine<ReplicaInput, ReplicaEffect>, ReplicaContext {
  readonly clock: Clock;
  readonly holdings: Holdings;
  readonly commits = new Commits();
  readonly links = new Links();
  readonly roster: Roster;
  readonly wants = new Wants((peer) => this.links.with(peer));
  readonly membership: Membership;
  readonly figures: ReplicaFigures = {
    posted: 0,
    rounds: 0,
    roundsFailed: 0,
    roundsBySketch: 0,
    sketchesFailed: 0,
    itemsReceivedBySync: 0,
    itemsSentBySync: 0,
    refused: 0,
    linksHeld: 0,
  };
  starting = true;
  /** An item of a peer did not fit in. Until something expires none of that size will, and none is asked for. */
  #lacksRoom = false;
  /** By policy, until the items would have expired. */
  readonly #refusals = new Refusals();
  /** For their time: until this node may take the item, or no peer holds it any more. */
  readonly #untimely = new Refusals();
  readonly #expiry: Expiry;
  readonly #gossip: Gossip;
  readonly #questions: Questions;
  readonly #sync: Sync;
  readonly #registry: Registry;
  readonly #repair: Repair;
  #effects: ReplicaEffect[] = [];
  #nowMs = 0;
  #hasStarted = false;
  /** When links that are held may be read again. */
  /** The link whose input is being handled, and the work of what was sent on it meanwhile. */
  #heardLink: Link | undefined;
  #answerWork = 0;
  #releaseAtMs = Number.POSITIVE_INFINITY;
  #pressureAtMs = 0;
  #lagMs = 0;
  #lagAtMs = 0;
  #commitAtMs = new Map<number, number>();

  constructor(readonly options: ReplicaOptions) {
    const word = () => Math.floor(options.random() * 0x1_0000_0000);
    this.clock = new Clock(options.retentionMs);
    this.holdings = new Holdings([word(), word()]);
    this.roster = new Roster(() => options.id, options.rosterMembersMax);
    this.#expiry = new Expiry(this);
    this.#gossip = new Gossip(this);
    this.#questions = new Questions(this);
    this.#sync = new Sync(this);
    this.membership = new Membership(this);
    this.#registry = new Registry(this, this.membership);
    this.#repair = new Repair(this);
    // The log delivers missing items, from its start on.
    this.starting = !options.hasBroker;
  }

  get lateMs(): number {
    return this.membership.lateMs;
  }

  get isMeeting(): boolean {
    return this.membership.isMeeting;
  }

  get treeChangedAtMs(): number {
    return this.membership.treeChangedAtMs;
  }

  get gossipFigures(): GossipFigures {
    return this.#gossip.figures;
  }

  /** Takes over what the storage kept. @param items verified when they were stored */
  load(items: readonly Item[]): void {
    for (const item of items) if (!this.holdings.has(item.digest)) this.holdings.add(item);
  }

  get wakeAtMs(): number {
    if (!this.#hasStarted) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#expiry.wakeAtMs,
      this.#sync.wakeAtMs,
      this.#gossip.wakeAtMs,
      this.#questions.wakeAtMs,
      this.membership.wakeAtMs,
      this.#releaseAtMs,
      this.options.hasBroker ? this.#registry.wakeAtMs : Number.POSITIVE_INFINITY,
    );
  }

  handle(input: ReplicaInput, nowMs: number): readonly ReplicaEffect[] {
    this.#effects = [];
    this.#nowMs = nowMs;
    switch (input.type) {
      case "started":
        this.#hasStarted = true;
        this.clock.start(nowMs);
        this.membership.start(nowMs);
        this.#tick(nowMs);
        break;
      case "posted":
        this.#post(input, nowMs);
        break;
      case "logged":
        this.#logged(input.message, input.items, nowMs);
        break;
      case "brokerChanged":
        this.#registry.changed(input.isUp, nowMs);
        break;
      case "leaderChanged":
        this.#registry.leaderChanged(input.isLeader, nowMs);
        break;
      case "registryRead":
        this.#registry.read(input.entries, nowMs);
        break;
      case "membersHeard":
        this.#registry.heard(input.records, nowMs);
        break;
      case "newsHeard":
        this.#registry.news(input.news, nowMs);
        break;
      case "questionHeard": {
        const { id, question } = input;
        const reply = (frame: AnswersFrame) => this.sendTo(question.asker, frame);
        if (this.roster.get(question.asker)) this.#questions.posed(id, question, reply, nowMs);
        break;
      }
      case "told":
        if (input.frame.t === "answers") this.#questions.answered(input.frame, nowMs);
        else if (this.roster.isAlive(input.peer)) this.#repair.frame(input.peer, input.frame, nowMs);
        break;
      case "committed":
        this.#committed(input.commit, nowMs);
        break;
      case "commitFailed":
        this.#commitFailed(input.commit, input.code ?? "storageFailed", nowMs);
        break;
      case "found":
        this.membership.found(input, nowMs);
        break;
      case "peerVanished":
        this.membership.vanished(input.peer);
        break;
      case "strangerSeen":
        this.membership.strangerSeen(input, nowMs);
        break;
      case "dialFailed":
        this.membership.dialFailed(input.attempt, input.reason, input.self, nowMs);
        break;
      case "linkUp": {
        const { link: number, peer, address, attempt } = input;
        const link = this.links.open({ number, peer, address, dialled: attempt !== undefined }, nowMs);
        this.membership.linkUp(link, attempt, nowMs);
        break;
      }
      case "linkDown": {
        const link = this.links.get(input.link);
        if (link) this.#gone(link, input.reason, nowMs);
        break;
      }
      case "queued": {
        const link = this.links.get(input.link);
        if (link) link.isQueueLong = input.isLong;
        break;
      }
      case "progressed": {
        const link = this.links.get(input.link);
        if (link) link.heardAtMs = link.progressAtMs = nowMs;
        break;
      }
      case "batchVerified":
        this.#batchVerified(input, nowMs);
        break;
      case "batchRejected": {
        const link = this.#gossip.sourceOf(input.batch);
        this.#gossip.rejected(input.batch);
        // Honest members verify before they pass on.
        if (link?.state === "up" && !input.overloaded) this.cut(link, "invalidItem");
        break;
      }
      case "receiptsAsked":
        this.#questions.askReceipts(input.receipts, nowMs);
        break;
      case "receiptEnded":
        this.#questions.endReceipt(input.request);
        break;
      case "countsAsked":
        this.#questions.askCounts(input, nowMs);
        break;
      case "renamed":
        this.membership.changed(nowMs);
        break;
      case "policyChanged":
        this.#refusals.clear();
        this.#drop([...this.holdings.set.range(startOf(0))], nowMs);
        if (this.#hasStarted) this.membership.changed(nowMs);
        this.#sync.policyChanged(nowMs);
        break;
      case "stopped":
        this.#gossip.flush(nowMs);
        this.#questions.close();
        this.membership.leave(nowMs);
        break;
      case "woke":
        this.#lookAtClock(nowMs, input.wallMs);
        this.#tick(nowMs);
        break;
      default:
        this.#hear(input, nowMs);
    }
    return this.#effects;
  }

  emit = (effect: ReplicaEffect): void => {
    this.#effects.push(effect);
  };

  send = (link: Link, frame: Frame): void => {
    if (link === this.#heardLink) this.#answerWork += workOfAnswer(frame);
    if (link.state !== "ending") this.#effects.push({ type: "send", link: link.number, frame });
  };

  sendTo(peer: string, frame: Frame): void {
    if (this.options.hasBroker && isTold(frame)) {
      this.emit({ type: "tell", peer, frame });
      return;
    }
    const link = this.links.with(peer);
    if (link) this.send(link, frame);
  }

  ask(question: Question): string {
    if (!this.options.hasBroker) return this.#gossip.ask(question, this.#nowMs);
    const payload = encodeQuestion(question);
    this.emit({ type: "publish", kind: "question", payload });
    return batchFrame("question", payload).id;
  }

  cut(link: Link, reason: DisconnectReason): void {
    if (link.state === "ending") return;
    if (PUNISHED.has(reason)) this.membership.punish(link.peer, this.#nowMs);
    if (CHOICES.has(reason)) link.isReleased = true;
    this.emit({ type: "disconnect", link: link.number, peer: link.peer, reason });
    this.#gone(link, reason, this.#nowMs);
  }

  notifyPeer(peer: string): void {
    this.emit({ type: "notify", changes: [{ type: "peer", peer }] });
  }

  summarise(nowMs: number): HoldingsSummary {
    return this.#sync.summarise(nowMs);
  }

  window(nowMs: number): { readonly sinceMs: number; readonly settledMs: number } {
    const clockMs = this.clock.ms(nowMs);
    const sinceMs = fingerprintSince(clockMs, this.options.retentionMs);
    const lagMs = this.#lagMs * 0.5 ** (Math.max(0, nowMs - this.#lagAtMs) / LAG_HALF_LIFE_MS);
    return { sinceMs, settledMs: Math.max(sinceMs, Math.floor(clockMs - LIMITS.settleMs - lagMs)) };
  }

  knows = (digest: string): boolean =>
    this.holdings.has(digest) ||
    this.commits.has(digest) ||
    this.isRefused(digest) ||
    this.#untimely.has(digest, this.clock.ms(this.#nowMs));

  isRefused(digest: string): boolean {
    return this.#refusals.has(digest, this.clock.ms(this.#nowMs));
  }

  /** Whether a batch was received or made here lately. */
  hasBatch(id: string): boolean {
    return this.#gossip.has(id);
  }

  /** Whether this record was verified before. */
  knowsRecord(record: MemberRecord): boolean {
    return record.id !== this.options.id && this.roster.knows(record);
  }

  /** Whether a later record of the same session is known: nothing would come of this one. */
  isOutdated(record: MemberRecord): boolean {
    return this.roster.outdates(record);
  }

  /** Requests for items that the peer of a link has not answered. */
  requestsOn(number: number): number {
    const link = this.links.get(number);
    return link?.state === "up" ? this.wants.asked(link.peer) : 0;
  }

  /** Whether a peer may connect. */
  admits(peer: string, nowMs: number): boolean {
    return this.membership.admits(peer, nowMs);
  }

  /** Held items stamped so far ahead of this clock that no peer takes them yet. */
  aheadCount(nowMs: number): number {
    return this.holdings.fingerprint(this.clock.ms(nowMs) + LIMITS.clockSkewMsMax + 1).count;
  }

  /** How far the clock of a member is ahead of this one, ms; 0 where that is not known. */
  clockAheadMs(id: string): number {
    // Of others than neighbours only a broker tells it.
    const known = this.links.with(id) ?? (this.options.hasBroker ? this.roster.get(id) : undefined);
    const offsetMs = known?.clockOffsetMs;
    return offsetMs === undefined ? 0 : this.clock.aheadMs(offsetMs);
  }

  isFull(): boolean {
    const { itemsMax, itemBytesMax } = this.options;
    return (
      this.#lacksRoom ||
      this.holdings.size + this.commits.size >= itemsMax ||
      this.holdings.bytes + this.commits.bytes >= itemBytesMax
    );
  }

  sharesItems = (link: Link): boolean => link.record?.retentionMs === this.options.retentionMs;

  take(items: readonly Item[], origin: Origin, nowMs: number): { fresh: number; commit: number } {
    let fresh = 0;
    const refused: string[] = [];
    for (const item of items) {
      if (this.knows(item.digest)) continue;
      const refusal = refuseFromPeer(this, item, nowMs);
      if (!refusal) {
        this.commits.add(item, origin);
        fresh++;
      } else {
        this.figures.refused++;
        if (refusal === "nodeFull") this.#lacksRoom = true;
        const { timestampMs } = item;
        if (refusal === "timestampOff") this.#untimely.add(item.digest, timestampMs - LIMITS.clockSkewMsMax);
        // Peers whose clocks are behind hold it for so much longer.
        if (refusal === "itemExpired")
          this.#untimely.add(item.digest, timestampMs + this.options.retentionMs + LIMITS.clockSkewMsMax);
        // Policy is for good; a full store may change.
        if (refusal === "refusedByPolicy" || refusal === "refusedTopic") {
          this.#refusals.add(item.digest, timestampMs + this.options.retentionMs);
          refused.push(item.digest);
        }
      }
    }
    this.#questions.refused(refused, nowMs);
    if (fresh > 0 && origin === "gossip")
      this.#noteLag(this.clock.ms(nowMs) - items.at(-1)!.timestampMs, nowMs);
    return { fresh, commit: this.#commit(nowMs) };
  }

  /** Something came on a link: it is charged, then heard. */
  #hear(input: LinkInput, nowMs: number): void {
    const link = this.links.get(input.link);
    // Frames of a link that was cut are ignored.
    if (!link || link.state === "ending") return;
    link.heardAtMs = nowMs;
    this.#heardLink = link;
    this.#answerWork = 0;
    const reason = this.#heard(link, input, nowMs);
    this.#heardLink = undefined;
    if (reason) this.cut(link, reason);
    else if (input.type !== "helloReceived" && input.type !== "garbled" && input.type !== "otherVersion")
      this.#charge(link, workOf(input) + this.#answerWork, nowMs);
  }

  /** @returns why the link must end, if it must */
  #heard(link: Link, input: LinkInput, nowMs: number): DisconnectReason | undefined {
    if (input.type === "garbled") return "badFrame";
    if (input.type === "otherVersion") return this.membership.otherVersion(link, input, nowMs);
    if (input.type === "helloReceived") {
      if (link.hello) return "badFrame";
      const isReplacing = this.links.with(link.peer) !== undefined;
      const reason = this.membership.hello(link, input.frame, input.record, nowMs);
      if (reason) return reason;
      // Requests on the former link will not be answered.
      if (isReplacing) this.#sync.linkDown(link.peer, nowMs);
      this.#lookAtClock(nowMs);
      this.#sync.linkUp(link, nowMs);
      return undefined;
    }
    // A member that has no room says so in place of a hello, to who dialled it.
    const isReferral = link.dialled && input.type === "frameReceived" && input.frame.t === "refer";
    if (link.state !== "up" && !isReferral) return "badFrame";
    switch (input.type) {
      case "recordsReceived":
        this.membership.records(link, input, nowMs);
        return undefined;
      case "itemsReceived":
        if (input.invalid > 0) return "invalidItem";
        return this.#sync.items(link, input.served, input.items, nowMs);
      case "frameReceived":
        return this.#frame(link, input.frame, nowMs);
    }
  }

  #frame(
    link: Link,
    frame: Extract<ReplicaInput, { type: "frameReceived" }>["frame"],
    nowMs: number,
  ): DisconnectReason | undefined {
    switch (frame.t) {
      case "ping":
        this.send(link, { t: "pong", atMs: frame.atMs, nowMs: this.clock.ownMs(nowMs) });
        this.membership.pinged(link, frame.roster, nowMs);
        return undefined;
      case "pong":
        ponged(link, frame.atMs, frame.nowMs, nowMs);
        this.#lookAtClock(nowMs);
        return undefined;
      case "refer":
        this.membership.referred(link, frame.peers, frame.release, nowMs);
        return undefined;
      case "roster":
        if (frame.part) this.membership.announced(link, frame.members, nowMs);
        else this.membership.rosterReceived(link, frame.members, nowMs);
        return undefined;
      case "batch":
        this.#gossip.arrived(link, frame, nowMs);
        return undefined;
      case "announce":
        this.#gossip.announced(link, frame.ids, nowMs);
        return undefined;
      case "graft":
        this.#gossip.grafted(link, frame.id, nowMs);
        return undefined;
      case "prune":
        this.#gossip.pruned(link);
        return undefined;
      case "beacon":
        this.membership.beacon(link, frame, nowMs);
        return undefined;
      case "gone":
        this.#gossip.gone(frame.id, nowMs);
        return undefined;
      case "answers":
        this.#questions.answered(frame, nowMs);
        return undefined;
      default:
        return this.#sync.frame(link, frame, nowMs);
    }
  }

  #batchVerified({ batch, content }: Extract<ReplicaInput, { type: "batchVerified" }>, nowMs: number): void {
    const from = this.#gossip.sourceOf(batch);
    if (!from) return;
    switch (content.kind) {
      case "items":
        this.#gossip.verifiedItems(batch, content.items, nowMs);
        break;
      case "question":
        this.#gossip.verifiedQuestion(
          batch,
          this.#questions.posed(batch, content.question, (frame) => this.#reply(from, frame), nowMs),
          nowMs,
        );
        break;
    }
  }

  #reply(link: Link, frame: AnswersFrame): void {
    if (link.state === "up") this.send(link, frame);
  }

  #charge(link: Link, work: number, nowMs: number): void {
    const { budget } = link;
    if (!budget.charge(work, nowMs) || budget.isHeldUp) return;
    budget.isHeldUp = true;
    this.figures.linksHeld++;
    this.emit({ type: "holdUp", link: link.number, isHeldUp: true });
    this.#releaseAtMs = Math.min(this.#releaseAtMs, budget.freeAtMs);
  }

  /** Links that have earned their way back are read again; those that only press are cut. */
  #release(nowMs: number): void {
    const stretchMs = Math.max(0, nowMs - this.#pressureAtMs);
    this.#pressureAtMs = nowMs;
    this.#releaseAtMs = Number.POSITIVE_INFINITY;
    for (const link of this.links.all()) {
      const { budget } = link;
      budget.elapse(stretchMs);
      if (budget.isPressing) {
        this.cut(link, "overBudget");
      } else if (budget.isHeldUp && budget.freeAtMs <= nowMs) {
        budget.isHeldUp = false;
        this.emit({ type: "holdUp", link: link.number, isHeldUp: false });
      } else if (budget.isHeldUp) this.#releaseAtMs = Math.min(this.#releaseAtMs, budget.freeAtMs);
    }
  }

  /** Compares this clock with that of the wall, when it was looked at, and with those of its peers. */
  #lookAtClock(nowMs: number, wallMs?: number): void {
    const known = this.options.hasBroker ? this.roster.alive() : Array.from(this.links.up());
    const peers = known.flatMap(({ clockOffsetMs }) => clockOffsetMs ?? []);
    const beforeMs = this.clock.ms(nowMs);
    this.clock.look(wallMs, peers, nowMs);
    if (this.clock.ms(nowMs) >= beforeMs) return;
    // Hidden items are visible again at once, and others have not expired yet.
    this.#untimely.clear();
    this.#expire(nowMs);
  }

  #tick(nowMs: number): void {
    this.#expire(nowMs);
    // Others are to hear of it at once: they do not hold what this node does.
    if (this.aheadCount(nowMs) > 0 !== (this.membership.record.ahead ?? 0) > 0)
      this.membership.changed(nowMs);
    this.#refusals.forgetEnded(this.clock.ms(nowMs));
    this.#untimely.forgetEnded(this.clock.ms(nowMs));
    this.#release(nowMs);
    for (const link of this.membership.tick(nowMs)) this.cut(link, "heartbeatLost");
    for (const link of this.#sync.tick(nowMs)) this.cut(link, "answerOverdue");
    this.#gossip.tick(nowMs);
    this.#questions.tick(nowMs);
    this.#questions.look(nowMs);
    if (!this.options.hasBroker) return;
    this.#registry.tick(nowMs);
    if (this.#registry.isUp) this.#repair.tick(nowMs, this.#registry.isLeader);
  }

  #gone(link: Link, reason: string, nowMs: number): void {
    const served = this.links.with(link.peer) === link;
    link.state = "ending";
    this.membership.linkDown(link, reason, nowMs);
    if (served) {
      this.#sync.linkDown(link.peer, nowMs);
      this.#questions.look(nowMs);
      this.#lookAtClock(nowMs);
    }
  }

  #post(
    { request, items, receipts }: Extract<ReplicaInput, { readonly type: "posted" }>,
    nowMs: number,
  ): void {
    let restsOn = 0;
    const outcomes = items.map((item): PostOutcome => {
      const pending = this.commits.byId(item.id);
      const standing = this.holdings.view.get(item.id) ?? pending?.item;
      if (standing) {
        // The answer says that the item standing here is kept, so it waits until that is true.
        if (standing === pending?.item) restsOn = Math.max(restsOn, pending.commit);
        const same = standing.raw === item.raw && standing.signature === item.signature;
        return { status: same ? "held" : "conflict", item: standing };
      }
      const code = refusePosted(this, item, nowMs);
      if (code) return { status: "refused", code, item };
      this.commits.add(item, "post");
      return { status: "accepted", item };
    });
    const commit = Math.max(this.#commit(nowMs, [], true), restsOn);
    if (commit === 0) this.#answer([{ request, outcomes, receipts }], nowMs);
    else this.commits.answerAfter(commit, { request, outcomes, receipts });
  }

  /** Asks for the receipts that are wanted first: the way to the holders is longer than that to the client. */
  #answer(answers: readonly Answer[], nowMs: number): void {
    const wanted: AskedReceipt[] = [];
    for (const { outcomes, receipts = [] } of answers)
      for (const { index, ...receipt } of receipts) {
        const outcome = outcomes[index]!;
        if (isKept(outcome)) wanted.push({ ...receipt, digest: outcome.item.digest });
      }
    if (wanted.length > 0) this.#questions.askReceipts(wanted, nowMs);
    for (const { request, outcomes } of answers) this.emit({ type: "answer", request, outcomes });
  }

  #logged(message: number, items: readonly Item[], nowMs: number): void {
    const { fresh, commit } = this.take(items, "gossip", nowMs);
    if (fresh === 0) this.emit({ type: "acknowledge", message, verdict: "ignore" });
    else this.commits.settleAfter(commit, message);
  }

  /** Commits what was added since the last commit. @returns its number; 0 when that was nothing */
  #commit(nowMs: number, remove: readonly Item[] = [], posted = false): number {
    const add = this.commits.added;
    if (add.length === 0 && remove.length === 0) return 0;
    const commit = this.commits.begin();
    this.#commitAtMs.set(commit, nowMs);
    this.emit({ type: "commit", commit, add, remove, posted });
    return commit;
  }

  #committed(commit: number, nowMs: number): void {
    const { items, answers, messages } = this.commits.ended(commit);
    const changes: ReplicaChange[] = [];
    const publish: Item[] = [];
    for (const { item, origin } of items) {
      noteChange(changes, this.holdings.add(item));
      if (origin === "post") publish.push(item);
    }
    this.figures.posted += publish.length;
    if (publish.length > 0 && !this.options.hasBroker) this.#gossip.publish(publish, nowMs);
    this.#answer(answers, nowMs);
    this.#gossip.committed(commit, this.#commitTook(commit, nowMs), nowMs);
    for (const message of messages) this.emit({ type: "acknowledge", message, verdict: "accept" });
    if (changes.length > 0) this.emit({ type: "notify", changes });
    this.#questions.held(
      items.map(({ item }) => item.digest),
      nowMs,
    );
    if (items.some(({ origin }) => origin === "sync")) this.#sync.fetched(nowMs);
    // The policy may have changed while they were on their way to the disk.
    if (this.options.policy.text !== "")
      this.#drop(
        items.map(({ item }) => item),
        nowMs,
      );
  }

  #commitFailed(commit: number, code: CommitRefusal, nowMs: number): void {
    const { items, answers, messages } = this.commits.ended(commit);
    const lost = new Set(items.map(({ item }) => item));
    const revised = (outcome: PostOutcome): PostOutcome =>
      lost.has(outcome.item) ? { status: "refused", code, item: outcome.item } : outcome;
    this.#answer(
      answers.map((answer) => ({ ...answer, outcomes: answer.outcomes.map(revised) })),
      nowMs,
    );
    // Answers that wait for a later commit may depend on this one, too.
    this.commits.revise(revised);
    this.#gossip.committed(commit, this.#commitTook(commit, nowMs), nowMs);
    for (const message of messages) this.emit({ type: "acknowledge", message, verdict: "ignore" });
  }

  #commitTook(commit: number, nowMs: number): number {
    const tookMs = Math.max(0, nowMs - (this.#commitAtMs.get(commit) ?? nowMs));
    for (const number of this.#commitAtMs.keys()) {
      if (number > commit) break;
      this.#commitAtMs.delete(number);
    }
    return tookMs;
  }

  /** Items that gossip brings now were stamped so long ago: what differs from a peer may still be on its way. */
  #noteLag(lagMs: number, nowMs: number): void {
    const before = this.#lagMs * 0.5 ** (Math.max(0, nowMs - this.#lagAtMs) / LAG_HALF_LIFE_MS);
    this.#lagMs = Math.min(LAG_MS_MAX, Math.max(before, lagMs, 0));
    this.#lagAtMs = nowMs;
  }

  /** Gives up those that the policy does not accept, and refuses them from now on. */
  #drop(items: readonly Item[], nowMs: number): void {
    const { policy, retentionMs } = this.options;
    const refused = items.filter((item) => policy.refusalOf(item) !== undefined);
    for (let start = 0; start < refused.length; start += REMOVE_STEP) {
      const remove = refused.slice(start, start + REMOVE_STEP);
      const changes: ReplicaChange[] = [];
      for (const item of remove) {
        noteChange(changes, this.holdings.remove(item));
        this.#refusals.add(item.digest, item.timestampMs + retentionMs);
      }
      this.#lacksRoom = false;
      this.#commit(nowMs, remove);
      if (changes.length > 0) this.emit({ type: "notify", changes });
    }
  }

  #expire(nowMs: number): void {
    const before = this.holdings.size;
    const { erase, changes } = this.#expiry.step(nowMs);
    if (this.holdings.size < before) this.#lacksRoom = false;
    this.#commit(nowMs, erase);
    if (changes.length > 0) this.emit({ type: "notify", changes });
  }
}

/** The cost of a byte of a batch: each digest of a question is looked up. */
const BATCH_WORK: Readonly<Record<BatchKind, number>> = { items: 1, question: 8 };
/** The cost of a byte of records: each record has a signature to check, some 0.2 ms. */
const RECORDS_WORK = 16;

/** The cost of a byte of an answer: it is encoded, encrypted and written. */
const ANSWER_WORK = 2;

/** The cost of an input beside its frame, in bytes of work (bench/abuse.ts). */
function workOf(input: Exclude<LinkInput, { type: "garbled" | "helloReceived" | "otherVersion" }>): number {
  if (input.type === "recordsReceived") return input.bytes * RECORDS_WORK;
  if (input.type === "itemsReceived") return input.bytes;
  switch (input.frame.t) {
    case "batch":
      return input.bytes * BATCH_WORK[input.frame.kind];
    // A fingerprint for each range, 1 to 10 us each; or a sketch, which is as long as a message may be.
    case "reconcile":
      return input.bytes * 24 + (isAsk(input.frame.message) ? LIMITS.reconcileBytesMax : 0);
    // Requested items are read, encoded and sent.
    case "want":
      return input.bytes + LIMITS.itemsPerAnswerBytes;
    // Each id is looked up.
    case "roster":
    case "announce":
      return input.bytes * 16;
    case "have":
      return input.bytes * 4;
    default:
      return input.bytes;
  }
}

/** The cost of what is sent in answer on the same link: 40 bytes ask for all records, 30 for a batch. */
function workOfAnswer(frame: Frame): number {
  if (frame.t === "records") return frame.records.reduce((sum, { length }) => sum + ANSWER_WORK * length, 0);
  return frame.t === "batch" ? ANSWER_WORK * frame.bytes.length : 0;
}

function ponged(link: Link, atMs: number, theirNowMs: number, nowMs: number): void {
  // A pong to no ping of ours says nothing.
  if (atMs > nowMs || nowMs - atMs > LIMITS.answerTimeoutMs) return;
  link.roundTripMs = nowMs - atMs;
  link.shortestTripMs = Math.min(link.shortestTripMs, link.roundTripMs);
  link.clockOffsetMs = theirNowMs - (atMs + nowMs) / 2;
}
