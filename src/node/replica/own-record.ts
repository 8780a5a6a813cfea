import { LIMITS } from "../../core/limits.js";
import { hexId } from "../../core/machine.js";
import type { ReplicaContext } from "./context.js";
import type { Dissemination } from "./dissemination.js";
import { encodeRecord, lostLinks, type MemberRecord, sameLinks } from "./member.js";
import { TWINS_MS } from "./roster.js";
import { encodeRecords } from "./wire.js";

/** A record of this node's identity from another process. */
export interface Twin {
  readonly record: MemberRecord;
  readonly sinceMs: number;
  readonly heardAtMs: number;
}

/** Of this node's addresses the record names so many. */
const ADDRESSES_MAX = 16;
/** The record is published this long after a change... */
const PUBLISH_SOON_MS = 200;
/** ... of links, for each member longer: those that a node makes one after the other share a record, which all verify... */
const PUBLISH_LINKS_MEMBER_MS = 15;
const PUBLISH_LINKS_MS_MAX = 4_000;
/** ... and no sooner after one before than this, or, in a larger cluster, than all members take to verify those of all... */
const PUBLISH_EVERY_MS = 1_000;
const PUBLISH_EVERY_MS_MAX = 4_000;
const PUBLISH_MS_PER_MEMBER = 30;
/** ... and so many times as long as this node is woken late... */
const PUBLISH_LATES = 8;
/** ... and a mere renewal so many times, unless the roster is a sample: there a member lives by its renewals... */
const RENEW_LATES = 32;
/** ... but for the loss of a link, which others wait for: links that end with each other share a record. */
const PUBLISH_LOSS_MS = 30;
const PUBLISH_LOSS_EVERY_MS = 500;
/** A broker keeps each record this fresh. */
const RENEW_MS = 1_000;

/** This node's own record: when it is made anew, and other processes that speak with the same identity. */
export class OwnRecord {
  /** Present from `start` on. */
  record!: MemberRecord;
  /** The incarnation of its first record, epoch ms. */
  startIncarnation = 0;
  readonly #session: string;
  #publishAtMs = Number.POSITIVE_INFINITY;
  #publishedAtMs = 0;
  #lossToldAtMs = 0;
  #refreshAtMs = 0;
  /** Other sessions of this node's id that were heard of since it has started, and their first incarnation that was. */
  readonly #firstHeard = new Map<string, number>();
  #twin: Twin | undefined;

  constructor(
    private readonly context: ReplicaContext,
    private readonly dissemination: Dissemination,
  ) {
    this.#session = hexId(16, context.options.random);
  }

  start(nowMs: number): void {
    this.startIncarnation = nowMs;
    this.record = this.#makeRecord(nowMs, nowMs, false);
  }

  get wakeAtMs(): number {
    return this.#publishAtMs;
  }

  /** How often each member renews its record. */
  get refreshMs(): number {
    const { options, roster } = this.context;
    if (options.hasBroker) return RENEW_MS;
    const calmMs = roster.isSample
      ? (roster.total * 1_000) / LIMITS.sampleRecordsPerSecond
      : Math.min(LIMITS.recordRefreshMsMax, (roster.total * 1_000) / LIMITS.recordsPerSecond);
    return Math.max(LIMITS.recordRefreshMs, calmMs);
  }

  /** Another process that speaks with this node's identity. */
  twin(nowMs: number): Twin | undefined {
    return this.#twin && nowMs - this.#twin.heardAtMs < TWINS_MS ? this.#twin : undefined;
  }

  /** The record must change: name, policy, or whether items are stamped ahead. */
  changed(nowMs: number): void {
    this.#publishSoon(nowMs, PUBLISH_SOON_MS);
  }

  /** This node's links have changed. Nobody follows those of a sample. @param isUrgent one was lost, or it is the only one */
  relinked(isUrgent: boolean, nowMs: number): void {
    const { roster, links } = this.context;
    if (roster.isSample && links.count >= 2) return;
    const gatherMs = Math.min(PUBLISH_LINKS_MS_MAX, PUBLISH_SOON_MS + roster.size * PUBLISH_LINKS_MEMBER_MS);
    this.#publishSoon(nowMs, isUrgent ? PUBLISH_LOSS_MS : gatherMs, isUrgent);
  }

  /** Says goodbye to all. */
  leave(nowMs: number): void {
    this.#publish(nowMs, true);
  }

  /** Publishes a change that is due. */
  tick(nowMs: number): void {
    if (nowMs >= this.#publishAtMs) this.#publish(nowMs, false);
  }

  /** Renews the record when that is due. @returns whether it was */
  refresh(nowMs: number): boolean {
    if (nowMs < this.#refreshAtMs) return false;
    if (this.#refreshAtMs > 0) this.#publish(nowMs, false, { isRenewal: true });
    this.#refreshLater(nowMs);
    return true;
  }

  /**
   * A record of this node that this process did not write: of an earlier run, or of a twin. The first one of each session, and
   * each goodbye, is answered by a record with a larger incarnation. A record older than the start of this node is of an
   * earlier run, unless its clock was ahead.
   */
  heard(record: MemberRecord, nowMs: number): void {
    const { session, incarnation, left } = record;
    if (session === this.#session) return;
    const first = this.#firstHeard.get(session);
    if (first === undefined || left) {
      if (incarnation < this.startIncarnation) return;
      this.#firstHeard.set(session, incarnation);
      if (incarnation >= this.record.incarnation)
        this.#publish(nowMs, false, { incarnation: incarnation + 1 });
    } else if (incarnation > first) {
      // The other session has spoken again: its process lives.
      const known = this.twin(nowMs);
      this.#twin = { record, sinceMs: known?.sinceMs ?? nowMs, heardAtMs: nowMs };
      if (!known) this.context.notifyPeer(record.id);
    }
  }

  #publishSoon(nowMs: number, delayMs: number, isUrgent = false): void {
    const membersMs = this.context.roster.size * PUBLISH_MS_PER_MEMBER;
    const calmMs =
      Math.min(PUBLISH_EVERY_MS_MAX, Math.max(PUBLISH_EVERY_MS, membersMs)) +
      PUBLISH_LATES * this.context.lateMs;
    const earliestMs = isUrgent ? this.#lossToldAtMs + PUBLISH_LOSS_EVERY_MS : this.#publishedAtMs + calmMs;
    this.#publishAtMs = Math.min(this.#publishAtMs, Math.max(nowMs + delayMs, earliestMs));
  }

  /** @param isRenewal nothing is new but its age: a broker keeps it, and others need not hear of it at once */
  #publish(
    nowMs: number,
    left: boolean,
    { incarnation = this.record.incarnation + 1, isRenewal = false } = {},
  ): void {
    if (this.context.options.hasBroker && isRenewal) {
      if (!this.record.left) this.#keep(nowMs, left, incarnation);
      return;
    }
    this.#publishAtMs = Number.POSITIVE_INFINITY;
    // Behind a goodbye nothing is said any more: its links end one by one.
    if (this.record.left) return;
    this.#publishedAtMs = nowMs;
    // A published record needs no renewal for a while.
    if (!this.context.options.hasBroker && this.#refreshAtMs > 0) this.#refreshLater(nowMs);
    const { record: before } = this;
    this.#keep(nowMs, left, incarnation);
    const { record } = this;
    if (this.context.options.hasBroker) {
      this.context.emit({ type: "publish", kind: "members", payload: encodeRecords([record]) });
      return;
    }
    const isUrgent = left || before.links.size === 0 || lostLinks(before, record);
    const hasSameLinks = sameLinks(before, record);
    if (isUrgent) this.#lossToldAtMs = nowMs;
    const news = {
      ...{ record, knownOn: [], isOwn: true, isPushed: true },
      // Members that miss a new link know this node by its other links: they learn of the new one along the tree.
      isForAll: isUrgent || (!isRenewal && hasSameLinks),
      isRenewal: isRenewal && hasSameLinks,
    };
    this.dissemination.tell(news, before, isUrgent, nowMs);
    // A leaving node has no later turn.
    if (left) this.dissemination.flush(nowMs);
  }

  #keep(nowMs: number, left: boolean, incarnation: number): void {
    this.record = this.#makeRecord(nowMs, incarnation, left);
    if (this.context.options.hasBroker) this.context.emit({ type: "renew", record: this.record.bytes });
  }

  #makeRecord(nowMs: number, incarnation: number, left: boolean): MemberRecord {
    const { options, links } = this.context;
    const ahead = this.context.aheadCount(nowMs);
    const fields = {
      id: options.id,
      session: this.#session,
      incarnation,
      name: options.name(),
      version: options.version,
      retentionMs: options.retentionMs,
      policy: options.policy.text,
      addresses: options.addresses().slice(0, ADDRESSES_MAX),
      links: new Set(Array.from(links.up(), (link) => link.hash)),
      holdings: this.context.summarise(nowMs),
      ...(ahead > 0 && { ahead }),
      ...(options.hasBroker && { clockMs: this.context.clock.ownMs(nowMs) }),
      left,
    };
    return encodeRecord(fields, options.cluster, options.sign);
  }

  #refreshLater(nowMs: number): void {
    const { options, roster, lateMs } = this.context;
    const moreMs = options.hasBroker ? 0 : (roster.isSample ? PUBLISH_LATES : RENEW_LATES) * lateMs;
    this.#refreshAtMs = nowMs + this.refreshMs * (0.9 + options.random() / 5) + moreMs;
  }
}
