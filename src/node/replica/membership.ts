import { LIMITS } from "../../core/limits.js";
import { draw, pick } from "../../core/machine.js";
import { Beacons } from "./beacons.js";
import { Candidates, type Stranger } from "./candidates.js";
import type { ReplicaContext } from "./context.js";
import { Dissemination } from "./dissemination.js";
import { type Link, slownessMs } from "./links.js";
import { lostLinks, type MemberRecord, packHashes, sameLinks, unpackHashes } from "./member.js";
import type { DisconnectReason, ReplicaInput } from "./messages.js";
import { OwnRecord, type Twin } from "./own-record.js";
import { isTwin } from "./roster.js";
import { type BeaconFrame, type HelloFrame, type PeerAddresses, PROTOCOL_VERSION } from "./wire.js";

/** How often timers are looked at together: one wake-up, not one for each of them. */
const TICK_MS = 250;
/** A process that was frozen is late once: that counts little. */
const LATE_MS_MAX = 2_000;
const LATE_GAIN = 1 / 8;
/** A node whose last link ended by choice has so long for another before it takes all others for lost. */
const ALONE_MS = 10_000;
/** A newcomer that was turned away has room for so long: later ones are sent to it. */
const TURNED_AWAY_MS = 10_000;
const TURNED_AWAY_MAX = 64;
/**
 * Of so many members drawn a newcomer is referred to the one with the fewest links: it has room, most likely, and wants
 * more itself.
 */
const ROOM_TRIES = 4;
/** A full node drops a link for a newcomer at most this often. */
const RELEASE_MS = 1_000;
/** A peer that is heard from is asked this often, for its clock and the round trip. */
const PING_MS = 5_000;
/** A peer may be silent for so many round trips more: one that is busy is late with its own signs of life. */
const SILENCE_ROUND_TRIPS = 2;
/**
 * Rosters that differ are compared at most this often: a newcomer gets nearly the same from all whom it links with, and news on
 * its way besides...
 */
const ROSTER_MS = 2_000;
/** ... and a sample, which news reaches on every link, so often for each member of the cluster. */
const ROSTER_SAMPLE_MEMBER_MS = 5;
/** A node of another version is remembered for so long after it was met last: it dials this one more often than that. */
const FORGOTTEN_MS = 90_000;

/**
 * Membership and the choice of links: HyParView (Leitao et al. 2007) with a roster of all members in
 * place of its passive view. A node dials until it has `linksWanted` links, takes up to `linksMax`, and refers newcomers
 * beyond to others (docs/protocol.md#membership).
 */
export class Membership {
  /** When the tree of gossip last led along other links of this node, epoch ms; infinite while none is known. */
  treeChangedAtMs = 0;
  /**
   * How late this node is woken, a moving average. A node that is late dials, publishes and passes on less often: where many
   * share a machine, each of them makes work for all, and what is late is tried again.
   */
  lateMs = 0;
  readonly #beacons: Beacons;
  readonly #candidates: Candidates;
  readonly #dissemination: Dissemination;
  readonly #own: OwnRecord;
  readonly #strangers: Strangers;
  #tickAtMs = 0;
  #releasedAtMs = 0;
  #judgedAtMs = 0;
  #aloneUntilMs = 0;
  /** Of the roster, as it was looked at last, and when it was another one. */
  #fingerprint = "";
  #fingerprintAtMs = 0;
  #rosterAskedAtMs = 0;
  /** Newcomers that this node had no room for, oldest first: those who come at once link with each other. */
  readonly #turnedAway = new Map<string, { readonly record: MemberRecord; readonly atMs: number }>();

  constructor(private readonly context: ReplicaContext) {
    this.#beacons = new Beacons(context, (atMs) => {
      this.treeChangedAtMs = atMs;
    });
    this.#candidates = new Candidates(context);
    this.#dissemination = new Dissemination(context, (link, records) => this.#give(link, records));
    this.#own = new OwnRecord(context, this.#dissemination);
    this.#strangers = new Strangers((id) => context.notifyPeer(id));
  }

  /** The engine listens: from now on this node can be met. */
  start(nowMs: number): void {
    this.#own.start(nowMs);
  }

  get wakeAtMs(): number {
    return Math.min(this.#tickAtMs, this.#own.wakeAtMs, this.#dissemination.wakeAtMs);
  }

  /** A dial is under way, or a link is opening. */
  get isMeeting(): boolean {
    return (
      this.#candidates.isDialling || [...this.context.links.all()].some(({ state }) => state === "opening")
    );
  }

  /** This node's own record; present from `start` on. */
  get record(): MemberRecord {
    return this.#own.record;
  }

  /** The incarnation of its first record, epoch ms. */
  get startIncarnation(): number {
    return this.#own.startIncarnation;
  }

  /** Another process that speaks with this node's identity. */
  twin(nowMs: number): Twin | undefined {
    return this.#own.twin(nowMs);
  }

  /** Of all members alive, this one included. */
  get fingerprint(): string {
    return this.context.roster.fingerprint(this.record);
  }

  /** Whether a peer may connect: it is not punished. */
  admits(peer: string, nowMs: number): boolean {
    return this.#candidates.admits(peer, nowMs);
  }

  /** Refuses a peer for a while. */
  punish(peer: string, nowMs: number): void {
    this.#candidates.punish(peer, nowMs);
  }

  /** Nodes of the cluster that this node cannot meet, each with its code. */
  get strangers(): IterableIterator<Stranger> {
    return this.#strangers.all();
  }

  /** Also addresses that were not reached, each with the reason: thousands where mDNS brings them. */
  unreached(): Stranger[] {
    const unreached = this.#candidates.unreached().filter(({ id }) => !this.#strangers.has(id));
    return [...this.#strangers.all(), ...unreached];
  }

  /** One of these. */
  stranger(id: string): Stranger | undefined {
    return this.#strangers.get(id) ?? this.#candidates.unreachedOne(id);
  }

  /** Discovery shows somebody who cannot be met. */
  strangerSeen(
    { peer, name, address, code }: Extract<ReplicaInput, { type: "strangerSeen" }>,
    nowMs: number,
  ): void {
    const reason = code === "twin" ? "has the id of this node" : "has another cluster key, or none";
    this.#strangers.shown({ id: peer, name, address, code, reason, sinceMs: nowMs });
  }

  /** Somebody may be at these addresses: the user or mDNS says so. @param id when it is known */
  found(found: Extract<ReplicaInput, { type: "found" }>, nowMs: number): void {
    if (found.peer !== undefined) this.#strangers.found(found.peer);
    this.#candidates.found(found, nowMs);
  }

  /** Somebody found by mDNS said goodbye there. */
  vanished(id: string): void {
    this.#strangers.forget(id);
    this.#candidates.forget(id);
  }

  /** A connection is there. The one that dialled speaks first. */
  linkUp(link: Link, attempt: number | undefined, nowMs: number): void {
    if (attempt !== undefined) this.#candidates.connected(attempt, link.peer, nowMs);
    if (link.dialled) this.#greet(link, nowMs);
  }

  /** An attempt has led nowhere. @param self the address is this node's own */
  dialFailed(attempt: number, reason: string, self: boolean, nowMs: number): void {
    this.#candidates.failed(attempt, reason, self, nowMs);
  }

  /**
   * Takes a peer's hello: the link serves from now on, or not. @param record the peer's, verified
   * @returns why the link must end, if it must
   */
  hello(link: Link, frame: HelloFrame, record: MemberRecord, nowMs: number): DisconnectReason | undefined {
    const { options, links, roster } = this.context;
    if (frame.cluster !== options.cluster) {
      if (!link.dialled) this.#greet(link, nowMs);
      this.#candidates.unfit(link.peer, `is of cluster ${frame.cluster}, not ${options.cluster}`, nowMs);
      return "clusterDiffers";
    }
    if (record.id !== link.peer) return "badFrame";
    const other = links.with(link.peer);
    if (other && other.record?.session !== record.session && this.#isTwinOf(other, link, record, nowMs))
      return "alreadyLinked";
    if (other && this.#loserOf(other, link, frame, record.session, nowMs) === link) return "alreadyLinked";
    if (!other && !link.dialled && !this.#takesIn(link, frame, nowMs)) {
      this.#refer(link, false, nowMs);
      this.#turnedAway.set(record.id, { record, atMs: nowMs });
      if (this.#turnedAway.size > TURNED_AWAY_MAX)
        this.#turnedAway.delete(this.#turnedAway.keys().next().value!);
      return "full";
    }
    if (!link.dialled) this.#greet(link, nowMs);
    links.serve(link, frame, record, nowMs);
    this.#beacons.linkUp(link);
    if (other) this.context.cut(other, "alreadyLinked");
    link.clockOffsetMs = frame.nowMs - nowMs;
    this.#candidates.linked(link.peer);
    this.#strangers.forget(link.peer);
    this.hear(record, nowMs, link);
    // A run of it before had a clock that was ahead: it is to outbid that one, however long that is gone.
    const known = roster.byHash(link.hash)?.record;
    if (known && known.incarnation > record.incarnation) this.#give(link, [known]);
    if (roster.linked(link.hash, nowMs)) this.context.notifyPeer(link.peer);
    this.#compareRosters(link, frame.roster, nowMs);
    this.#own.relinked(links.count === 1, nowMs);
    this.#judge(nowMs);
    this.#candidates.dial(nowMs);
    return undefined;
  }

  /** A peer speaks another version of the protocol. @returns why the link must end */
  otherVersion(
    link: Link,
    { v, record }: Extract<ReplicaInput, { type: "otherVersion" }>,
    nowMs: number,
  ): DisconnectReason {
    const { options } = this.context;
    // The other side is to know, too.
    if (!link.dialled) this.#greet(link, nowMs);
    const isSigned = record?.id === link.peer;
    const theirs = isSigned ? `hubcast ${record.version}, protocol ${v}` : `protocol ${v}`;
    this.#strangers.met({
      id: link.peer,
      name: isSigned ? record.name : link.peer,
      address: link.address,
      code: "versionDiffers",
      reason: `runs ${theirs}; this node hubcast ${options.version}, protocol ${PROTOCOL_VERSION}`,
      sinceMs: nowMs,
    });
    return "versionDiffers";
  }

  /** A link is gone. */
  linkDown(link: Link, reason: string, nowMs: number): void {
    const { links, roster } = this.context;
    const served = links.with(link.peer) === link;
    const wasUp = link.hello !== undefined;
    links.close(link);
    if (!wasUp && link.dialled && !link.isReleased) this.#candidates.hungUp(link.peer, reason, nowMs);
    if (!wasUp || (!served && links.with(link.peer))) return;
    const member = roster.byHash(link.hash);
    if (member?.state === "alive") member.reason = reason;
    roster.linksChanged();
    this.#beacons.linkDown(link, nowMs);
    this.#own.relinked(!link.isReleased, nowMs);
    if (link.isReleased && links.count === 0) this.#aloneUntilMs = nowMs + ALONE_MS;
    this.#candidates.fillLater(nowMs);
    this.#judge(nowMs);
    this.#candidates.dial(nowMs);
  }

  /** Others stand in for the peer of this link. */
  referred(link: Link, peers: readonly PeerAddresses[], release: boolean, nowMs: number): void {
    link.isReleased = true;
    if (!release) this.#candidates.full(link.peer, nowMs);
    this.#candidates.named(peers, link, nowMs);
    this.#candidates.dial(nowMs);
  }

  /** Takes the digest of a peer's roster, and answers with what either lacks. */
  rosterReceived(link: Link, members: Uint8Array, nowMs: number): void {
    const { give, want } = this.context.roster.compare(members, nowMs);
    this.#give(link, [this.record, ...give.map(({ record }) => record)], packHashes(want));
  }

  /** A peer has news of these members. */
  announced(link: Link, members: Uint8Array, nowMs: number): void {
    this.#dissemination.announced(link, members, nowMs);
  }

  /** Takes records from a peer, verified: news, or what its roster has and this one lacks. Gives those that it wants. */
  records(
    link: Link,
    { records, lost, want }: Extract<ReplicaInput, { type: "recordsReceived" }>,
    nowMs: number,
  ): void {
    const { roster } = this.context;
    const lostThere = new Set(unpackHashes(lost));
    for (const record of records) {
      this.#dissemination.came(record);
      this.hear(record, nowMs, link);
      if (lostThere.has(record.hash)) roster.lostElsewhere(record, nowMs);
    }
    this.#give(
      link,
      unpackHashes(want).flatMap((hash) => roster.byHash(hash)?.record ?? []),
    );
    this.#judge(nowMs);
  }

  /** A beacon came, which shows the tree where the roster is a sample. */
  beacon(link: Link, frame: BeaconFrame, nowMs: number): void {
    this.#beacons.heard(link, frame, nowMs);
  }

  pinged(link: Link, roster: string, nowMs: number): void {
    // While it changes, news is on its way to both.
    if (nowMs - this.#fingerprintAtMs >= ROSTER_MS) this.#compareRosters(link, roster, nowMs);
  }

  /** The record must change: name, policy, or whether items are stamped ahead. */
  changed(nowMs: number): void {
    this.#own.changed(nowMs);
  }

  /** Says goodbye to all. */
  leave(nowMs: number): void {
    this.#own.leave(nowMs);
    this.#candidates.close();
    for (const link of this.context.links.all()) {
      // The peer may have taken this node's hello already, while its own is on its way.
      if (link.state === "opening" && link.dialled) this.#give(link, [this.record]);
      link.isReleased = true;
    }
  }

  /** @returns links whose peers have been silent for too long */
  tick(nowMs: number): Link[] {
    const { links, roster, options, send } = this.context;
    this.#own.tick(nowMs);
    this.#dissemination.tick(nowMs);
    if (nowMs < this.#tickAtMs) return [];
    const lateMs = this.#tickAtMs === 0 ? 0 : Math.max(0, nowMs - this.#tickAtMs);
    this.lateMs += (Math.min(lateMs, LATE_MS_MAX) - this.lateMs) * LATE_GAIN;
    if (lateMs > 2 * TICK_MS) {
      roster.forgive(lateMs);
      for (const link of links.all()) link.heardAtMs = Math.min(nowMs, link.heardAtMs + lateMs);
    }
    this.#tickAtMs = nowMs + TICK_MS;
    const silent: Link[] = [];
    const ping = { t: "ping", atMs: nowMs, roster: this.fingerprint } as const;
    for (const link of links.all()) {
      const quietMs = nowMs - link.heardAtMs;
      const lostMs = LIMITS.heartbeatLostMs + SILENCE_ROUND_TRIPS * slownessMs(link);
      const limitMs = link.state === "up" ? lostMs : this.#candidates.handshakeMs;
      if (link.budget.isHeldUp) link.heardAtMs = nowMs;
      else if (quietMs >= limitMs) silent.push(link);
      else if (
        link.state === "up" &&
        nowMs - link.pingedAtMs >= (isHeard(link, nowMs) ? PING_MS : LIMITS.heartbeatMs)
      ) {
        link.pingedAtMs = nowMs;
        send(link, ping);
      }
    }
    if (this.#own.refresh(nowMs)) roster.timePassed();
    this.#judge(nowMs);
    const { fingerprint } = this;
    if (fingerprint !== this.#fingerprint) this.#fingerprintAtMs = nowMs;
    this.#fingerprint = fingerprint;
    roster.forget(options.retentionMs, nowMs);
    this.#beacons.tick(nowMs);
    this.#strangers.forgetOld(nowMs);
    this.#candidates.tick(nowMs);
    return silent;
  }

  /** The first words to a peer. */
  #greet(link: Link, nowMs: number): void {
    const { links, starting, options } = this.context;
    link.greetedStarting = starting;
    this.context.send(link, {
      t: "hello",
      v: PROTOCOL_VERSION,
      cluster: options.cluster,
      record: this.record.bytes,
      nowMs: this.context.clock.ownMs(nowMs),
      starting,
      links: links.count,
      linked: links.othersWith(link),
      roster: this.fingerprint,
    });
  }

  /**
   * A peer that is linked comes once more, with another session: it was started anew, or two processes have its identity.
   * Of twins the one that is linked stays, and the other is told, and asked to come again later.
   * @returns whether they are twins
   */
  #isTwinOf(linked: Link, link: Link, record: MemberRecord, nowMs: number): boolean {
    this.hear(record, nowMs, link);
    const member = this.context.roster.byHash(link.hash);
    if (!member || !isTwin(member, nowMs)) return false;
    if (!link.dialled) this.#greet(link, nowMs);
    this.#give(link, [linked.record!]);
    this.#refer(link, false, nowMs);
    return true;
  }

  /** Of two links with one peer the one that ends. Both sides decide alike. */
  #loserOf(older: Link, newer: Link, { linked }: HelloFrame, session: string, nowMs: number): Link {
    if (older.record?.session !== session) return older;
    if (older.dialled === newer.dialled) return linked ? newer : older;
    // The peer has lost the older one. While that is young, the two have dialled each other at once, and its hello is
    // of before.
    if (!linked && nowMs - older.openedAtMs > LIMITS.peerHandshakeMsMax) return older;
    const selfIsSmaller = this.context.options.id < newer.peer;
    return newer.dialled === selfIsSmaller ? older : newer;
  }

  /** Whether there is room for a newcomer, also by letting another go. */
  #takesIn(link: Link, { links: linksOfPeer }: HelloFrame, nowMs: number): boolean {
    const { links, roster, options } = this.context;
    const up = [...links.up()];
    const dialled = up.filter((one) => one.dialled).length;
    // Places of its own that a node has not filled yet stay free, so that those who come cannot take them all.
    const kept = Math.max(0, options.linksWanted / 2 - dialled);
    if (up.length < options.linksMax - kept) return true;
    if (linksOfPeer > 0 || nowMs - this.#releasedAtMs < RELEASE_MS) return false;
    const others = up.filter((one) => !one.dialled && one.peer !== link.peer);
    // A peer without another link that both ends have told of would be out of reach for all.
    const released = pick(
      others.filter(({ hash }) => roster.isLinked(hash)),
      options.random,
    );
    if (!released) return false;
    this.#releasedAtMs = nowMs;
    released.isReleased = true;
    this.#refer(released, true, nowMs);
    this.context.cut(released, "released");
    return true;
  }

  #refer(link: Link, release: boolean, nowMs: number): void {
    const { roster, links } = this.context;
    // All know the same members of a sample, who cannot take in everybody: who links with this node may have room.
    const rest = roster.isSample
      ? Array.from(links.up(), ({ record }) => record!)
      : roster.alive().map(({ record }) => record);
    for (const [id, { record, atMs }] of this.#turnedAway)
      if (nowMs - atMs > TURNED_AWAY_MS || roster.isAlive(id)) this.#turnedAway.delete(id);
      else rest.push(record);
    const peers: PeerAddresses[] = [];
    while (peers.length < LIMITS.referredMax && rest.length > 0) {
      const { id, addresses } = this.#drawWithRoom(rest);
      if (id !== link.peer) peers.push({ id, addresses });
    }
    this.context.send(link, { t: "refer", peers, release });
  }

  /** Takes one out of a list at random, which is not empty: of a few, the one with the fewest links. */
  #drawWithRoom(list: MemberRecord[]): MemberRecord {
    const { random } = this.context.options;
    let drawn = draw(list, random);
    for (let tries = ROOM_TRIES; tries > 1 && list.length > 0; tries--) {
      const other = draw(list, random);
      const isBetter = other.links.size < drawn.links.size;
      list.push(isBetter ? drawn : other);
      if (isBetter) drawn = other;
    }
    return drawn;
  }

  #give(link: Link, records: readonly MemberRecord[], want: Uint8Array = new Uint8Array()): void {
    const { roster } = this.context;
    const most = LIMITS.recordsPerFrameMax;
    for (let at = 0; at < records.length; at += most) {
      const some = records.slice(at, at + most);
      const lost = some.filter(({ hash }) => roster.goneCount > 0 && roster.byHash(hash)?.state === "lost");
      this.context.send(link, {
        t: "records",
        records: some.map(({ bytes }) => bytes),
        lost: packHashes(lost.map(({ hash }) => hash)),
        want: at === 0 ? want : new Uint8Array(),
      });
    }
  }

  /**
   * Takes one verified record. @param link by which it came: a new record is passed on; absent when a broker brought it. A
   * record that finds no place in a sample is not passed on: others have none for it, either.
   */
  hear(record: MemberRecord, nowMs: number, link?: Link): ReturnType<ReplicaContext["roster"]["hear"]> {
    const { options, roster, links } = this.context;
    if (record.id === options.id) {
      this.#own.heard(record, nowMs);
      return "known";
    }
    const member = roster.byHash(record.hash);
    const [before, stateBefore] = [member?.record, member?.state];
    if (before === record) {
      if (link) this.#dissemination.knownOn(link, record);
      return "known";
    }
    const former = before?.session === record.session ? before : member?.former;
    const wasTwin = member !== undefined && isTwin(member, nowMs);
    const heard = roster.hear(record, nowMs);
    const own = heard === "known" ? undefined : links.with(record.id);
    if (own?.record?.session === record.session && own.record.incarnation < record.incarnation)
      own.record = record;
    if (heard === "noRoom") return heard;
    if (heard === "known") {
      if (link && before?.incarnation === record.incarnation) this.#dissemination.knownOn(link, before);
      return heard;
    }
    const isNewTwin = member !== undefined && !wasTwin && isTwin(member, nowMs);
    const state = roster.byHash(record.hash)?.state;
    // A lost member that has begun anew is no news before a chain of links leads to it: it is as lost as before.
    const isNews = state !== stateBefore || (heard === "new" && state !== "lost");
    if (isNewTwin || isNews) this.context.notifyPeer(record.id);
    if (heard === "new") this.#candidates.restarted(record);
    // A new member without links is out of reach. Its next record names its first link, and is passed on.
    if (!link || (record.links.size === 0 && !record.left && !before)) return heard;
    const isLoss = record.left || (!roster.isSample && lostLinks(before, record));
    const isOfTwin = before?.session !== record.session;
    const isForAll = isLoss || isOfTwin || heard === "new" || before?.links.size === 0;
    const isRenewal = !isForAll && before !== undefined && sameLinks(before, record);
    // By its incarnation alone a peer that knows the other session would not ask for it.
    const isPushed = before !== undefined && isOfTwin;
    const news = { record, knownOn: [link], isPushed, isOwn: false, isForAll, isRenewal };
    this.#dissemination.tell(news, former, isLoss, nowMs);
    return heard;
  }

  #compareRosters(link: Link, theirs: string, nowMs: number): void {
    const { roster, send } = this.context;
    // One of the two begins, so that not both send the same.
    if (!link.dialled) return;
    const everyMs = roster.isSample ? roster.total * ROSTER_SAMPLE_MEMBER_MS : ROSTER_MS;
    if (theirs === this.fingerprint || nowMs - this.#rosterAskedAtMs < everyMs) return;
    this.#rosterAskedAtMs = nowMs;
    send(link, { t: "roster", members: roster.entries(this.record, nowMs), part: false });
  }

  /** Looks at the chains of links again, unless a moment ago: in a roster of n it costs some 3 n us. */
  #judge(nowMs: number): void {
    const { roster, links } = this.context;
    if (this.context.options.hasBroker || (!roster.isDue && links.count > 0)) return;
    if (links.count === 0 && nowMs < this.#aloneUntilMs) return;
    const everyMs = Math.max(roster.size > this.context.options.linksMax ? TICK_MS : 0, roster.size);
    if (nowMs >= this.#judgedAtMs && nowMs - this.#judgedAtMs < everyMs) return;
    this.#judgedAtMs = nowMs;
    const linked = new Set(Array.from(links.up(), (link) => link.hash));
    const { changed, tree } = roster.judge(linked, nowMs, 3 * this.#own.refreshMs);
    for (const { state, record } of changed) {
      if (state === "alive") this.#candidates.back(record.id);
      this.context.notifyPeer(record.id);
    }
    if (roster.isSample) return;
    for (const link of links.up()) {
      const isInTree = tree?.has(link.hash);
      if (isInTree === link.isInTree) continue;
      link.isInTree = isInTree;
      link.isPruned = false;
      this.treeChangedAtMs = nowMs;
    }
  }
}

/** Nodes of another version or cluster key, and a twin that discovery shows. */
class Strangers {
  readonly #byId = new Map<string, Stranger & { readonly seenAtMs: number }>();

  /** @param notify told of each that is new, or a stranger for another reason than before */
  constructor(private readonly notify: (id: string) => void) {}

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  get(id: string): Stranger | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Stranger> {
    return this.#byId.values();
  }

  /** A node of another version was met just now. */
  met(stranger: Stranger): void {
    this.#add(stranger, stranger.sinceMs);
  }

  /** Discovery shows the node until `forget`. */
  shown(stranger: Stranger): void {
    this.#add(stranger, Number.POSITIVE_INFINITY);
  }

  /** Discovery shows a node that can be met: it has this node's cluster key by now. */
  found(id: string): void {
    if (this.#byId.get(id)?.code === "clusterKeyDiffers") this.#byId.delete(id);
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }

  forgetOld(nowMs: number): void {
    for (const { id, seenAtMs } of this.#byId.values())
      if (nowMs - seenAtMs > FORGOTTEN_MS) this.#byId.delete(id);
  }

  #add(stranger: Stranger, seenAtMs: number): void {
    const known = this.#byId.get(stranger.id);
    this.#byId.set(stranger.id, { ...stranger, sinceMs: known?.sinceMs ?? stranger.sinceMs, seenAtMs });
    if (this.#byId.size > LIMITS.strangersMax) this.#byId.delete(this.#byId.keys().next().value!);
    if (known?.code !== stranger.code) this.notify(stranger.id);
  }
}

/** Frames come. While a long one comes, the pings of its sender wait behind it, and only ours tell that this node lives. */
function isHeard({ heardAtMs, progressAtMs }: Link, nowMs: number): boolean {
  return nowMs - heardAtMs < LIMITS.heartbeatMs && nowMs - progressAtMs >= LIMITS.heartbeatMs;
}
