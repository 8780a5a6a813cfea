import { LIMITS } from "../../core/limits.js";
import type { ReplicaContext } from "./context.js";
import { type HoldingsSummary, type MemberRecord, memberHash } from "./member.js";
import type { Membership } from "./membership.js";
import type { News, RegistryEntry } from "./messages.js";
import type { Member } from "./roster.js";
import { encodeNews, type HeldNews } from "./wire.js";

/** Facts about a member beside its record. */
type Said = Pick<Member, "state" | "summary" | "clockOffsetMs">;

/** The last news about a member. */
interface Told {
  readonly identity: string;
  readonly state: Member["state"];
  readonly holdings: string;
  readonly clockOffsetMs: number | undefined;
  readonly atMs: number;
}

/** The leader reads the registry this often... */
const READ_MS = 2_000;
/** ... a new one once more sooner: only a second look shows whose record stands still. */
const READ_AGAIN_MS = 1_200;
/** The leader speaks this often, also when there is nothing new. */
const NEWS_MS = 1_000;
/** A record that was not renewed for so long is that of a lost member: it misses one renewal, and is late with another. */
const STALE_MS = 2_500;
/** Summaries of members are told at most this often; joins and losses at once. */
const HOLDINGS_MS = 5_000;
/** ... and this often without a change: up to when it is settled, has moved on. */
const SETTLED_MS = 15_000;
/** A roster that differs from the leader's for so many of its news is read anew, and soon again only then. */
const NEWS_MISSED_MAX = 3;
const READ_SPREAD_MS = 3_000;
/** Without the broker nobody can be heard. It may be back before that matters. */
const AWAY_MS = 5_000;
/** Looks at what is due. */
const TICK_MS = 250;

/**
 * Membership where a broker keeps the members' records (docs/protocol-nats.md#members). Each member renews its own
 * record. One member, the leader, reads them all, and tells the others what differs from what it told before. So a
 * member at rest costs the broker one message a second, and the leader a few more, however many members there are.
 */
export class Registry {
  #isUp = false;
  #isLeader = false;
  #downAtMs = Number.NEGATIVE_INFINITY;
  #readAtMs = Number.POSITIVE_INFINITY;
  #newsAtMs = 0;
  #missed = 0;
  #tickAtMs = 0;
  readonly #told = new Map<string, Told>();
  /** Of members that are alive and whose records are not renewed, by hash: since when, epoch ms. */
  readonly #silentSinceMs = new Map<string, number>();

  constructor(
    private readonly context: ReplicaContext,
    private readonly membership: Membership,
  ) {}

  get wakeAtMs(): number {
    return this.#tickAtMs;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** This member was elected. */
  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** The broker is there, or away. */
  changed(isUp: boolean, nowMs: number): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    this.#isLeader &&= isUp;
    this.#downAtMs = nowMs;
    // Another broker, or this one without what it kept in memory: all meet there anew.
    if (isUp) this.membership.changed(nowMs);
    this.#readAtMs = isUp ? nowMs : Number.POSITIVE_INFINITY;
    this.#tickAtMs = nowMs;
  }

  /** This member was elected, or is leader no more. */
  leaderChanged(isLeader: boolean, nowMs: number): void {
    this.#isLeader = isLeader;
    this.#newsAtMs = nowMs;
    if (!isLeader) return;
    this.context.emit({ type: "readRegistry" });
    this.#readAtMs = nowMs + READ_AGAIN_MS;
  }

  /** All entries of the registry were read. */
  read(entries: readonly RegistryEntry[], nowMs: number): void {
    const { roster, options } = this.context;
    const seen = new Set<string>();
    // Ages count from the newest entry: with this node's own among them, which is renewed each second, that is of now.
    const isDated = entries.some(({ record }) => record.session === this.membership.record.session);
    for (const { record, ageMs } of entries) {
      const wasKnown = roster.get(record.id) !== undefined;
      const heard = this.membership.hear(record, nowMs);
      const member = record.id === options.id ? undefined : roster.get(record.id);
      if (!member) continue;
      seen.add(record.hash);
      if (isDated) noteClock(member, record.clockMs, nowMs - ageMs);
      const isRenewed = wasKnown && heard !== "known";
      if (ageMs < STALE_MS || isRenewed) this.#alive(member, nowMs);
      else this.#silent(member, nowMs - ageMs, nowMs);
    }
    for (const member of roster.all()) if (!seen.has(member.record.hash)) this.#silent(member, nowMs, nowMs);
    if (this.#isLeader) this.#tell(nowMs);
  }

  /** Members tell of themselves. */
  heard(records: readonly MemberRecord[], nowMs: number): void {
    for (const record of records) {
      const member = this.#hear(record, nowMs);
      if (member) noteClock(member, record.clockMs, nowMs);
    }
  }

  /** The leader tells what has changed. */
  news({ records, held, lost, roster: fingerprint }: News, nowMs: number): void {
    const { roster, options } = this.context;
    for (const record of records) this.#hear(record, nowMs);
    for (const { hash, summary, clockMs } of held) {
      const member = roster.byHash(hash);
      if (!member) continue;
      member.holds(summary, nowMs);
      noteClock(member, clockMs || undefined, nowMs);
      this.#alive(member, nowMs);
      this.#note(hash, member.record, member, nowMs);
    }
    for (const hash of lost) {
      const member = roster.byHash(hash);
      if (!member) continue;
      this.#lose(member, nowMs);
      this.#note(hash, member.record, member, nowMs);
    }
    if (fingerprint === this.membership.fingerprint) {
      this.#missed = 0;
      // Facts that the leader did not tell anew are unchanged.
      for (const member of roster.all())
        if (member.state === "alive")
          member.holds(member.summary, Math.max(member.summaryAtMs, nowMs - HOLDINGS_MS - READ_MS));
    } else if (++this.#missed >= NEWS_MISSED_MAX && this.#readAtMs > nowMs + READ_SPREAD_MS) {
      this.#missed = 0;
      // All may differ from it at once: it is that one that errs, and its next look ends that.
      this.#readAtMs = nowMs + options.random() * READ_SPREAD_MS;
    }
  }

  tick(nowMs: number): void {
    if (nowMs < this.#tickAtMs) return;
    this.#tickAtMs = nowMs + TICK_MS;
    if (!this.#isUp) {
      if (nowMs - this.#downAtMs < AWAY_MS) return;
      for (const member of this.context.roster.all())
        if (member.state === "alive") this.#lose(member, nowMs, "the connection to NATS was lost");
      return;
    }
    if (nowMs >= this.#readAtMs) {
      this.#readAtMs = this.#isLeader ? nowMs + READ_MS : Number.POSITIVE_INFINITY;
      this.context.emit({ type: "readRegistry" });
    }
    if (this.#isLeader && nowMs >= this.#newsAtMs) this.#tell(nowMs);
  }

  /** Tells all members what they were not told. */
  #tell(nowMs: number): void {
    this.#newsAtMs = nowMs + NEWS_MS;
    const { roster } = this.context;
    const records: Uint8Array[] = [];
    const held: HeldNews[] = [];
    const lost: string[] = [];
    const look = (hash: string, record: MemberRecord, state: Said) => {
      const told = this.#told.get(hash);
      if (state.state === "lost") {
        if (told?.state === "lost") return;
        lost.push(hash);
      } else {
        // All check the signature of a record that is told: what a member holds is told without it.
        const isNew = told?.identity !== identityOf(record);
        const isAlive = state.state === "alive";
        if (!isNew && !(isAlive && isHeldNews(told!, state, nowMs))) return;
        if (isNew) {
          if (records.length === LIMITS.recordsPerFrameMax) {
            // The next news tells it, soon.
            this.#newsAtMs = nowMs;
            return;
          }
          records.push(record.bytes);
        }
        if (isAlive) held.push({ hash, summary: state.summary, clockMs: clockMsOf(state, nowMs) });
      }
      this.#note(hash, record, state, nowMs);
    };
    const { record } = this.membership;
    const clockOffsetMs = this.context.clock.ownMs(nowMs) - nowMs;
    look(record.hash, record, { state: "alive", summary: record.holdings, clockOffsetMs });
    for (const member of roster.all()) look(member.record.hash, member.record, member);
    const news = { records, held, lost, roster: this.membership.fingerprint };
    this.context.emit({ type: "publish", kind: "news", payload: encodeNews(news) });
    for (const hash of this.#told.keys())
      if (!roster.byHash(hash) && hash !== memberHash(this.context.options.id)) this.#told.delete(hash);
  }

  /** A record by itself says nothing of clocks: it may have been on its way for any time. */
  #hear(record: MemberRecord, nowMs: number): Member | undefined {
    this.membership.hear(record, nowMs);
    const member = this.context.roster.get(record.id);
    if (!member) return undefined;
    this.#alive(member, nowMs);
    this.#note(record.hash, record, member, nowMs);
    return member;
  }

  #note(hash: string, record: MemberRecord, { state, summary, clockOffsetMs }: Said, nowMs: number): void {
    const holdings = holdingsOf(summary);
    this.#told.set(hash, { identity: identityOf(record), state, holdings, clockOffsetMs, atMs: nowMs });
  }

  #alive(member: Member, nowMs: number): void {
    this.#silentSinceMs.delete(member.record.hash);
    if (member.record.left || member.state === "alive") return;
    this.context.roster.mark(member, "alive", "", nowMs);
    this.context.notifyPeer(member.record.id);
  }

  /** No sign of life since then. */
  #silent(member: Member, sinceMs: number, nowMs: number): void {
    if (member.state !== "alive") return;
    const { hash } = member.record;
    const silentSinceMs = Math.min(this.#silentSinceMs.get(hash) ?? sinceMs, nowMs);
    this.#silentSinceMs.set(hash, silentSinceMs);
    if (nowMs - silentSinceMs >= STALE_MS) this.#lose(member, nowMs);
  }

  #lose(member: Member, nowMs: number, reason = "its record is not renewed any more"): void {
    if (member.state !== "alive") return;
    this.#silentSinceMs.delete(member.record.hash);
    this.context.roster.mark(member, "lost", reason, nowMs);
    this.context.notifyPeer(member.record.id);
  }
}

/** @param atMs when the member's clock said so, by the time of this machine, epoch ms */
function noteClock(member: Member, clockMs: number | undefined, atMs: number): void {
  if (clockMs !== undefined) member.clockOffsetMs = clockMs - atMs;
}

/** A member's clock now, as encoded. */
function clockMsOf({ clockOffsetMs }: Said, nowMs: number): number {
  return clockOffsetMs === undefined ? 0 : Math.max(1, Math.round(nowMs + clockOffsetMs));
}

function isHeldNews(told: Told, said: Said, nowMs: number): boolean {
  if (told.state !== "alive") return true;
  const movedMs = Math.abs((said.clockOffsetMs ?? 0) - (told.clockOffsetMs ?? 0));
  const isSame = told.holdings === holdingsOf(said.summary) && movedMs < LIMITS.clockJumpMs;
  return Math.abs(nowMs - told.atMs) >= (isSame ? SETTLED_MS : HOLDINGS_MS);
}

function identityOf({ session, name, version, policy, ahead, left }: MemberRecord): string {
  return [session, name, version, policy, ahead, left].join("\n");
}

function holdingsOf({ count, fingerprint, settledFingerprint }: HoldingsSummary): string {
  return `${count} ${fingerprint} ${settledFingerprint}`;
}
