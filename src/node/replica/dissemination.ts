import { LIMITS } from "../../core/limits.js";
import { slicesOf } from "../../core/machine.js";
import type { ReplicaContext } from "./context.js";
import type { Link } from "./links.js";
import { type MemberRecord, packHashes } from "./member.js";
import { decodeEntries, encodeEntries } from "./roster.js";

/** A record to pass on. */
export interface RecordNews {
  readonly record: MemberRecord;
  /** Links whose peers have it. */
  readonly knownOn: Link[];
  /** This node's own. */
  readonly isOwn: boolean;
  /** The record tells of a new member or a lost link: it goes on all links, since members may differ about the tree. */
  readonly isForAll: boolean;
  /** The record itself goes on all links. Others are announced off the tree, and asked for by members that lack them. */
  readonly isPushed: boolean;
  /** The record differs from the one before in nothing but its age. */
  readonly isRenewal: boolean;
}

/** A record that was announced, and is asked for. */
interface Asked {
  readonly atMs: number;
  /** The latest that was announced. */
  incarnation: number;
  /** Links on which it was announced besides. */
  readonly others: Link[];
}

/** Records go on the links of the tree first. When all links have their turn, most members have the record. */
const SCOPES = ["all", "tree"] as const;
/** Records are gathered for this long after the last ones went out, since a frame costs what 20 records do... */
const NEWS_MS = 30;
/** ... for each member, up to NEWS_MEMBERS_MAX, this much longer... */
const NEWS_MEMBER_MS = { tree: 2.5, all: 5 };
const NEWS_MEMBERS_MAX = 250;
/** ... and by this many times the lateness of this node. */
const NEWS_LATES = 2;
/** A record that tells of a loss waits less: others need it to find who is lost. */
const NEWS_LOSS_MEMBER_MS = { tree: 1, all: 2 };
/** A record that merely renews another waits longer... */
const RENEWALS_MS = 2_000;
/** ... and so does each record of a sample, whose links nobody follows. */
const SAMPLE_NEWS_MS = { tree: 1_000, all: 5_000 };
/** An announced record that does not come is asked of the next peer that announced it, after this long... */
const ASK_MS = 500;
/** ... and so many times as long as this node is woken late. */
const ASK_LATES = 4;
/** Records that are asked for at the same time; comparing rosters brings others. */
const ASKED_MAX = 2 * LIMITS.rosterMembersMax;
/** With so few members all changes go on all links, so that all have the same tree at once. */
const SMALL_MEMBERS = 30;

/**
 * Records of members that are news here, on their way to the other links: at once when nothing was told lately, else
 * with what gathers; along the tree first, then on all links whose other end has not told it meanwhile. So a record
 * reaches all members also while they differ about the tree. Off the tree only its hash is sent, and a member that lacks the
 * record asks for it: when 20 of 200 members are killed, 75 others publish a record, of which each member would get six
 * copies. A record that merely renews another goes along the tree alone, unless the roster is a sample, and in a large cluster so does
 * one that tells of new links: a member that misses it knows of others.
 */
export class Dissemination {
  /** The last of each session of a member: others must hear of both twins. */
  readonly #news = new Map<MemberRecord, RecordNews>();
  /** When they are told next on the links of the tree and on all, and were last. */
  readonly #atMs = { tree: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY };
  readonly #sentAtMs = { tree: 0, all: 0 };
  /** Records that were announced, by the hash of their member; the one asked for longest first. */
  readonly #asked = new Map<string, Asked>();

  /** @param give sends records on a link */
  constructor(
    private readonly context: ReplicaContext,
    private readonly give: (link: Link, records: readonly MemberRecord[]) => void,
  ) {}

  get wakeAtMs(): number {
    return Math.min(this.#atMs.tree, this.#atMs.all);
  }

  /** The peer of a link has this record. */
  knownOn(link: Link, record: MemberRecord): void {
    this.#news.get(record)?.knownOn.push(link);
  }

  /** The peer of a link has news of these members. A record that this node lacks is asked of one peer at a time. */
  announced(link: Link, members: Uint8Array, nowMs: number): void {
    const { roster } = this.context;
    const want: string[] = [];
    for (const [hash, incarnation] of decodeEntries(members)) {
      const record = roster.byHash(hash)?.record;
      if (record?.incarnation === incarnation) this.knownOn(link, record);
      if (!roster.lacks(hash, incarnation)) continue;
      const asked = this.#asked.get(hash);
      if (!asked) {
        if (this.#asked.size >= ASKED_MAX) continue;
        want.push(hash);
        this.#asked.set(hash, { atMs: nowMs, incarnation, others: [] });
      } else {
        asked.incarnation = Math.max(asked.incarnation, incarnation);
        if (!asked.others.includes(link)) asked.others.push(link);
      }
    }
    this.#ask(link, want);
  }

  /** A record came. Where a later one was announced meanwhile, that one is asked for in its turn. */
  came({ hash, incarnation }: MemberRecord): void {
    if (incarnation >= (this.#asked.get(hash)?.incarnation ?? 0)) this.#asked.delete(hash);
  }

  /** Passes a record on. @param former the last one of its member; of the same session, it need not be told any more */
  tell(news: RecordNews, former: MemberRecord | undefined, isUrgent: boolean, nowMs: number): void {
    const untold = former?.session === news.record.session ? this.#news.get(former) : undefined;
    if (untold) this.#news.delete(untold.record);
    const { isSample } = this.context.roster;
    // In a sample a member lives by its renewals, and the tree changes with each beacon.
    const isForAll =
      news.isForAll || untold?.isForAll === true || isSample || (this.#isSmall && !news.isRenewal);
    this.#news.set(news.record, { ...news, isForAll });
    const size = Math.min(this.context.roster.size, NEWS_MEMBERS_MAX);
    for (const scope of SCOPES) {
      if (scope === "all" && !isForAll) continue;
      const soonMs = NEWS_MS + size * (isUrgent ? NEWS_LOSS_MEMBER_MS : NEWS_MEMBER_MS)[scope];
      const gatherMs = isSample ? SAMPLE_NEWS_MS[scope] : news.isRenewal ? RENEWALS_MS : soonMs;
      const calmMs = gatherMs + NEWS_LATES * this.context.lateMs;
      // An announcement waits the whole time, also after a quiet moment: by then the tree has brought most records.
      const isAnnounced = scope === "all" && !news.isPushed && !this.#isSmall;
      const fromMs = isAnnounced ? nowMs : Math.min(this.#sentAtMs[scope], nowMs);
      const dueAtMs = fromMs + (isUrgent ? soonMs : calmMs);
      this.#atMs[scope] = Math.min(this.#atMs[scope], Math.max(nowMs, dueAtMs));
      if (this.#atMs[scope] <= nowMs) this.#send(scope, nowMs);
    }
  }

  tick(nowMs: number): void {
    for (const scope of SCOPES) if (nowMs >= this.#atMs[scope]) this.#send(scope, nowMs);
    this.#askAgain(nowMs);
  }

  /** Tells all now: there is no later turn. */
  flush(nowMs: number): void {
    this.#send("all", nowMs);
  }

  #ask(link: Link, hashes: readonly string[]): void {
    const none = new Uint8Array();
    for (const some of slicesOf(hashes, LIMITS.rosterMembersMax))
      this.context.send(link, { t: "records", records: [], lost: none, want: packHashes(some) });
  }

  /** Asks the next peer that announced them for records that stay away. */
  #askAgain(nowMs: number): void {
    const before = nowMs - ASK_MS - ASK_LATES * this.context.lateMs;
    const again = new Map<Link, string[]>();
    for (const [hash, { atMs, incarnation, others }] of this.#asked) {
      if (atMs > before) break;
      this.#asked.delete(hash);
      const next = others.find(({ state }) => state === "up");
      if (!next) continue;
      this.#asked.set(hash, { atMs: nowMs, incarnation, others: others.slice(others.indexOf(next) + 1) });
      again.set(next, [...(again.get(next) ?? []), hash]);
    }
    for (const [link, hashes] of again) this.#ask(link, hashes);
  }

  get #isSmall(): boolean {
    const { isSample, size } = this.context.roster;
    return !isSample && size <= SMALL_MEMBERS;
  }

  #send(scope: (typeof SCOPES)[number], nowMs: number): void {
    const { roster, links } = this.context;
    const all = [...this.#news.values()];
    for (const link of links.up()) {
      const lacked = all.filter(({ knownOn, isOwn, isForAll }) => {
        const isWanted = (isForAll && scope === "all") || link.isInTree !== false || (roster.isMesh && isOwn);
        return isWanted && !knownOn.includes(link);
      });
      const pushed: MemberRecord[] = [];
      const announced: MemberRecord[] = [];
      const isPushing = this.#isSmall || link.isInTree !== false;
      for (const news of lacked) {
        news.knownOn.push(link);
        (isPushing || news.isPushed ? pushed : announced).push(news.record);
      }
      this.give(link, pushed);
      // There may be more news than members: records of some that have given way meanwhile.
      for (const some of slicesOf(announced, LIMITS.rosterMembersMax))
        this.context.send(link, { t: "roster", members: encodeEntries(some), part: true });
    }
    for (const { record, isForAll } of all) if (scope === "all" || !isForAll) this.#news.delete(record);
    for (const told of SCOPES) {
      if (scope === "tree" && told === "all") continue;
      this.#atMs[told] = Number.POSITIVE_INFINITY;
      this.#sentAtMs[told] = nowMs;
    }
  }
}
