import { isLoopbackHost } from "../../core/hosts.js";
import { LIMITS } from "../../core/limits.js";
import { HASH_BYTES, type HoldingsSummary, type MemberRecord, memberHash, sameLinks } from "./member.js";
import { ROSTER_ENTRY_BYTES } from "./wire.js";

/** Another member, as this node knows it. Large clusters have many: a row takes some 100 bytes. */
export class Member {
  /** `alive`: a chain of links leads to it, or led to it a moment ago. `left`: it said goodbye. */
  state: "alive" | "left" | "lost";
  readonly #firstHeard: Instant;
  #since: Instant;
  #heard: Instant;
  #rare: Rare | undefined;

  constructor(
    public record: MemberRecord,
    now: Instant,
    /** Its place in the graph of links; there is none in a sample. */
    public vertex: Vertex | undefined,
  ) {
    this.state = "alive";
    [this.#firstHeard, this.#since, this.#heard] = [now, now, now];
  }

  /** When its first record came, epoch ms. */
  get firstHeardAtMs(): number {
    return this.#firstHeard.ms;
  }

  /** When it came into its state, epoch ms. */
  get sinceMs(): number {
    return this.#since.ms;
  }

  /** Why it is not alive, for people. */
  get reason(): string {
    return this.#rare?.reason ?? "";
  }

  set reason(reason: string) {
    if (reason !== this.reason) this.#rarely.reason = reason;
  }

  /** Its last summary, from its record or from an answer to a question. */
  get summary(): HoldingsSummary {
    return this.#rare?.summary ?? this.record.holdings;
  }

  /** When it said so, epoch ms. */
  get summaryAtMs(): number {
    return this.#heard.ms;
  }

  /** A chain of links has led to it, to this session or another: it is more than a record. */
  get wasReached(): boolean {
    return this.vertex?.wasReached ?? true;
  }

  /** The last record of its session before this one; when that one speaks again, two processes have one identity. */
  get former(): MemberRecord | undefined {
    return this.#rare?.former;
  }

  set former(record: MemberRecord) {
    this.#rarely.former = record;
  }

  /** When both sessions were heard last, epoch ms; 0 while only one is known to speak. */
  get twinAtMs(): number {
    return this.#rare?.twinAtMs ?? 0;
  }

  set twinAtMs(atMs: number) {
    this.#rarely.twinAtMs = atMs;
  }

  /** Its clock minus the time of this machine, ms, as its broker tells it; undefined where that is not known. */
  get clockOffsetMs(): number | undefined {
    return this.#rare?.clockOffsetMs;
  }

  set clockOffsetMs(offsetMs: number) {
    this.#rarely.clockOffsetMs = offsetMs;
  }

  /** Takes a summary that the member sent apart from its record. */
  holds(summary: HoldingsSummary, nowMs: number): void {
    this.#rarely.summary = summary;
    this.#heard = { ms: nowMs };
  }

  /** Takes a newer record of it. */
  renew(record: MemberRecord, now: Instant): void {
    if (record.session !== this.record.session) this.former = this.record;
    if (this.#rare) this.#rare.summary = undefined;
    this.record = record;
    this.#heard = now;
  }

  become(state: Member["state"], reason: string, now: Instant): void {
    if (this.state === state) return;
    this.state = state;
    this.reason = state === "alive" ? "" : reason;
    this.#since = now;
  }

  get #rarely(): Rare {
    this.#rare ??= {
      ...{ reason: "", summary: undefined, former: undefined, twinAtMs: 0, clockOffsetMs: undefined },
    };
    return this.#rare;
  }
}

/** One for all members heard of at it: a number of its own would take 16 bytes in each. */
interface Instant {
  /** Epoch ms. */
  readonly ms: number;
}

/** Fields that most members of a large cluster lack. */
interface Rare {
  reason: string;
  summary: HoldingsSummary | undefined;
  former: MemberRecord | undefined;
  twinAtMs: number;
  clockOffsetMs: number | undefined;
}

/** A member in the graph of links. */
interface Vertex {
  readonly hash: string;
  /**
   * Members that it is linked with, as both ends report it, this node left out. Kept as records come: a walk must be
   * cheap.
   */
  neighbours: Vertex[];
  /** Number of the last walk that came here, and the steps from where that began. */
  walk: number;
  level: number;
  /** A chain of links has led to this session of it, here or where it was heard of. */
  isReached: boolean;
  wasReached: boolean;
  /** Since no chain leads to it, epoch ms; 0 while one does. */
  unreachedSinceMs: number;
}

/** The result of following the links of members. */
export interface Judgement {
  /** Members whose state changed. */
  readonly changed: readonly Member[];
  /**
   * The neighbours of this node along which gossip is pushed; undefined where the graph of links is not known. Empty where
   * few members are linked with each other: there authors push to all, and nobody passes on.
   */
  readonly tree: ReadonlySet<string> | undefined;
}

/** The outcome of a record that was heard. */
export type Heard = "new" | "newer" | "known" | "noRoom";

/** A reached member without a chain of links counts as lost after this long: time to link again, and to say so. */
const UNREACHED_MS = 1_500;
/** One never reached yet has this long: its neighbours say once a second at most whom they link with. */
const NEVER_REACHED_MS = 10_000;
/** For people. */
const NO_CHAIN = "no chain of links leads to it";
/**
 * Two processes of one identity are called twins for so long after both have spoken: members of large clusters speak
 * seldom.
 */
export const TWINS_MS = 120_000;
/** Members that are gone are remembered for this long at least. */
const GONE_MS_MIN = 600_000;
/** Part of the places of a sample that gone members keep. The roster is whole again when the rest is enough for those alive. */
const GONE_PART = 0.1;
const NO_LINKS: ReadonlySet<string> = new Set();

/**
 * All members of the cluster but this one, from their own signed records. Nobody is accused: who is lost follows from
 * the links that members report. Two members are linked when both say so, and a member is lost when no chain of such
 * links leads to it any more. A liar can lie about its own links alone.
 *
 * Beyond `membersMax` the roster is a sample, the same on all nodes: the members with the smallest hashes. Their
 * largest hash tells how many there are in all (Bar-Yossef et al. 2002, "Counting distinct elements in a data stream").
 * The roster is whole again once it has places for all living members.
 */
export class Roster {
  readonly #members = new Map<string, Member>();
  /** Their hashes, in order. */
  readonly #order: string[] = [];
  #isSample = false;
  /** When nearly all places of a sample were last taken by members that are alive, epoch ms. */
  #crowdedAtMs = 0;
  #now: Instant = { ms: 0 };
  #linksChanged = false;
  #isMesh = false;
  /** Somebody alive is out of reach, and has a moment left. */
  #isPending = false;
  /** Of those alive; kept as they change, since gossip asks for each batch how many there are. */
  #aliveCount = 0;
  #words: [number, number] = [0, 0];
  #hash: string | undefined;
  #walk = 0;

  /** @param self id of this node, which may be known only later */
  constructor(
    private readonly self: () => string,
    private readonly membersMax: number,
  ) {}

  /** Members known, this node left out. */
  get size(): number {
    return this.#members.size;
  }

  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  get(id: string): Member | undefined {
    return this.#members.get(memberHash(id));
  }

  byHash(hash: string): Member | undefined {
    return this.#members.get(hash);
  }

  alive(): Member[] {
    return [...this.#members.values()].filter(({ state }) => state === "alive");
  }

  /** All, from one drawn at random on. A caller that needs a few stops early. */
  *drawn(random: () => number): Generator<Member, void, void> {
    const order = this.#order;
    const start = Math.floor(random() * order.length);
    for (let index = 0; index < order.length; index++)
      yield this.#members.get(order[(start + index) % order.length]!)!;
  }

  /** Members that have left or are lost. */
  get goneCount(): number {
    return this.#members.size - this.#aliveCount;
  }

  isAlive(id: string): boolean {
    return this.get(id)?.state === "alive";
  }

  /** The roster does not hold all members: there are more than its limit. */
  get isSample(): boolean {
    return this.#isSample;
  }

  /** Whether no member alive has a smaller hash. */
  isSmallest(hash: string): boolean {
    const smallest = this.#order.find((other) => this.#members.get(other)!.state === "alive");
    return smallest === undefined || hash < smallest;
  }

  /** How many members there are, this node included; estimated when the roster is a sample. */
  get total(): number {
    if (!this.#isSample) return 1 + this.#aliveCount;
    const part = Number.parseInt(this.#order.at(-1)!.slice(0, 12), 16) / 2 ** 48;
    return 1 + Math.round((this.#aliveCount * (1 - 1 / this.#members.size)) / part);
  }

  /** Whether a member is linked with another than this node; both ends have said so, unless the roster is a sample. */
  isLinked(hash: string): boolean {
    const member = this.#members.get(hash);
    return (member?.vertex?.neighbours.length ?? (member?.record.links.size ?? 0) - 1) > 0;
  }

  /** Whether this very record is known: its signature need not be looked at again. Another of that age may be forged. */
  knows(record: MemberRecord): boolean {
    const known = this.#members.get(record.hash)?.record;
    if (known === record) return true;
    return known?.incarnation === record.incarnation && Buffer.compare(known.bytes, record.bytes) === 0;
  }

  /** Whether a later record of the same session is known. */
  outdates({ hash, session, incarnation }: MemberRecord): boolean {
    const known = this.#members.get(hash)?.record;
    return known?.session === session && known.incarnation > incarnation;
  }

  /** Takes a verified record of another member. */
  hear(record: MemberRecord, nowMs: number): Heard {
    const member = this.#members.get(record.hash);
    if (!member) return this.#add(record, nowMs);
    const before = member.record;
    const isNewSession = before.session !== record.session;
    const { former } = member;
    // A session that says goodbye, however late that comes, is no second one.
    const isTwin =
      isNewSession &&
      former?.session === record.session &&
      record.incarnation > former.incarnation &&
      !record.left &&
      !before.left;
    if (isTwin) member.twinAtMs = nowMs;
    if (before.incarnation >= record.incarnation) {
      if (isTwin) member.former = record;
      // Passed on: the other twin is to hear of it.
      return isTwin ? "newer" : "known";
    }
    const cameBack = member.state === "left" && !record.left;
    const isNews = isNewSession || record.left || cameBack;
    if (isNews) {
      this.#change(member, () => {
        member.renew(record, this.#at(nowMs));
        if (record.left) member.become("left", "said goodbye", this.#at(nowMs));
        else if (cameBack) member.become("alive", "", this.#at(nowMs));
      });
    } else member.renew(record, this.#at(nowMs));
    if (member.vertex && (isNews || before.left || !sameLinks(before, record))) this.#relink(member, before);
    if (member.vertex && isNewSession) member.vertex.isReached = false;
    if (member.vertex && (cameBack || isNewSession)) member.vertex.unreachedSinceMs = nowMs;
    return isNews ? "new" : "newer";
  }

  /**
   * Fingerprint of who is alive, in which session: 16 hex digits. It stays when records are merely renewed.
   * @param self this node's own record
   */
  fingerprint(self: MemberRecord): string {
    return this.#words
      .map((word, index) => ((word ^ self.words[index]!) >>> 0).toString(16).padStart(8, "0"))
      .join("");
  }

  /** Hash and incarnation of every member, to compare with another roster. @param self this node's own record */
  entries(self: MemberRecord, nowMs: number): Uint8Array {
    const members = [...this.#members.values()].filter((member) => isToldOf(member, nowMs));
    return encodeEntries([self, ...members.map(({ record }) => record)]);
  }

  /** Compares with the digest of another roster. @returns records that it lacks, and hashes of those that this one lacks */
  compare(entries: Uint8Array, nowMs: number): { give: Member[]; want: string[] } {
    const theirs = new Map(decodeEntries(entries));
    const give = [...this.#members.values()].filter(
      (member) =>
        member.record.incarnation > (theirs.get(member.record.hash) ?? -1) && isToldOf(member, nowMs),
    );
    const want = [...theirs]
      .filter(([hash, incarnation]) => this.lacks(hash, incarnation))
      .map(([hash]) => hash);
    return { give, want };
  }

  /** Whether a record of this incarnation would be news here: of another member, with a place in the roster. */
  lacks(hash: string, incarnation: number): boolean {
    const known = this.#members.get(hash);
    if (known) return known.record.incarnation < incarnation;
    return hash !== this.#selfHash && this.#hasRoomFor(hash);
  }

  /** Computed once; nobody asks before the id is known. */
  get #selfHash(): string {
    this.#hash ??= memberHash(this.self());
    return this.#hash;
  }

  /**
   * Follows the links that members report: finds who came into reach and who is lost, and the tree along which gossip
   * is pushed.
   * @param linked hashes of the members that this node has a link with
   * @param staleMs a member of a sample without a new record for so long is lost: most chains lead through members
   *   unknown here
   */
  judge(linked: ReadonlySet<string>, nowMs: number, staleMs: number): Judgement {
    if (this.#aliveCount > this.membersMax * (1 - GONE_PART)) this.#crowdedAtMs = nowMs;
    else if (this.#isSample && nowMs - this.#crowdedAtMs >= staleMs) this.#becomeWhole(nowMs, staleMs);
    const self = this.#isSample ? undefined : this.#enter(linked);
    const reached = self && this.#walkFrom(self);
    const walk = this.#walk;
    const changed: Member[] = [];
    this.#isPending = false;
    for (const member of this.#members.values()) {
      const { vertex } = member;
      if (member.state === "left") continue;
      let isLost: boolean;
      if (!vertex) isLost = nowMs - member.summaryAtMs >= staleMs;
      else {
        const isReached = vertex.walk === walk;
        if (isReached) reach(vertex);
        else if (vertex.unreachedSinceMs === 0) vertex.unreachedSinceMs = nowMs;
        const patienceMs = vertex.isReached ? UNREACHED_MS : NEVER_REACHED_MS;
        if (!isReached && member.state === "alive") this.#isPending = true;
        isLost = !isReached && (member.state === "lost" || nowMs - vertex.unreachedSinceMs >= patienceMs);
      }
      const state = isLost ? "lost" : "alive";
      if (state === member.state) continue;
      this.#change(member, () => member.become(state, member.reason, this.#at(nowMs)));
      if (state === "lost" && member.reason === "") member.reason = NO_CHAIN;
      changed.push(member);
    }
    this.#linksChanged = false;
    this.#isMesh = reached !== undefined && isMesh(reached);
    const tree = self && reached && !this.#isMesh ? this.#treeLinks(self, reached) : undefined;
    for (const { neighbours } of self?.neighbours ?? []) neighbours.pop();
    return { changed, tree: this.#isMesh ? new Set() : tree };
  }

  /** All members are linked with each other, and few, as of the last `judge`. */
  get isMesh(): boolean {
    return this.#isMesh;
  }

  /** `judge` may find something: links have changed since, or somebody's time runs. */
  get isDue(): boolean {
    return this.#linksChanged || this.#isPending;
  }

  /**
   * This node has a link with a member, which is a chain: also one that ends before the next `judge`.
   * @returns whether the member was lost
   */
  linked(hash: string, nowMs: number): boolean {
    this.linksChanged();
    const member = this.#members.get(hash);
    if (!member) return false;
    if (member.vertex) reach(member.vertex);
    const wasLost = member.state === "lost";
    if (wasLost) this.#change(member, () => member.become("alive", "", this.#at(nowMs)));
    return wasLost;
  }

  /**
   * A neighbour lists this session of a member as lost: the neighbour has waited for a chain of links, so this node need not. One
   * that this node has not reached yet is lost until a chain leads to it.
   */
  lostElsewhere({ hash, session }: Pick<MemberRecord, "hash" | "session">, nowMs: number): void {
    const member = this.#members.get(hash);
    if (!member?.vertex || member.record.session !== session) return;
    if (!member.vertex.isReached && member.state === "alive") this.mark(member, "lost", NO_CHAIN, nowMs);
    member.vertex.isReached = true;
  }

  /** Changes the state of a member, where no links tell it. */
  mark(member: Member, state: Member["state"], reason: string, nowMs: number): void {
    this.#change(member, () => member.become(state, reason, this.#at(nowMs)));
  }

  /** This node's own links have changed. */
  linksChanged(): void {
    this.#linksChanged ||= !this.#isSample;
  }

  /** Time alone tells who of a sample is lost. */
  timePassed(): void {
    this.#linksChanged ||= this.#isSample;
  }

  /** This process was late by so much: nobody is to blame for silence in that time. */
  forgive(lateMs: number): void {
    for (const { vertex } of this.#members.values())
      if (vertex && vertex.unreachedSinceMs > 0) vertex.unreachedSinceMs += lateMs;
  }

  /** Forgets who is gone for the retention: until then it may hold what nobody else does. */
  forget(retentionMs: number, nowMs: number): void {
    if (this.goneCount === 0) return;
    const goneMs = Math.max(retentionMs, GONE_MS_MIN);
    for (const member of this.#members.values())
      if (member.state !== "alive" && nowMs - member.sinceMs > goneMs) this.#remove(member);
  }

  #add(record: MemberRecord, nowMs: number): Heard {
    const { hash } = record;
    if (!this.#hasRoomFor(hash)) {
      this.#becomeSample(nowMs);
      return "noRoom";
    }
    const member = new Member(record, this.#at(nowMs), this.#isSample ? undefined : vertexOf(hash, nowMs));
    this.#members.set(hash, member);
    if (record.left) member.become("left", "said goodbye", this.#at(nowMs));
    else this.#toggle(member, 1);
    this.#relink(member, undefined);
    this.#order.splice(placeOf(hash, this.#order), 0, hash);
    if (this.#members.size > this.membersMax && !this.#longestGone) this.#becomeSample(nowMs);
    this.#trim();
    return "new";
  }

  /**
   * A node whose own hash is among the smallest has one place less for others: it would keep a member that most have no place
   * for, whose records do not reach it.
   */
  get #places(): number {
    const isAmongThem = this.#isSample && this.#selfHash < this.#order.at(-1)!;
    return this.membersMax - (isAmongThem ? 1 : 0);
  }

  #hasRoomFor(hash: string): boolean {
    return this.#order.length < this.#places || hash < this.#order.at(-1)! || this.#longestGone !== undefined;
  }

  /** Removes members without a place: those gone for longest, then those with the largest hashes. */
  #trim(): void {
    while (this.#members.size > this.#places) {
      const evicted = this.#longestGone ?? this.#members.get(this.#order.at(-1)!)!;
      if (evicted.state === "alive") this.#toggle(evicted, -1);
      this.#remove(evicted);
    }
  }

  /** Most chains of links lead through members that have no place here: nobody follows them any more. */
  #becomeSample(nowMs: number): void {
    if (this.#isSample) return;
    this.#isSample = true;
    this.#crowdedAtMs = nowMs;
    this.#linksChanged = true;
    for (const member of this.#members.values()) member.vertex = undefined;
    this.#trim();
  }

  /**
   * All members may have a place again, and had time to come back to theirs. Their links, which they told seldom, count from
   * their next records on.
   */
  #becomeWhole(nowMs: number, staleMs: number): void {
    this.#isSample = false;
    this.#linksChanged = true;
    for (const member of this.#members.values()) {
      member.vertex = vertexOf(member.record.hash, nowMs + staleMs);
      this.#relink(member, undefined);
    }
  }

  /**
   * The member that gives its place to a newcomer. Some of those gone stay in a sample: halves that were cut apart find
   * each other by them.
   */
  get #longestGone(): Member | undefined {
    if (this.goneCount <= (this.#isSample ? this.membersMax * GONE_PART : 0)) return undefined;
    let longest: Member | undefined;
    for (const member of this.#members.values())
      if (member.state !== "alive" && member.sinceMs < (longest?.sinceMs ?? Number.POSITIVE_INFINITY))
        longest = member;
    return longest;
  }

  #remove({ record, vertex }: Member): void {
    this.#members.delete(record.hash);
    this.#order.splice(placeOf(record.hash, this.#order), 1);
    if (!vertex) return;
    for (const { neighbours } of vertex.neighbours) remove(neighbours, vertex);
    vertex.neighbours = [];
  }

  /** The links that a member reports have changed: of each link both ends are asked. */
  #relink({ record, vertex }: Member, before: MemberRecord | undefined): void {
    if (!vertex) return;
    this.#linksChanged = true;
    const [links, linksBefore] = [linksOf(record), linksOf(before)];
    for (const next of linksBefore) {
      const other = links.has(next) ? undefined : this.#members.get(next)?.vertex;
      if (!other) continue;
      remove(vertex.neighbours, other);
      remove(other.neighbours, vertex);
    }
    for (const next of links) {
      const other = linksBefore.has(next) ? undefined : this.#members.get(next);
      if (!other?.vertex || !linksOf(other.record).has(record.hash) || other.vertex === vertex) continue;
      vertex.neighbours.push(other.vertex);
      other.vertex.neighbours.push(vertex);
    }
  }

  #at(nowMs: number): Instant {
    if (this.#now.ms !== nowMs) this.#now = { ms: nowMs };
    return this.#now;
  }

  /** Puts this node into the graph, for as long as it is looked at: of its own links it knows itself. */
  #enter(linked: ReadonlySet<string>): Vertex {
    const neighbours = [...linked].flatMap((hash) => this.#members.get(hash)?.vertex ?? []);
    const place = { walk: 0, level: 0, isReached: true, wasReached: true, unreachedSinceMs: 0 };
    const self = { hash: this.#selfHash, neighbours, ...place };
    for (const next of neighbours) next.neighbours.push(self);
    return self;
  }

  /**
   * Walks the graph, level by level. @returns all that a chain of links leads to, the nearest first, with the start
   * itself
   */
  #walkFrom(start: Vertex): readonly Vertex[] {
    const walk = ++this.#walk;
    Object.assign(start, { walk, level: 0 });
    const reached = [start];
    for (const { neighbours, level } of reached) {
      for (const next of neighbours) {
        if (next.walk === walk) continue;
        next.walk = walk;
        next.level = level + 1;
        reached.push(next);
      }
    }
    return reached;
  }

  /**
   * The links of this node that belong to the tree of gossip: a breadth-first tree from the reached member with the smallest
   * hash, in which each member hangs on the neighbour with the smallest hash among those nearer to the root. All who know the
   * same links find the same tree, so it need not be learned.
   */
  #treeLinks(self: Vertex, reached: readonly Vertex[]): ReadonlySet<string> {
    this.#walkFrom(reached.reduce((root, vertex) => (vertex.hash < root.hash ? vertex : root)));
    const parentOf = ({ neighbours, level }: Vertex): Vertex | undefined => {
      let parent: Vertex | undefined;
      for (const next of neighbours)
        if (next.level === level - 1 && (!parent || next.hash < parent.hash)) parent = next;
      return parent;
    };
    const parent = parentOf(self);
    const links = self.neighbours.filter((next) => next === parent || parentOf(next) === self);
    return new Set(links.map(({ hash }) => hash));
  }

  /** Changes a member, and keeps count and fingerprint of those alive. */
  #change(member: Member, change: () => void): void {
    if (member.state === "alive") this.#toggle(member, -1);
    change();
    if (member.state === "alive") this.#toggle(member, 1);
  }

  #toggle({ record }: Member, by: 1 | -1): void {
    this.#aliveCount += by;
    this.#words[0] ^= record.words[0];
    this.#words[1] ^= record.words[1];
  }
}

/** Hash and incarnation of each record, as they travel. */
export function encodeEntries(records: readonly MemberRecord[]): Uint8Array {
  const entries = Buffer.alloc(records.length * ROSTER_ENTRY_BYTES);
  let at = 0;
  for (const { hash, incarnation } of records) {
    entries.write(hash, at, "hex");
    entries.writeUIntBE(incarnation, at + HASH_BYTES, 6);
    at += ROSTER_ENTRY_BYTES;
  }
  return entries;
}

/** Hash and incarnation of each member, as `encodeEntries` packs them. */
export function* decodeEntries(packed: Uint8Array): Generator<[string, number], void, void> {
  const entries = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < entries.length; at += ROSTER_ENTRY_BYTES)
    yield [entries.toString("hex", at, at + HASH_BYTES), entries.readUIntBE(at + HASH_BYTES, 6)];
}

function vertexOf(hash: string, unreachedSinceMs: number): Vertex {
  const place = { walk: 0, level: 0, isReached: false, wasReached: false };
  return { hash, neighbours: [], ...place, unreachedSinceMs };
}

/** A chain of links leads to it. */
function reach(vertex: Vertex): void {
  vertex.isReached = true;
  vertex.wasReached = true;
  vertex.unreachedSinceMs = 0;
}

/** Others are told of gone members for half as long as these are remembered, so that one forgotten elsewhere does not come back. */
function isToldOf({ state, sinceMs }: Member, nowMs: number): boolean {
  return state === "alive" || nowMs - sinceMs < GONE_MS_MIN / 2;
}

/** Whether all that are reached are linked with each other, and so few that an author can push to all of them. */
function isMesh(reached: readonly Vertex[]): boolean {
  const others = reached.length - 1;
  return others <= LIMITS.linksWanted && reached.every(({ neighbours }) => neighbours.length === others);
}

/** A member that has left has no links. */
function linksOf(record: MemberRecord | undefined): ReadonlySet<string> {
  return record && !record.left ? record.links : NO_LINKS;
}

/** Two processes run with the identity of this member. */
export function isTwin({ twinAtMs }: Member, nowMs: number): boolean {
  return twinAtMs > 0 && nowMs - twinAtMs < TWINS_MS;
}

/** This node's own record, and the incarnation with which it began: epoch ms of its start. */
interface Own {
  readonly record: MemberRecord;
  readonly startIncarnation: number;
}

/**
 * A node without a data directory has another id after each start, and the one before is remembered as gone. A later
 * member of the same name on the same machine replaces it in lists, also where that is this node. Two that lived at one time
 * are two nodes, whatever their names.
 */
export function withoutPredecessors(members: Iterable<Member>, own: Own): Member[] {
  const places = Map.groupBy(members, ({ record }) => placeOfNode(record));
  const ownPlace = placeOfNode(own.record);
  return [...places].flatMap(([place, alike]) =>
    alike.filter(
      (member) =>
        member.state === "alive" ||
        !(alike.some((other) => succeeds(other, member)) || (place === ownPlace && isBefore(member, own))),
    ),
  );
}

/** A member began after another had spoken last. Both may be known from one frame. */
function succeeds(member: Member, former: Member): boolean {
  return member.firstHeardAtMs >= former.summaryAtMs && member.record.incarnation > former.record.incarnation;
}

/** This node has only heard of a member what others remember: the member began before, and has not spoken since. */
function isBefore({ record, firstHeardAtMs, summaryAtMs }: Member, own: Own): boolean {
  return record.incarnation < own.startIncarnation && summaryAtMs === firstHeardAtMs;
}

function placeOfNode({ name, addresses }: MemberRecord): string {
  return `${name}\n${hostOf(addresses)}`;
}

/** Every machine has a loopback address: it tells machines apart only where there is no other. */
function hostOf(addresses: readonly string[]): string {
  const hosts = addresses.map((address) => /^\/\w+\/([^/]+)\//.exec(address)?.[1] ?? address);
  return hosts.find((host) => !isLoopbackHost(host)) ?? hosts[0] ?? "";
}

function remove<T>(list: T[], entry: T): void {
  const at = list.indexOf(entry);
  if (at >= 0) list.splice(at, 1);
}

/** Where a hash belongs in a list in order. */
function placeOf(hash: string, order: readonly string[]): number {
  let [from, to] = [0, order.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (order[middle]! < hash) from = middle + 1;
    else to = middle;
  }
  return from;
}
