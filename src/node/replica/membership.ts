import { LIMITS } from "../../core/limits.js";
import { TokenBuckets } from "../../core/rates.js";
import type { ReplicaContext } from "./context.js";
import type { Link } from "./links.js";
import { encodeRecord, type MemberRecord, packHashes, unpackHashes } from "./member.js";
import type { DisconnectReason, ReplicaInput } from "./messages.js";
import { isTwin, type Member, TWINS_MS } from "./roster.js";
import { encodeRecords, type HelloFrame, type PeerAddresses, PROTOCOL_VERSION } from "./wire.js";

/** Somewhere to dial. */
interface Candidate {
  /** The expected id: another one there is a failure. Absent where the user gave an address alone. */
  readonly expected: string | undefined;
  /** The id that was met there last, or is expected. */
  id: string | undefined;
  addresses: readonly string[];
  /** Named by the user or by mDNS: tried for good. */
  readonly isConfigured: boolean;
  /** The peer that named the address, or `ROSTER`. */
  readonly introducer: string;
  failures: number;
  nextAtMs: number;
  attempt: number | undefined;
  /** When it was dialled last. */
  dialledAtMs?: number;
  /** Why it was not reached, and since when; absent when it was reached. */
  fault?: { readonly reason: string; readonly sinceMs: number } | undefined;
}

/** Somebody that this node knows of and cannot meet. */
export interface Stranger {
  /** Its id; the address where that is unknown. */
  readonly id: string;
  readonly name: string;
  readonly address: string;
  /** Absent: an address that was not reached. `twin`: it has this node's own id. */
  readonly code?: "versionDiffers" | "clusterKeyDiffers" | "twin";
  /** For people. */
  readonly reason: string;
  readonly sinceMs: number;
}

/** A record to pass on. */
interface News {
  readonly record: MemberRecord;
  /** Links whose peers have it. */
  readonly knownOn: Link[];
  /** The record differs from the one before in more than its age. */
  readonly isChange: boolean;
  /** It is told on so many links. */
  tellings: number;
}

/** A record of this node's identity from another process. */
export interface Twin {
  readonly record: MemberRecord;
  readonly sinceMs: number;
  readonly heardAtMs: number;
}

/** How often timers are looked at together: one wake-up, not one for each of them. */
const TICK_MS = 250;
/** Own records are published this long after a change... */
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
/** ... but for the loss of a link, which others wait for: links that end with each other share a record. */
const PUBLISH_LOSS_MS = 30;
const PUBLISH_LOSS_EVERY_MS = 500;
/**
 * Records to pass on are gathered for so long after others went out, for each member a little longer: a frame costs what 20 do.
 * On the links of the tree they go first: most links besides bring then what their other end has, and one of the two says it...
 */
const SCOPES = ["all", "tree"] as const;
const NEWS_MS = 30;
const NEWS_MEMBER_MS = { tree: 2.5, all: 5 };
/** ... and so many times as long as this node is woken late... */
const NEWS_LATES = 2;
/** ... but for losses, which others wait for; and where all of them merely renew what is known, or nobody follows links. */
const NEWS_LOSS_MEMBER_MS = { tree: 0.5, all: 2.5 };
const NEWS_MEMBERS_MAX = 250;
const RENEWALS_MS = 1_000;
/** Where the roster is a sample, news of members goes to so many links: nine in ten hear of it, others when rosters are compared... */
const SAMPLE_TELLINGS = 3;
/** ... but goodbyes, and a record whose member had said nothing for so long, go to all: those who miss it would take it for lost. */
const SAMPLE_SILENT_MS = 5_000;
/** Two nodes that discover each other at once: the one with the larger id lets the other go first. */
const COURTESY_MS = 100;
/** While an attempt to connect is under way, another begins after this long... */
const DIAL_MS = 250;
/** ... and so many times as long as this node is woken late: a handshake takes a dozen turns of the event loop at either end. */
const DIAL_LATES = 16;
/** A process that was frozen is late once: that counts little. */
const LATE_MS_MAX = 2_000;
const LATE_GAIN = 1 / 8;
const BACKOFF_MS = 200;
/** Longest wait for a configured address: a SYN every 3 s costs nothing, and a healed partition must close within 10 s. */
const BACKOFF_CONFIGURED_MS_MAX = 3_000;
const BACKOFF_MS_MAX = 30_000;
/** Addresses learned from others are given up after so many failures in a row. */
const FAILURES_MAX = 5;
/** A node whose last link ended by choice has so long for another before it takes all others for lost. */
const ALONE_MS = 10_000;
/** A member that referred this node elsewhere is full: it is not asked again for so long. */
const FULL_MS = 10_000;
/** ... in a large cluster for longer, since all of it may have been told of that one. */
const FULL_MEMBER_MS = 10;
/** A newcomer that was turned away has room for so long: later ones are sent to it. */
const TURNED_AWAY_MS = 10_000;
const TURNED_AWAY_MAX = 64;
/** Of so many members drawn the one with the fewest links is dialled: it has room, most likely, and wants more itself. */
const ROOM_TRIES = 4;
/** With links enough, an address that leads to nobody known is tried this often... */
const STRANGER_MS = 1_000;
/** ... and a lost member, drawn at random, this often. */
const LOST_TRY_MS_MIN = 5_000;
const LOST_TRY_MS_MAX = 10_000;
/** A lost member that was never reached is tried for so long. */
const NEVER_REACHED_TRY_MS = 120_000;
/** A node of another version is remembered for so long after it was met last: it tries more often. */
const STRANGER_FORGOTTEN_MS = 90_000;
/** A handshake has so many times as long more: what was given up half way is begun again, and costs both ends as much. */
const HANDSHAKE_LATES = 32;
/** An engine ends each dial in its time; one that does not must not keep its candidate for good. */
const DIAL_END_MS = 2_000;
/** A dial that fails sooner may have run into another one to the same address: only the second counts as a failure. */
const QUICK_FAILURE_MS = 1_000;
/** The introducer of those whom records say to be there. */
const ROSTER = "";
/** A full node drops a link for a newcomer at most this often. */
const RELEASE_MS = 1_000;
/** A peer that is heard from is asked this often, for its clock and the round trip. */
const PING_MS = 5_000;
/** A broker keeps each record this fresh. */
const RENEW_MS = 1_000;
/** Two rosters that differ are compared at most this often on one link... */
const ROSTER_MS = 2_000;
/** ... and a sample, which news reaches on every link, so often on all of them, for each member of the cluster. */
const ROSTER_SAMPLE_MEMBER_MS = 5;

/**
 * Membership and the choice of links: HyParView (Leitao et al. 2007) with a roster of all members in
 * place of its passive view. A node dials until it has `linksWanted` links, takes up to `linksMax`, and refers newcomers
 * beyond to others (docs/protocol.md#membership).
 */
export class Membership {
  /** This node's own record; present from `start` on. */
  record!: MemberRecord;
  /** When the tree of gossip last led along other links of this node, epoch ms. */
  treeChangedAtMs = 0;
  readonly #candidates = new Map<string, Candidate>();
  /** Nodes of another version or cluster key, by id, and a twin that discovery shows. */
  readonly #apart = new Map<string, Stranger & { readonly seenAtMs: number }>();
  #twin: Twin | undefined;
  readonly #attempts = new Map<number, { readonly candidate: Candidate; readonly key: string }>();
  readonly #punished = new Map<string, { untilMs: number; forMs: number }>();
  /** Names taken and connects made for the sake of one introducer; connects for the sake of all; and those to one target. */
  readonly #introducers = new TokenBuckets({ perSecond: 8, burst: 128, namesMax: 1_024 });
  readonly #strangers = new TokenBuckets({ perSecond: 32, burst: 256, namesMax: 1 });
  readonly #targets = new TokenBuckets({ perSecond: 0.5, burst: 3, namesMax: 4_096 });
  /** Other sessions of this node's id that were heard of since it has started, and their first incarnation that was. */
  readonly #firstHeard = new Map<string, number>();
  /** The incarnation of its first record, epoch ms. */
  startIncarnation = 0;
  #lastAttempt = 0;
  /**
   * How late this node is woken, a moving average. A node that is late dials, publishes and passes on less often: where many
   * share a machine, each of them makes work for all, and what is late is tried again.
   */
  #lateMs = 0;
  #tickAtMs = 0;
  #publishAtMs = Number.POSITIVE_INFINITY;
  #publishedAtMs = 0;
  #lossToldAtMs = 0;
  #refreshAtMs = 0;
  #strangerAtMs = 0;
  #lostTryAtMs = 0;
  #releasedAtMs = 0;
  #judgedAtMs = 0;
  #aloneUntilMs = 0;
  /** Of the roster, as it was looked at last, and when it was another one. */
  #fingerprint = "";
  #fingerprintAtMs = 0;
  /** Records to pass on, the last of each session of a member: others must hear of both twins. */
  readonly #news = new Map<MemberRecord, News>();
  /** When they are told next on the links of the tree and on all, and were last. */
  readonly #newsAtMs = { tree: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY };
  readonly #newsSentAtMs = { tree: 0, all: 0 };
  #rosterAskedAtMs = 0;
  /** Newcomers that this node had no room for, oldest first: those who come at once link with each other. */
  readonly #turnedAway = new Map<string, { readonly record: MemberRecord; readonly atMs: number }>();
  readonly #session: string;

  constructor(private readonly context: ReplicaContext) {
    const { random } = context.options;
    this.#session = Array.from({ length: 16 }, () => Math.floor(random() * 16).toString(16)).join("");
  }

  /** The engine listens: from now on this node can be met. */
  start(nowMs: number): void {
    this.startIncarnation = nowMs;
    this.record = this.#makeRecord(nowMs, nowMs, false);
  }

  get wakeAtMs(): number {
    return Math.min(this.#tickAtMs, this.#publishAtMs, this.#newsAtMs.tree, this.#newsAtMs.all);
  }

  /** Whether a peer may connect: it is not punished. */
  admits(peer: string, nowMs: number): boolean {
    return (this.#punished.get(peer)?.untilMs ?? 0) <= nowMs;
  }

  /** Another process that speaks with this node's identity. */
  twin(nowMs: number): Twin | undefined {
    return this.#twin && nowMs - this.#twin.heardAtMs < TWINS_MS ? this.#twin : undefined;
  }

  /** Nodes of the cluster and configured addresses that this node cannot meet, each with the reason. */
  strangers(): Stranger[] {
    const { roster } = this.context;
    const unreached = [...this.#candidates].flatMap(([key, { id, addresses, fault, isConfigured }]) => {
      if (!fault || !isConfigured || (id !== undefined && (roster.get(id) || this.#apart.has(id)))) return [];
      return { id: id ?? key, name: id ?? key, address: addresses[0] ?? "", ...fault };
    });
    return [...this.#apart.values(), ...unreached];
  }

  /** Discovery shows somebody who cannot be met. */
  strangerSeen(
    { peer, name, address, code }: Extract<ReplicaInput, { type: "strangerSeen" }>,
    nowMs: number,
  ): void {
    const reason = code === "twin" ? "has the id of this node" : "has another cluster key, or none";
    this.#addStranger({ id: peer, name, address, code, reason, sinceMs: nowMs }, Number.POSITIVE_INFINITY);
  }

  /** Somebody may be at these addresses: the user or mDNS says so. @param id when it is known */
  found(addresses: readonly string[], id: string | undefined, nowMs: number): void {
    if (id !== undefined && this.#apart.get(id)?.code === "clusterKeyDiffers") this.#apart.delete(id);
    if (id === this.context.options.id || addresses.length === 0) return;
    const key = id ?? addresses.toSorted().join(" ");
    const known = this.#candidates.get(key);
    if (known?.isConfigured) {
      const isNew = addresses.some((address) => !known.addresses.includes(address));
      known.addresses = [...new Set([...addresses, ...known.addresses])].slice(0, LIMITS.peerAddressesMax);
      if (isNew) Object.assign(known, { failures: 0, nextAtMs: Math.min(known.nextAtMs, nowMs) });
    } else {
      const nextAtMs = nowMs + (id !== undefined && this.context.options.id > id ? COURTESY_MS : 0);
      this.#remember(key, {
        ...{ expected: id, id, addresses, isConfigured: true, introducer: ROSTER },
        ...{ failures: 0, nextAtMs, attempt: undefined },
      });
    }
    this.#dial(nowMs);
  }

  /** Somebody found by mDNS said goodbye there. A lost one may come back to the same place. */
  forgotten(id: string): void {
    this.#apart.delete(id);
    if (this.context.roster.get(id)?.state !== "lost") this.#candidates.delete(id);
  }

  /** A connection is there. The one that dialled speaks first. */
  linkUp(link: Link, attempt: number | undefined, nowMs: number): void {
    if (attempt !== undefined) this.#attemptOver(attempt, link.peer, nowMs);
    if (link.dialled) this.#greet(link, nowMs);
  }

  /** An attempt has led nowhere. @param self the address is this node's own */
  dialFailed(attempt: number, reason: string, self: boolean, nowMs: number): void {
    const made = this.#attempts.get(attempt);
    if (!made) return;
    this.#attempts.delete(attempt);
    const { candidate, key } = made;
    candidate.attempt = undefined;
    candidate.failures++;
    if (candidate.failures > 1 || nowMs - candidate.dialledAtMs! >= QUICK_FAILURE_MS)
      this.#notReached(key, candidate, reason, nowMs);
    const isHopeless = self || (!candidate.isConfigured && candidate.failures >= FAILURES_MAX);
    if (isHopeless && candidate.isConfigured) this.#candidates.delete(key);
    candidate.nextAtMs = nowMs + this.#backoffMs(candidate);
    this.#dial(nowMs);
  }

  /**
   * Takes a peer's hello: the link serves from now on, or not. @param record the peer's, verified
   * @returns why the link must end, if it must
   */
  hello(link: Link, frame: HelloFrame, record: MemberRecord, nowMs: number): DisconnectReason | undefined {
    const { options, links, roster } = this.context;
    if (frame.cluster !== options.cluster) {
      if (!link.dialled) this.#greet(link, nowMs);
      for (const [key, candidate] of this.#candidates)
        if (candidate.id === link.peer)
          this.#notReached(key, candidate, `is of cluster ${frame.cluster}, not ${options.cluster}`, nowMs);
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
    links.serve(link, frame, record);
    if (other) this.#cut(other, "alreadyLinked");
    link.clockOffsetMs = frame.nowMs - nowMs;
    this.#amend(link.peer, { failures: 0, fault: undefined });
    this.#apart.delete(link.peer);
    this.hear(record, nowMs, link);
    // A run of it before had a clock that was ahead: it is to outbid that one, however long that is gone.
    const known = roster.byHash(link.hash)?.record;
    if (known && known.incarnation > record.incarnation) this.#give(link, [known]);
    if (roster.linked(link.hash, nowMs)) this.context.notifyPeer(link.peer);
    this.#compareRosters(link, frame.roster, nowMs);
    this.#relinked(links.count === 1, nowMs);
    this.#judge(nowMs);
    this.#dial(nowMs);
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
    this.#addStranger(
      {
        id: link.peer,
        name: isSigned ? record.name : link.peer,
        address: link.address,
        code: "versionDiffers",
        reason: `runs ${theirs}; this node hubcast ${options.version}, protocol ${PROTOCOL_VERSION}`,
        sinceMs: nowMs,
      },
      nowMs,
    );
    return "versionDiffers";
  }

  /** A link is gone. */
  linkDown(link: Link, reason: string, nowMs: number): void {
    const { links, roster } = this.context;
    const served = links.with(link.peer) === link;
    const wasUp = link.hello !== undefined;
    links.close(link);
    // The other side does not say why the link ended.
    if (!wasUp && link.dialled && !link.isReleased)
      for (const [key, candidate] of this.#candidates)
        if (candidate.id === link.peer && !candidate.fault) this.#notReached(key, candidate, reason, nowMs);
    if (!wasUp || (!served && links.with(link.peer))) return;
    const member = roster.byHash(link.hash);
    if (member?.state === "alive") member.reason = reason;
    roster.linksChanged();
    this.#relinked(!link.isReleased, nowMs);
    if (link.isReleased && links.count === 0) this.#aloneUntilMs = nowMs + ALONE_MS;
    this.#judge(nowMs);
    this.#dial(nowMs);
  }

  /** Others stand in for the peer of this link. */
  referred(link: Link, peers: readonly PeerAddresses[], release: boolean, nowMs: number): void {
    link.isReleased = true;
    if (!release) {
      if (!this.#candidates.has(link.peer))
        this.#remember(link.peer, {
          ...{ expected: link.peer, id: link.peer, addresses: [], isConfigured: false, introducer: ROSTER },
          ...{ failures: 0, nextAtMs: nowMs, attempt: undefined },
        });
      const fullMs = Math.max(FULL_MS, this.context.roster.total * FULL_MEMBER_MS);
      this.#amend(link.peer, { failures: 0, nextAtMs: nowMs + fullMs });
    }
    for (const { id, addresses } of peers) {
      const isKnown =
        id === this.context.options.id || this.context.links.with(id) || this.#candidates.has(id);
      if (isKnown || this.context.roster.isAlive(id)) continue;
      if (this.#introducers.of(link.peer, nowMs).tokens < 1) return;
      this.#introducers.of(link.peer, nowMs).tokens--;
      this.#remember(id, {
        ...{ expected: id, id, addresses: usable(addresses, link.address) },
        ...{ isConfigured: false, introducer: link.peer, failures: 0, nextAtMs: nowMs, attempt: undefined },
      });
    }
    this.#dial(nowMs);
  }

  /** Takes the digest of a peer's roster, and answers with what either lacks. */
  digest(link: Link, members: Uint8Array, nowMs: number): void {
    const { give, want } = this.context.roster.compare(members, nowMs);
    this.#give(link, [this.record, ...give.map(({ record }) => record)], packHashes(want));
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
      this.hear(record, nowMs, link);
      if (lostThere.has(record.hash)) roster.lostElsewhere(record);
    }
    this.#give(
      link,
      unpackHashes(want).flatMap((hash) => roster.byHash(hash)?.record ?? []),
    );
    this.#judge(nowMs);
  }

  pinged(link: Link, roster: string, nowMs: number): void {
    // While it changes, news is on its way to both.
    if (nowMs - this.#fingerprintAtMs >= ROSTER_MS) this.#compareRosters(link, roster, nowMs);
  }

  /** The record must change: name, policy, or whether items are stamped ahead. */
  changed(nowMs: number): void {
    this.#publishSoon(nowMs, PUBLISH_SOON_MS);
  }

  /** Says goodbye to all. */
  leave(nowMs: number): void {
    this.#publish(nowMs, true);
    for (const link of this.context.links.all()) {
      // The peer may have taken this node's hello already, while its own is on its way.
      if (link.state === "opening" && link.dialled) this.#give(link, [this.record]);
      link.isReleased = true;
    }
  }

  /** Refuses a peer for a minute, twice as long each time, for an hour at most. */
  punish(peer: string, nowMs: number): void {
    const forMs = Math.min(
      LIMITS.punishmentMsMax,
      2 * (this.#punished.get(peer)?.forMs ?? LIMITS.punishmentMs / 2),
    );
    this.#punished.delete(peer);
    this.#punished.set(peer, { untilMs: nowMs + forMs, forMs });
    if (this.#punished.size > LIMITS.punishedMax) this.#punished.delete(this.#punished.keys().next().value!);
  }

  /** @returns links whose peers have been silent for too long */
  tick(nowMs: number): Link[] {
    const { links, roster, options, send } = this.context;
    if (nowMs >= this.#publishAtMs) this.#publish(nowMs, false);
    for (const scope of SCOPES) if (nowMs >= this.#newsAtMs[scope]) this.#tellNews(scope, nowMs);
    // Further off than ever asked for: the clock was set back.
    if (nowMs < this.#tickAtMs && this.#tickAtMs - nowMs <= TICK_MS) return [];
    const lateMs = this.#tickAtMs === 0 ? 0 : Math.max(0, nowMs - this.#tickAtMs);
    this.#lateMs += (Math.min(lateMs, LATE_MS_MAX) - this.#lateMs) * LATE_GAIN;
    if (lateMs > 2 * TICK_MS) {
      roster.forgive(lateMs);
      for (const link of links.all()) link.heardAtMs += lateMs;
    }
    this.#tickAtMs = nowMs + TICK_MS;
    const silent: Link[] = [];
    for (const link of links.all()) {
      if (link.state === "ending") continue;
      // A clock that was set back must not make silence look like the future.
      link.heardAtMs = Math.min(link.heardAtMs, nowMs);
      link.pingedAtMs = Math.min(link.pingedAtMs, nowMs);
      const quietMs = nowMs - link.heardAtMs;
      const limitMs = link.state === "up" ? LIMITS.heartbeatLostMs : this.#handshakeMs;
      if (link.budget.isHeld) link.heardAtMs = nowMs;
      else if (quietMs >= limitMs) silent.push(link);
      else if (
        link.state === "up" &&
        nowMs - link.pingedAtMs >= (quietMs < LIMITS.heartbeatMs ? PING_MS : LIMITS.heartbeatMs)
      ) {
        link.pingedAtMs = nowMs;
        send(link, { t: "ping", atMs: nowMs, roster: this.fingerprint });
      }
    }
    if (nowMs >= this.#refreshAtMs) {
      if (this.#refreshAtMs > 0) this.#publish(nowMs, false, { isNews: !options.hasBroker });
      roster.timePassed();
      this.#refreshLater(nowMs);
    }
    this.#judge(nowMs);
    const { fingerprint } = this;
    if (fingerprint !== this.#fingerprint) this.#fingerprintAtMs = nowMs;
    this.#fingerprint = fingerprint;
    roster.forget(options.retentionMs, nowMs);
    for (const { id, seenAtMs } of this.#apart.values())
      if (nowMs - seenAtMs > STRANGER_FORGOTTEN_MS) this.#apart.delete(id);
    for (const [attempt, { candidate }] of this.#attempts)
      if (nowMs - candidate.dialledAtMs! > this.#handshakeMs + DIAL_END_MS)
        this.dialFailed(attempt, "the dial did not end", false, nowMs);
    this.#dial(nowMs);
    return silent;
  }

  #refreshLater(nowMs: number): void {
    const { options } = this.context;
    const moreMs = options.hasBroker ? 0 : PUBLISH_LATES * this.#lateMs;
    this.#refreshAtMs = nowMs + this.refreshMs * (0.9 + options.random() / 5) + moreMs;
  }

  /** How often each member renews its record. */
  get refreshMs(): number {
    if (this.context.options.hasBroker) return RENEW_MS;
    return Math.max(LIMITS.recordRefreshMs, (this.context.roster.total * 1_000) / LIMITS.recordsPerSecond);
  }

  /** Of all members alive, this one included. */
  get fingerprint(): string {
    return this.context.roster.fingerprint(this.record);
  }

  #addStranger(stranger: Stranger, seenAtMs: number): void {
    const known = this.#apart.get(stranger.id);
    this.#apart.set(stranger.id, { ...stranger, sinceMs: known?.sinceMs ?? stranger.sinceMs, seenAtMs });
    if (this.#apart.size > LIMITS.strangersMax) this.#apart.delete(this.#apart.keys().next().value!);
    if (known?.code !== stranger.code) this.context.notifyPeer(stranger.id);
  }

  /** Told once, until it is reached. */
  #notReached(key: string, candidate: Candidate, reason: string, nowMs: number): void {
    const isKnown = candidate.id !== undefined && this.context.roster.get(candidate.id) !== undefined;
    const isNew = candidate.fault === undefined && candidate.isConfigured && !isKnown;
    candidate.fault = { reason, sinceMs: candidate.fault?.sinceMs ?? nowMs };
    if (isNew) this.context.notifyPeer(candidate.id ?? key);
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
    // The peer has lost the older one. While that is young, the two have dialled each other at once, and its hello is of before.
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
    this.#cut(released, "released");
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
      const { id, addresses } = this.#drawWithRoom(rest, (record) => record);
      if (id !== link.peer) peers.push({ id, addresses });
    }
    this.context.send(link, { t: "refer", peers, release });
  }

  #cut(link: Link, reason: DisconnectReason): void {
    this.context.cut(link, reason);
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
   * Takes one verified record. @param link by which it came, unless a broker brought it: then news is passed on. A member
   * without a place in a sample has none in those of others.
   */
  hear(record: MemberRecord, nowMs: number, link?: Link): ReturnType<ReplicaContext["roster"]["hear"]> {
    const { options, roster, links } = this.context;
    if (record.id === options.id) {
      this.#heardOfSelf(record, nowMs);
      return "known";
    }
    const member = roster.byHash(record.hash);
    const [before, stateBefore] = [member?.record, member?.state];
    if (before === record) {
      if (link) this.#news.get(record)?.knownOn.push(link);
      return "known";
    }
    const former = before?.session === record.session ? before : member?.former;
    const silentMs = nowMs - (member?.summaryAtMs ?? nowMs);
    const wasTwin = member !== undefined && isTwin(member, nowMs);
    const heard = roster.hear(record, nowMs);
    const own = heard === "known" ? undefined : links.with(record.id);
    if (own?.record?.session === record.session && own.record.incarnation < record.incarnation)
      own.record = record;
    if (heard === "noRoom") return heard;
    if (heard === "known") {
      if (link && before?.incarnation === record.incarnation) this.#news.get(before)?.knownOn.push(link);
      return heard;
    }
    const isNewTwin = member !== undefined && !wasTwin && isTwin(member, nowMs);
    const state = roster.byHash(record.hash)?.state;
    // A lost member that has begun anew is no news before a chain of links leads to it: it is as lost as before.
    const isNews = state !== stateBefore || (heard === "new" && state !== "lost");
    if (isNewTwin || isNews) this.context.notifyPeer(record.id);
    const candidate = heard === "new" ? this.#candidates.get(record.id) : undefined;
    if (candidate) Object.assign(candidate, { failures: 0, addresses: record.addresses });
    if (!link) return heard;
    const isLoss = record.left || (!roster.isSample && lostLinks(before, record));
    const isOfTwin = before?.session !== record.session;
    const isChange = isLoss || isOfTwin || heard === "new" || before?.links.size !== record.links.size;
    const isForFew = roster.isSample && !record.left && silentMs < SAMPLE_SILENT_MS;
    const tellings = isForFew ? SAMPLE_TELLINGS : Number.POSITIVE_INFINITY;
    this.#tell({ record, knownOn: [link], isChange, tellings }, former, isLoss, nowMs);
    return heard;
  }

  /**
   * Passes a record on: at once when nothing was lately, else with what gathers; along the tree first, then on all links whose
   * other end has not told it meanwhile, so all get it whatever tree members take for theirs. One that merely renews another
   * goes along the tree alone.
   */
  #tell(news: News, former: MemberRecord | undefined, isUrgent: boolean, nowMs: number): void {
    const untold = former?.session === news.record.session ? this.#news.get(former) : undefined;
    if (untold) this.#news.delete(untold.record);
    const isChange = news.isChange || untold?.isChange === true;
    this.#news.set(news.record, { ...news, isChange });
    const isSample = this.context.roster.isSample;
    const size = Math.min(this.context.roster.size, NEWS_MEMBERS_MAX);
    for (const scope of SCOPES) {
      if (scope === "all" && (!isChange || isSample)) continue;
      const soonMs = NEWS_MS + size * (isUrgent ? NEWS_LOSS_MEMBER_MS : NEWS_MEMBER_MS)[scope];
      const calmMs = (isChange && !isSample ? soonMs : RENEWALS_MS) + NEWS_LATES * this.#lateMs;
      const dueAtMs = Math.min(this.#newsSentAtMs[scope], nowMs) + (isUrgent ? soonMs : calmMs);
      this.#newsAtMs[scope] = Math.min(this.#newsAtMs[scope], Math.max(nowMs, dueAtMs));
      if (this.#newsAtMs[scope] <= nowMs) this.#tellNews(scope, nowMs);
    }
  }

  #tellNews(scope: (typeof SCOPES)[number], nowMs: number): void {
    const { roster, links, options } = this.context;
    const all = [...this.#news.values()];
    const up = [...links.up()];
    const start = roster.isSample ? Math.floor(options.random() * up.length) : 0;
    for (const link of [...up.slice(start), ...up.slice(0, start)]) {
      const lacked = all.filter((news) => {
        const { record, knownOn, isChange } = news;
        const isWanted =
          (isChange && scope === "all") ||
          link.isInTree !== false ||
          (roster.isMesh && record === this.record);
        return isWanted && !knownOn.includes(link) && news.tellings-- > 0;
      });
      for (const { knownOn } of lacked) knownOn.push(link);
      this.#give(
        link,
        lacked.map(({ record }) => record),
      );
    }
    for (const { record, isChange } of all)
      if (scope === "all" || !isChange || roster.isSample) this.#news.delete(record);
    for (const told of SCOPES) {
      if (scope === "tree" && told === "all") continue;
      this.#newsAtMs[told] = Number.POSITIVE_INFINITY;
      this.#newsSentAtMs[told] = nowMs;
    }
  }

  /**
   * A record of this node that it did not write: of a run before, or of a twin. It is outbid once for each session, and a
   * goodbye always: nothing follows that. What was said before this node has started is of a run before, unless its clock was ahead.
   */
  #heardOfSelf(record: MemberRecord, nowMs: number): void {
    const { session, incarnation, left } = record;
    if (session === this.#session) return;
    const first = this.#firstHeard.get(session);
    if (first === undefined || left) {
      if (incarnation < this.startIncarnation) return;
      this.#firstHeard.set(session, incarnation);
      if (incarnation >= this.record.incarnation)
        this.#publish(nowMs, false, { incarnation: incarnation + 1 });
    } else if (incarnation > first) {
      // It speaks again: it lives.
      const known = this.twin(nowMs);
      this.#twin = { record, sinceMs: known?.sinceMs ?? nowMs, heardAtMs: nowMs };
      if (!known) this.context.notifyPeer(record.id);
    }
  }

  #compareRosters(link: Link, theirs: string, nowMs: number): void {
    const { roster, send } = this.context;
    // One of the two begins, so that not both send the same.
    if (!link.dialled) return;
    if (theirs === this.fingerprint || nowMs - link.rosterAskedAtMs < ROSTER_MS) return;
    if (roster.isSample && nowMs - this.#rosterAskedAtMs < roster.total * ROSTER_SAMPLE_MEMBER_MS) return;
    link.rosterAskedAtMs = nowMs;
    this.#rosterAskedAtMs = nowMs;
    send(link, { t: "digest", members: roster.digest(this.record, nowMs) });
  }

  /** This node's links have changed. Nobody follows those of a sample. @param isUrgent one was lost, or it is the only one */
  #relinked(isUrgent: boolean, nowMs: number): void {
    const { roster, links } = this.context;
    if (roster.isSample && links.count >= 2) return;
    const gatherMs = Math.min(PUBLISH_LINKS_MS_MAX, PUBLISH_SOON_MS + roster.size * PUBLISH_LINKS_MEMBER_MS);
    this.#publishSoon(nowMs, isUrgent ? PUBLISH_LOSS_MS : gatherMs, isUrgent);
  }

  #publishSoon(nowMs: number, delayMs: number, isUrgent = false): void {
    const membersMs = this.context.roster.size * PUBLISH_MS_PER_MEMBER;
    const calmMs =
      Math.min(PUBLISH_EVERY_MS_MAX, Math.max(PUBLISH_EVERY_MS, membersMs)) + PUBLISH_LATES * this.#lateMs;
    const earliestMs = isUrgent ? this.#lossToldAtMs + PUBLISH_LOSS_EVERY_MS : this.#publishedAtMs + calmMs;
    this.#publishAtMs = Math.min(this.#publishAtMs, Math.max(nowMs + delayMs, earliestMs));
  }

  /** @param isNews others are to hear of it at once; false where a broker keeps what is merely renewed */
  #publish(
    nowMs: number,
    left: boolean,
    { incarnation = this.record.incarnation + 1, isNews = true } = {},
  ): void {
    if (this.context.options.hasBroker && !isNews) {
      if (!this.record.left) this.#keep(nowMs, left, incarnation);
      return;
    }
    this.#publishAtMs = Number.POSITIVE_INFINITY;
    // Behind a goodbye nothing is said any more: its links end one by one.
    if (this.record.left) return;
    this.#publishedAtMs = nowMs;
    // What is published anyway need not be renewed for a while.
    if (!this.context.options.hasBroker && this.#refreshAtMs > 0) this.#refreshLater(nowMs);
    const { record: before } = this;
    this.#keep(nowMs, left, incarnation);
    const { record } = this;
    if (this.context.options.hasBroker) {
      this.context.emit({ type: "publish", kind: "members", payload: encodeRecords([record]) });
      return;
    }
    const isUrgent = left || before.links.size === 0 || lostLinks(before, record);
    if (isUrgent) this.#lossToldAtMs = nowMs;
    const news = { record, knownOn: [], isChange: true, tellings: Number.POSITIVE_INFINITY };
    this.#tell(news, before, isUrgent, nowMs);
    // A leaving node has no later turn.
    if (left) this.#tellNews("all", nowMs);
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
      addresses: options.addresses().slice(0, 32),
      links: new Set(Array.from(links.up(), (link) => link.hash)),
      holdings: this.context.summarise(nowMs),
      ...(ahead > 0 && { ahead }),
      ...(options.hasBroker && { clockMs: this.context.clock.ownMs(nowMs) }),
      left,
    };
    return encodeRecord(fields, options.cluster, options.sign);
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
    const { changed, tree } = roster.judge(linked, nowMs, 3 * this.refreshMs);
    for (const { state, record } of changed) {
      // The member is back, for others at least: attempts from before are forgotten.
      if (state === "alive") this.#amend(record.id, { failures: 0 });
      this.context.notifyPeer(record.id);
    }
    for (const link of links.up()) {
      const isInTree = tree?.has(link.hash);
      if (isInTree === link.isInTree) continue;
      link.isInTree = isInTree;
      link.isPruned = false;
      this.treeChangedAtMs = nowMs;
    }
  }

  #remember(key: string, candidate: Candidate): void {
    this.#candidates.delete(key);
    this.#candidates.set(key, candidate);
    if (this.#candidates.size <= LIMITS.candidatesMax) return;
    for (const [oldest, { isConfigured, attempt }] of this.#candidates) {
      if ((isConfigured && this.#candidates.size <= 2 * LIMITS.candidatesMax) || attempt !== undefined)
        continue;
      this.#candidates.delete(oldest);
      return;
    }
  }

  /** Changes what is remembered of a peer, also under addresses of which the user gave no id. */
  #amend(peer: string, change: Partial<Pick<Candidate, "failures" | "nextAtMs" | "fault">>): void {
    for (const candidate of this.#candidates.values())
      if (candidate.id === peer) Object.assign(candidate, change);
  }

  /** Begins the attempts that are due: to fill the links, to meet who is not known yet, to find again who was lost. */
  #dial(nowMs: number): void {
    const { options, links, roster } = this.context;
    if (options.hasBroker || this.record.left) return;
    const dialled = [...links.up()].filter((link) => link.dialled).length;
    let missing =
      Math.max(options.linksWanted - links.count, Math.ceil(options.linksWanted / 2) - dialled) -
      this.#attempts.size;
    if (links.count + this.#attempts.size >= options.linksMax) missing = 0;
    for (const [key, candidate] of this.#candidates) {
      if (missing <= 0 && !(candidate.isConfigured && nowMs >= this.#strangerAtMs)) continue;
      const isKnown = candidate.id !== undefined && roster.isAlive(candidate.id);
      if (isKnown || !this.#isDue(candidate, nowMs)) continue;
      if (!this.#mayDial(candidate, nowMs)) continue;
      if (this.#begin(key, candidate, nowMs)) {
        this.#strangerAtMs = nowMs + STRANGER_MS;
        missing--;
      }
    }
    if (missing > 0) this.#dialMember(nowMs);
    if (nowMs >= this.#lostTryAtMs) {
      const gone = roster.goneCount > 0 ? [...roster.all()] : [];
      const lost = gone.filter(({ state, record }) => state === "lost" && this.admits(record.id, nowMs));
      const member = this.#pickLost(lost, nowMs);
      if (member) this.#begin(member.record.id, this.#candidateFor(member, true), nowMs);
      this.#lostTryAtMs = nowMs + LOST_TRY_MS_MIN + options.random() * (LOST_TRY_MS_MAX - LOST_TRY_MS_MIN);
    }
  }

  /**
   * A member that was never reached may be made up: it is tried for 2 min, and by a node without links for longer, since
   * nobody is left to reach it by. Half of the tries are for those that were reached.
   */
  #pickLost(lost: readonly Member[], nowMs: number): Member | undefined {
    const { options, links } = this.context;
    const reached = lost.filter(({ wasReached }) => wasReached);
    const others = lost.filter(
      ({ wasReached, sinceMs }) =>
        !wasReached && (links.count === 0 || nowMs - sinceMs < NEVER_REACHED_TRY_MS),
    );
    const isOthersTurn = others.length > 0 && (reached.length === 0 || options.random() < 0.5);
    return pick(isOthersTurn ? others : reached, options.random);
  }

  /** Begins an attempt with a member at random, rather with one that says to have room. */
  #dialMember(nowMs: number): void {
    const { roster, links, options } = this.context;
    const isDue = ({ state, record: { id, addresses } }: Member) =>
      state === "alive" &&
      addresses.length > 0 &&
      !links.with(id) &&
      this.#isDue(this.#candidates.get(id), nowMs);
    let [full, tries]: [Member | undefined, number] = [undefined, ROOM_TRIES];
    for (const member of roster.drawn(options.random)) {
      if (!member.wasReached || !isDue(member)) continue;
      full = member;
      if (member.record.links.size < options.linksMax || --tries === 0) break;
    }
    if (full) {
      const candidate = this.#candidateFor(full, false);
      if (this.#mayDial(candidate, nowMs)) this.#begin(full.record.id, candidate, nowMs);
    }
    if (nowMs < this.#strangerAtMs) return;
    // A record alone may be made up. Its member may also have lost the one that both knew, before a chain led to it.
    for (const member of roster.drawn(options.random)) {
      if (member.wasReached || !isDue(member)) continue;
      if (this.#begin(member.record.id, this.#candidateFor(member, false), nowMs))
        this.#strangerAtMs = nowMs + STRANGER_MS;
      return;
    }
  }

  /** Takes one out of a list at random, which is not empty: of a few, the one with the fewest links. */
  #drawWithRoom<T>(list: T[], recordOf: (one: T) => MemberRecord): T {
    const { random } = this.context.options;
    let drawn = draw(list, random);
    for (let tries = ROOM_TRIES; tries > 1 && list.length > 0; tries--) {
      const other = draw(list, random);
      const isBetter = recordOf(other).links.size < recordOf(drawn).links.size;
      list.push(isBetter ? drawn : other);
      if (isBetter) drawn = other;
    }
    return drawn;
  }

  #candidateFor({ record }: Member, afresh: boolean): Candidate {
    const known = this.#candidates.get(record.id);
    if (known?.isConfigured) return known;
    const candidate: Candidate = known ?? {
      ...{ expected: record.id, id: record.id, addresses: [], isConfigured: false, introducer: ROSTER },
      ...{ failures: 0, nextAtMs: 0, attempt: undefined },
    };
    // A loopback address leads to the member only if its record came from this machine: over loopback.
    const viaLoopback = Array.from(this.context.links.up()).some(({ address }) => isLoopback(address));
    candidate.addresses = usable(
      record.addresses,
      viaLoopback || this.context.links.count === 0 ? LOOPBACK : "",
    );
    if (afresh) candidate.failures = 0;
    return candidate;
  }

  /** While an attempt is under way, the next waits: handshakes that all begin at once on one machine all time out. */
  #mayDial({ isConfigured }: Candidate, nowMs: number): boolean {
    const fromMs = nowMs - DIAL_MS - DIAL_LATES * this.#lateMs;
    return this.#underWay(isConfigured).every(({ candidate }) => candidate.dialledAtMs! <= fromMs);
  }

  /** How long a peer may take until both have said hello. */
  get #handshakeMs(): number {
    return LIMITS.peerHandshakeMsMax + Math.round(HANDSHAKE_LATES * this.#lateMs);
  }

  /** Attempts of one kind: neither keeps the other from being dialled, though all of it be silent. */
  #underWay(isConfigured: boolean) {
    return [...this.#attempts.values()].filter(({ candidate }) => candidate.isConfigured === isConfigured);
  }

  #isDue(candidate: Candidate | undefined, nowMs: number): boolean {
    if (!candidate) return true;
    const { id, attempt, nextAtMs, failures, isConfigured } = candidate;
    if (attempt !== undefined || nextAtMs > nowMs || (!isConfigured && failures >= FAILURES_MAX))
      return false;
    return id === undefined || (!this.context.links.with(id) && this.admits(id, nowMs));
  }

  #begin(key: string, candidate: Candidate, nowMs: number): boolean {
    if (candidate.attempt !== undefined) return false;
    if (this.#underWay(candidate.isConfigured).length >= LIMITS.dialsAtOnceMax) return false;
    if (candidate.id !== undefined && this.context.links.with(candidate.id)) return false;
    const addresses = candidate.isConfigured ? candidate.addresses : this.#allowed(candidate, nowMs);
    if (addresses.length === 0) {
      candidate.nextAtMs = nowMs + this.#backoffMs(candidate);
      return false;
    }
    if (!this.#candidates.has(key)) this.#remember(key, candidate);
    const attempt = ++this.#lastAttempt;
    candidate.attempt = attempt;
    candidate.dialledAtMs = nowMs;
    this.#attempts.set(attempt, { candidate, key });
    const { expected } = candidate;
    this.context.emit({
      type: "dial",
      attempt,
      addresses,
      timeoutMs: this.#handshakeMs,
      ...(expected !== undefined && { peer: expected }),
    });
    return true;
  }

  /** The addresses of a stranger that may be dialled now. One target is dialled rarely, whoever names it. */
  #allowed({ addresses, introducer }: Candidate, nowMs: number): readonly string[] {
    const shared = [this.#introducers.of(introducer, nowMs), this.#strangers.of("", nowMs)];
    return addresses.filter((address) => {
      const buckets = [...shared, this.#targets.of(targetOf(address) ?? "", nowMs)];
      if (buckets.some(({ tokens }) => tokens < 1)) return false;
      for (const bucket of buckets) bucket.tokens--;
      return true;
    });
  }

  #attemptOver(attempt: number, peer: string, nowMs: number): void {
    const made = this.#attempts.get(attempt);
    if (!made) return;
    this.#attempts.delete(attempt);
    made.candidate.attempt = undefined;
    made.candidate.id = peer;
    // A connection that does not come up, or not for long, must not be tried again at once.
    made.candidate.failures++;
    made.candidate.nextAtMs = nowMs + this.#backoffMs(made.candidate);
  }

  /** Half of it is jitter, so that nodes that lost each other at once do not meet at once again and again. */
  #backoffMs({ failures, isConfigured }: Candidate): number {
    const most = isConfigured ? BACKOFF_CONFIGURED_MS_MAX : BACKOFF_MS_MAX;
    const fullMs = Math.min(most, BACKOFF_MS * 2 ** Math.max(0, failures - 1));
    return (fullMs + DIAL_LATES * this.#lateMs) * (0.5 + this.context.options.random() / 2);
  }
}

const LOOPBACK = "/ip4/127.0.0.1/tcp/0";

/**
 * Addresses learned from a peer that may be dialled: no names (whoever resolves them could be led anywhere), and loopback
 * only where the peer is reached over loopback itself.
 */
function usable(addresses: readonly string[], peerAddress: string): readonly string[] {
  const fromLoopback = isLoopback(peerAddress);
  return addresses.filter(
    (address) => targetOf(address) !== undefined && (fromLoopback || !isLoopback(address)),
  );
}

/** IP and port of an address, however it is spelt. @returns undefined for what is not an IP and a TCP port */
function targetOf(address: string): string | undefined {
  if (/^sim:\d+$/.test(address)) return address;
  const [, version, ip, port] =
    /^\/ip([46])\/([0-9a-fA-F.:]+)\/tcp\/(\d+)(?:\/p2p\/\w+)?$/.exec(address) ?? [];
  if (ip === undefined) return undefined;
  try {
    return new URL(`http://${version === "6" ? `[${ip}]` : ip}:${port}`).host;
  } catch {
    return undefined;
  }
}

/** Also what leads to this host under another name: the unspecified address, and IPv4 within IPv6. */
function isLoopback(address: string): boolean {
  return /^(127|0)\.|^\[::(1|ffff:(7f|0).*)?\]|^sim:/.test(targetOf(address) ?? "");
}

/** Whether a member has lost links since it last spoke. */
function lostLinks(before: MemberRecord | undefined, { links }: MemberRecord): boolean {
  for (const hash of before?.links ?? []) if (!links.has(hash)) return true;
  return false;
}

function pick<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}

/** Takes one out of a list at random, which is not empty. */
function draw<T>(list: T[], random: () => number): T {
  const at = Math.floor(random() * list.length);
  const drawn = list[at]!;
  list[at] = list.at(-1)!;
  list.pop();
  return drawn;
}
