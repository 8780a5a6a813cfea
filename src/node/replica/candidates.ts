import { LIMITS } from "../../core/limits.js";
import { pick } from "../../core/machine.js";
import { TokenBuckets } from "../../core/rates.js";
import type { ReplicaContext } from "./context.js";
import type { MemberRecord } from "./member.js";
import type { ReplicaInput } from "./messages.js";
import type { Member } from "./roster.js";
import type { PeerAddresses } from "./wire.js";

/** A node that this one knows of and cannot meet. */
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

/** Somewhere to dial. */
interface Candidate {
  /** Its id; the addresses where the user gave those alone. */
  readonly key: string;
  /** The expected id: another one there is a failure. Absent where the user gave an address alone. */
  readonly expected: string | undefined;
  /** The id that was met there last, or is expected. */
  id: string | undefined;
  addresses: readonly string[];
  /** By the input `found`, from the user or from mDNS: tried for good. */
  readonly isFound: boolean;
  /** The peer or, by mDNS, the sender that named the address, or `NO_INTRODUCER`. */
  readonly introducer: string;
  failures: number;
  nextAtMs: number;
  attempt: number | undefined;
  /** When it was dialled last. */
  dialledAtMs?: number;
  /** Why it was not reached, and since when; absent when it was reached. */
  fault?: { readonly reason: string; readonly sinceMs: number } | undefined;
}

/** Two nodes that discover each other at once: the one with the larger id lets the other go first. */
const COURTESY_MS = 100;
/** While an attempt to connect is under way, another begins after this long... */
const DIAL_MS = 250;
/**
 * ... and so many times as long as this node is woken late: a handshake takes a dozen turns of the event loop at either
 * end.
 */
const DIAL_LATES = 16;
/**
 * In a large cluster a node that has half of the links that it wants waits before it dials for another, so long for each member
 * beyond some: while many join, others come to it meanwhile, and each link costs both ends a handshake, signs of life, and
 * records that tell of it. Fewer links make longer ways, which small clusters need not have.
 */
const FILL_AT_ONCE_MEMBERS = 30;
const FILL_MEMBER_MS = 60;
const FILL_MS_MAX = 10_000;
/** An attempt with more addresses than these counts for several: each address costs a connect. */
const ADDRESSES_PER_ATTEMPT = 4;
const BACKOFF_MS = 200;
/** Longest wait for an address that was found: a SYN every 3 s costs nothing, and a healed partition must close within 10 s. */
const BACKOFF_FOUND_MS_MAX = 3_000;
const BACKOFF_MS_MAX = 30_000;
/** Addresses learned from others are given up after so many failures in a row. */
const FAILURES_MAX = 5;
/** A member that referred this node elsewhere is full: it is not asked again for so long. */
const FULL_MS = 10_000;
/** ... in a large cluster for longer, since all of it may have been told of that one. */
const FULL_MEMBER_MS = 10;
/** Members drawn until one has room: the first of them that has is dialled, else the last. */
const ROOM_TRIES = 4;
/** With links enough, an address that leads to nobody known is tried this often... */
const UNKNOWN_MS = 1_000;
/** ... and a lost member, drawn at random, this often. */
const LOST_TRY_MS_MIN = 5_000;
const LOST_TRY_MS_MAX = 10_000;
/** A lost member that was never reached is tried for so long. */
const NEVER_REACHED_TRY_MS = 120_000;
/** A handshake has so many times as long more: what was given up half way is begun again, and costs both ends as much. */
const HANDSHAKE_LATES = 32;
/** An engine ends each dial in its time; one that does not must not keep its candidate for good. */
const DIAL_END_MS = 2_000;
/** A dial that fails sooner may have run into another one to the same address: only the second counts as a failure. */
const QUICK_FAILURE_MS = 1_000;
/** The introducer of members that are known from records, and of addresses that the user named. */
const NO_INTRODUCER = "";

/**
 * The addresses that this node dials, when, and what dialling may cost: those named by the user or mDNS for good, those
 * that peers and records name within a budget, all with back-off. Peers that are refused for a while are not dialled.
 */
export class Candidates {
  readonly #candidates = new Map<string, Candidate>();
  readonly #attempts = new Map<number, Candidate>();
  readonly #punished = new Map<string, { untilMs: number; forMs: number }>();
  /** Addresses taken from one introducer, and connects to them. */
  readonly #introducers = new TokenBuckets({ perSecond: 8, burst: 128, namesMax: 1_024 });
  /** Connects to addresses that peers and records named, of all introducers together. */
  readonly #namedDials = new TokenBuckets({ perSecond: 32, burst: 256, namesMax: 1 });
  /** Attempts with those that the user or mDNS named: thousands that fail at once would leave no time for anything else. */
  readonly #foundDials = new TokenBuckets({ perSecond: 32, burst: 8, namesMax: 1 });
  /** Connects to one address, whoever named it. */
  readonly #targets = new TokenBuckets({ perSecond: 0.5, burst: 3, namesMax: 4_096 });
  #lastAttempt = 0;
  #unknownAtMs = 0;
  /** When a node that has some links may dial for more. */
  #fillAtMs = 0;
  #lostTryAtMs = 0;
  #isClosed = false;

  constructor(private readonly context: ReplicaContext) {}

  /** How long a peer may take until both have said hello. */
  get handshakeMs(): number {
    return LIMITS.peerHandshakeMsMax + Math.round(HANDSHAKE_LATES * this.context.lateMs);
  }

  /** Found addresses that were not reached and lead to no member, each with the reason. */
  unreached(): Stranger[] {
    return [...this.#candidates.values()].flatMap((candidate) => this.#unreached(candidate) ?? []);
  }

  /** The one of these that is called so: its id, or the addresses given where that is unknown. */
  unreachedOne(name: string): Stranger | undefined {
    const called = this.#candidates.get(name) ?? [...this.#candidates.values()].find(({ id }) => id === name);
    return called && this.#unreached(called);
  }

  #unreached({ key, id, addresses, fault, isFound }: Candidate): Stranger | undefined {
    if (!fault || !isFound || (id !== undefined && this.context.roster.get(id))) return undefined;
    return { id: id ?? key, name: id ?? key, address: addresses[0] ?? "", ...fault };
  }

  /** Whether a peer may connect, and is dialled: it is not punished. */
  admits(peer: string, nowMs: number): boolean {
    return (this.#punished.get(peer)?.untilMs ?? 0) <= nowMs;
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

  /** Somebody may be at these addresses: the user or mDNS says so. */
  found(
    { addresses, peer: id, introducer = NO_INTRODUCER }: Extract<ReplicaInput, { type: "found" }>,
    nowMs: number,
  ): void {
    if (id === this.context.options.id || addresses.length === 0) return;
    const key = id ?? addresses.toSorted().join(" ");
    const known = this.#candidates.get(key);
    if (known?.isFound) {
      const isNew = addresses.some((address) => !known.addresses.includes(address));
      known.addresses = [...new Set([...addresses, ...known.addresses])].slice(0, LIMITS.peerAddressesMax);
      if (isNew) Object.assign(known, { failures: 0, nextAtMs: Math.min(known.nextAtMs, nowMs) });
    } else {
      const nextAtMs = nowMs + (id !== undefined && this.context.options.id > id ? COURTESY_MS : 0);
      this.#remember(newCandidate(key, { expected: id, addresses, isFound: true, introducer, nextAtMs }));
    }
    // That one alone: an attacker brings thousands by mDNS, and a walk over all for each would cost a second of every ten.
    this.#dialAny([this.#candidates.get(key)!], nowMs);
  }

  /** Somebody found by mDNS said goodbye there. A lost one may come back to the same place. */
  forget(id: string): void {
    if (this.context.roster.get(id)?.state !== "lost") this.#candidates.delete(id);
  }

  /** A peer names others that may have room. */
  named(peers: readonly PeerAddresses[], introducer: { peer: string; address: string }, nowMs: number): void {
    for (const { id, addresses } of peers) {
      const isKnown =
        id === this.context.options.id || this.context.links.with(id) || this.#candidates.has(id);
      if (isKnown || this.context.roster.isAlive(id)) continue;
      const bucket = this.#introducers.of(introducer.peer, nowMs);
      if (bucket.tokens < 1) return;
      bucket.tokens--;
      this.#remember(
        newCandidate(id, {
          ...{ expected: id, addresses: usable(addresses, introducer.address), isFound: false },
          ...{ introducer: introducer.peer, nextAtMs: nowMs },
        }),
      );
    }
  }

  /** A member has no room, and is not asked again for a while. */
  full(peer: string, nowMs: number): void {
    if (!this.#candidates.has(peer))
      this.#remember(newCandidate(peer, { expected: peer, addresses: [], isFound: false, nextAtMs: nowMs }));
    const fullMs = Math.max(FULL_MS, this.context.roster.total * FULL_MEMBER_MS);
    this.#amend(peer, { failures: 0, nextAtMs: nowMs + fullMs });
  }

  /** A member has begun anew, maybe elsewhere. */
  restarted({ id, addresses }: MemberRecord): void {
    const candidate = this.#candidates.get(id);
    if (candidate) Object.assign(candidate, { failures: 0, addresses });
  }

  /** The member is back, for others at least: attempts from before are forgotten. */
  back(peer: string): void {
    this.#amend(peer, { failures: 0 });
  }

  /** A link with the peer serves. */
  linked(peer: string): void {
    this.#amend(peer, { failures: 0, fault: undefined });
  }

  /** A connection is there, and says who is at its other end. It may not come up, or not for long. */
  connected(attempt: number, peer: string, nowMs: number): void {
    const candidate = this.#ended(attempt);
    if (!candidate) return;
    candidate.id = peer;
    this.#backOff(candidate, nowMs);
  }

  /** An attempt has led nowhere. @param self the address is this node's own */
  failed(attempt: number, reason: string, self: boolean, nowMs: number): void {
    const candidate = this.#ended(attempt);
    if (!candidate) return;
    if (candidate.failures > 1 || nowMs - candidate.dialledAtMs! >= QUICK_FAILURE_MS)
      this.#notReached(candidate, reason, nowMs);
    if (self && candidate.isFound) this.#candidates.delete(candidate.key);
    this.#backOff(candidate, nowMs);
    this.dial(nowMs);
  }

  /** The peer was met and is of no use to this node, whatever was wrong before. */
  unfit(peer: string, reason: string, nowMs: number): void {
    for (const candidate of this.#candidates.values())
      if (candidate.id === peer) this.#notReached(candidate, reason, nowMs);
  }

  /**
   * A link that this node dialled ended before its hello. The other side does not say why: a reason known from before
   * stays.
   */
  hungUp(peer: string, reason: string, nowMs: number): void {
    for (const candidate of this.#candidates.values())
      if (candidate.id === peer && !candidate.fault) this.#notReached(candidate, reason, nowMs);
  }

  /** A link has begun or ended: in a large cluster another is dialled later, unless half of them are missing. */
  fillLater(nowMs: number): void {
    const beyond = Math.max(0, this.context.roster.size - FILL_AT_ONCE_MEMBERS);
    this.#fillAtMs = nowMs + Math.min(FILL_MS_MAX, beyond * FILL_MEMBER_MS);
  }

  /** Begins the attempts that are due: to fill the links, to meet who is not known yet, to find again who was lost. */
  dial(nowMs: number): void {
    const { options, roster } = this.context;
    if (options.hasBroker || this.#isClosed) return;
    const missing = this.#dialAny(this.#candidates.values(), nowMs);
    if (missing > 0) this.#dialMember(nowMs);
    if (nowMs >= this.#lostTryAtMs) {
      const gone = roster.goneCount > 0 ? [...roster.all()] : [];
      const lost = gone.filter(({ state, record }) => state === "lost" && this.admits(record.id, nowMs));
      const member = this.#pickLost(lost, nowMs);
      if (member) this.#begin(this.#candidateFor(member, true), nowMs);
      this.#lostTryAtMs = nowMs + LOST_TRY_MS_MIN + options.random() * (LOST_TRY_MS_MAX - LOST_TRY_MS_MIN);
    }
  }

  /** Begins attempts with those that are due. @returns how many links are still missing */
  #dialAny(candidates: Iterable<Candidate>, nowMs: number): number {
    const { options, links, roster } = this.context;
    if (options.hasBroker || this.#isClosed) return 0;
    const dialled = [...links.up()].filter((link) => link.dialled).length;
    let missing =
      Math.max(options.linksWanted - links.count, Math.ceil(options.linksWanted / 2) - dialled) -
      this.#attempts.size;
    const soon = links.count + this.#attempts.size;
    const isFilling = soon >= options.linksWanted / 2 && nowMs < this.#fillAtMs;
    if (soon >= options.linksMax || isFilling) missing = 0;
    let [mayDialFound, mayDialOthers] = [this.#mayDial(true, nowMs), this.#mayDial(false, nowMs)];
    for (const candidate of candidates) {
      const { id, isFound } = candidate;
      if (!mayDialFound && (!mayDialOthers || missing <= 0)) break;
      const mayDial = isFound ? mayDialFound : mayDialOthers;
      const isWanted = missing > 0 || (isFound && nowMs >= this.#unknownAtMs);
      if (!mayDial || !isWanted || !this.#isDue(candidate, nowMs)) continue;
      // Last, since it takes a hash.
      if (id !== undefined && roster.isAlive(id)) continue;
      if (this.#begin(candidate, nowMs)) {
        this.#unknownAtMs = nowMs + UNKNOWN_MS;
        missing--;
      }
      mayDialFound = this.#mayDial(true, nowMs);
      mayDialOthers = this.#mayDial(false, nowMs);
    }
    return missing;
  }

  get isDialling(): boolean {
    return this.#attempts.size > 0;
  }

  tick(nowMs: number): void {
    for (const [attempt, { dialledAtMs }] of this.#attempts)
      if (nowMs - dialledAtMs! > this.handshakeMs + DIAL_END_MS)
        this.failed(attempt, "the dial did not end", false, nowMs);
    this.dial(nowMs);
  }

  /** This node leaves: nobody is dialled any more. */
  close(): void {
    this.#isClosed = true;
  }

  #remember(candidate: Candidate): void {
    this.#candidates.delete(candidate.key);
    this.#candidates.set(candidate.key, candidate);
    if (this.#candidates.size <= LIMITS.candidatesMax) return;
    for (const { key, isFound, attempt } of this.#candidates.values()) {
      if ((isFound && this.#candidates.size <= 2 * LIMITS.candidatesMax) || attempt !== undefined) continue;
      this.#candidates.delete(key);
      return;
    }
  }

  /** Changes what is remembered of a peer, also under addresses of which the user gave no id. */
  #amend(peer: string, change: Partial<Pick<Candidate, "failures" | "nextAtMs" | "fault">>): void {
    for (const candidate of this.#candidates.values())
      if (candidate.id === peer) Object.assign(candidate, change);
  }

  #ended(attempt: number): Candidate | undefined {
    const candidate = this.#attempts.get(attempt);
    if (!candidate) return undefined;
    this.#attempts.delete(attempt);
    candidate.attempt = undefined;
    // A connection that does not come up, or not for long, must not be tried again at once, either.
    candidate.failures++;
    return candidate;
  }

  /** Told once, until it is reached. */
  #notReached(candidate: Candidate, reason: string, nowMs: number): void {
    const { key, id, fault, isFound } = candidate;
    const isKnown = id !== undefined && this.context.roster.get(id) !== undefined;
    candidate.fault = { reason, sinceMs: fault?.sinceMs ?? nowMs };
    if (fault === undefined && isFound && !isKnown) this.context.notifyPeer(id ?? key);
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
    let [drawn, tries]: [Member | undefined, number] = [undefined, ROOM_TRIES];
    for (const member of roster.drawn(options.random)) {
      if (!member.wasReached || !isDue(member)) continue;
      drawn = member;
      if (member.record.links.size < options.linksMax || --tries === 0) break;
    }
    if (drawn) {
      const candidate = this.#candidateFor(drawn, false);
      if (this.#mayDial(candidate.isFound, nowMs)) this.#begin(candidate, nowMs);
    }
    if (nowMs < this.#unknownAtMs) return;
    // A record alone may be made up. Its member may also have lost the one that both knew, before a chain led to it.
    for (const member of roster.drawn(options.random)) {
      if (member.wasReached || !isDue(member)) continue;
      if (this.#begin(this.#candidateFor(member, false), nowMs)) this.#unknownAtMs = nowMs + UNKNOWN_MS;
      return;
    }
  }

  #candidateFor({ record }: Member, afresh: boolean): Candidate {
    const known = this.#candidates.get(record.id);
    if (known?.isFound) return known;
    const candidate =
      known ?? newCandidate(record.id, { expected: record.id, addresses: [], isFound: false, nextAtMs: 0 });
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
  #mayDial(isFound: boolean, nowMs: number): boolean {
    if (isFound && this.#foundDials.of("", nowMs).tokens < 1) return false;
    const fromMs = nowMs - DIAL_MS - DIAL_LATES * this.context.lateMs;
    return this.#underWay(isFound).every(({ dialledAtMs }) => dialledAtMs! <= fromMs);
  }

  /** Attempts of one kind: neither keeps the other from being dialled, though all of it be silent. */
  #underWay(isFound: boolean): Candidate[] {
    return [...this.#attempts.values()].filter((candidate) => candidate.isFound === isFound);
  }

  #isDue(candidate: Candidate | undefined, nowMs: number): boolean {
    if (!candidate) return true;
    const { id, attempt, nextAtMs, failures, isFound } = candidate;
    if (attempt !== undefined || nextAtMs > nowMs || (!isFound && failures >= FAILURES_MAX)) return false;
    return id === undefined || (!this.context.links.with(id) && this.admits(id, nowMs));
  }

  #begin(candidate: Candidate, nowMs: number): boolean {
    if (candidate.attempt !== undefined) return false;
    if (this.#underWay(candidate.isFound).length >= LIMITS.dialsAtOnceMax) return false;
    if (candidate.id !== undefined && this.context.links.with(candidate.id)) return false;
    if (candidate.isFound)
      this.#foundDials.of("", nowMs).tokens -= Math.max(
        1,
        candidate.addresses.length / ADDRESSES_PER_ATTEMPT,
      );
    const addresses = candidate.isFound ? candidate.addresses : this.#allowed(candidate, nowMs);
    if (addresses.length === 0) {
      this.#backOff(candidate, nowMs);
      return false;
    }
    if (!this.#candidates.has(candidate.key)) this.#remember(candidate);
    else if (candidate.isFound && candidate.expected !== undefined) this.#hadTurn(candidate);
    this.fillLater(nowMs);
    const attempt = ++this.#lastAttempt;
    candidate.attempt = attempt;
    candidate.dialledAtMs = nowMs;
    this.#attempts.set(attempt, candidate);
    const { expected } = candidate;
    this.context.emit({
      type: "dial",
      attempt,
      addresses,
      timeoutMs: this.handshakeMs,
      ...(expected !== undefined && { peer: expected }),
    });
    return true;
  }

  /**
   * Senders of mDNS take turns, and so do the nodes that one names. Without turns, nodes that fail would be tried again before
   * the rest is tried once.
   */
  #hadTurn(dialled: Candidate): void {
    const siblings = [...this.#candidates.values()].filter(
      ({ introducer, isFound, expected }) =>
        introducer === dialled.introducer && isFound && expected !== undefined,
    );
    for (const candidate of [...siblings.filter((one) => one !== dialled), dialled]) {
      this.#candidates.delete(candidate.key);
      this.#candidates.set(candidate.key, candidate);
    }
  }

  /** The addresses of a candidate that may be dialled now. Each target is dialled rarely, whoever names it. */
  #allowed({ addresses, introducer }: Candidate, nowMs: number): readonly string[] {
    const shared = [this.#introducers.of(introducer, nowMs), this.#namedDials.of("", nowMs)];
    return addresses.filter((address) => {
      const buckets = [...shared, this.#targets.of(targetOf(address) ?? "", nowMs)];
      if (buckets.some(({ tokens }) => tokens < 1)) return false;
      for (const bucket of buckets) bucket.tokens--;
      return true;
    });
  }

  /** Half of the wait is jitter, so that nodes that lost each other at once do not meet at once again and again. */
  #backOff(candidate: Candidate, nowMs: number): void {
    const { failures, isFound } = candidate;
    const most = isFound ? BACKOFF_FOUND_MS_MAX : BACKOFF_MS_MAX;
    const fullMs = Math.min(most, BACKOFF_MS * 2 ** Math.max(0, failures - 1));
    const waitMs = (fullMs + DIAL_LATES * this.context.lateMs) * (0.5 + this.context.options.random() / 2);
    candidate.nextAtMs = nowMs + waitMs;
  }
}

function newCandidate(
  key: string,
  given: Pick<Candidate, "expected" | "addresses" | "isFound" | "nextAtMs"> & { introducer?: string },
): Candidate {
  return { introducer: NO_INTRODUCER, ...given, key, id: given.expected, failures: 0, attempt: undefined };
}

const LOOPBACK = "/ip4/127.0.0.1/tcp/0";

/**
 * Addresses learned from a peer that may be dialled: no names (a resolver could lead anywhere), and loopback
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
