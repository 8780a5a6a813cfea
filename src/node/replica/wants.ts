import { LIMITS } from "../../core/limits.js";
import { type Link, slownessMs } from "./links.js";

/** An answer that a peer owes. */
export interface Owed {
  readonly peer: string;
  /** When it was asked or, where it came later, the answer before it: epoch ms. */
  readonly askedAtMs: number;
}

/** The figures of a link that tell what can be expected of its peer. */
type Pace = Pick<Link, "progressAtMs" | "roundTripMs" | "helloMs" | "shortestTripMs">;

interface Want {
  readonly digests: readonly string[];
  readonly askedAtMs: number;
}

/** One peer's share of the table. */
interface Share {
  /** All that is queued or asked for: of its own, so that a peer that goes with 262,144 digests costs nothing. */
  wanted: Set<string>;
  /** To be asked for, in order, from `head` on. */
  queue: string[];
  /** The slots in front of it are free: returned entries go there, so that tens of thousands need not move. */
  head: number;
  /** Asked for and not answered, oldest first; answers come in the same order. */
  readonly asked: Want[];
  /** Digests that answers covered without their item, and answers that covered few. */
  failures: number;
  /** When the last answer came that had all it could have, epoch ms. */
  answeredAtMs: number;
  /** Digests in the next `want`: as many as make an answer take neither long nor little time. */
  digestsMax: number;
}

/** An answer that leaves out the rest has so many bytes, or the first item of the rest has... */
const ANSWER_BYTES = LIMITS.itemsPerAnswerBytes / 2;
/** ... and an item may expire, or come by another way. What a peer that fails more often owes is asked of others... */
const FAILURES_MAX = 64;
/** ... and so is what a peer has not answered, and sent nothing of, for so long, and some round trips. */
const SLOW_MS = 2_000;
const SLOW_ROUND_TRIPS = 4;

/** The first `want` asks for so many. Behind an answer that comes sooner than this the next one asks for twice as many... */
const DIGESTS_FIRST = 64;
const ANSWER_MS_MIN = 125;
/**
 * ... and behind one that comes later than this, for half; both beside the shortest round trip. Several answers are on their
 * way, and a post or a ping waits for all of them.
 */
const ANSWER_MS_MAX = 500;

/**
 * Items that this node lacks and can ask somebody for: one table for all peers, so that nothing is fetched twice. A peer has
 * as much of it as others leave. The asking side holds all the state; the giving side answers each `want` as far as one
 * frame goes.
 */
export class Wants {
  readonly #shares = new Map<string, Share>();

  /** @param pace of the link with a peer, where it is up */
  constructor(private readonly pace: (peer: string) => Pace | undefined) {}

  /** Digests wanted from anybody. */
  get size(): number {
    let size = 0;
    for (const { wanted } of this.#shares.values()) size += wanted.size;
    return size;
  }

  /** Digests wanted from one peer. */
  from(peer: string): number {
    return this.#shares.get(peer)?.wanted.size ?? 0;
  }

  /** Digests wanted from peers that give what they owe. */
  expected(nowMs: number): number {
    let size = 0;
    for (const [peer, share] of this.#shares)
      if (!this.#isFailing(peer, share, nowMs)) size += share.wanted.size;
    return size;
  }

  /** `want` frames that a peer has not answered. */
  asked(peer: string): number {
    return this.#shares.get(peer)?.asked.length ?? 0;
  }

  /** Wants those of a peer's digests that another is not about to give, as far as there is room. */
  add(peer: string, digests: readonly string[], nowMs: number): void {
    const share = this.#share(peer);
    const others = [...this.#shares].filter(([other]) => other !== peer);
    let room = LIMITS.wantsMax - this.size;
    for (const digest of digests) {
      if (share.wanted.has(digest)) continue;
      const other = others.find(([, { wanted }]) => wanted.has(digest));
      if (other) {
        if (!this.#isFailing(...other, nowMs)) continue;
        other[1].wanted.delete(digest);
        room++;
      }
      if (room === 0) room = makeRoom(share, others);
      if (room === 0) return;
      room--;
      share.wanted.add(digest);
      share.queue.push(digest);
    }
  }

  /**
   * Takes the next digests to ask a peer for, one list per `want` frame, as far as the frames in flight allow.
   * @param isKnown what has arrived by another way meanwhile is not asked for
   */
  next(peer: string, isKnown: (digest: string) => boolean, nowMs: number): string[][] {
    const share = this.#shares.get(peer);
    const lists: string[][] = [];
    while (share && share.queue.length > share.head && share.asked.length < LIMITS.wantsInFlight) {
      const digests = takeFront(share, share.digestsMax).filter((digest) => {
        // Others are asked for what is not wanted from this peer any more.
        if (!share.wanted.has(digest)) return false;
        const known = isKnown(digest);
        if (known) share.wanted.delete(digest);
        return !known;
      });
      if (digests.length === 0) continue;
      share.asked.push({ digests, askedAtMs: nowMs });
      lists.push(digests);
    }
    return lists;
  }

  /**
   * Takes the answer to the oldest want of a peer. What it did not cover is queued again, in front.
   * @param served how many of the digests asked for it covers
   * @param received digests of the items in it
   * @param bytes of these items
   * @param nowMs epoch ms
   * @returns false when nobody asked for that: no want is open, or an item is not among those covered
   */
  answered(peer: string, served: number, received: readonly string[], bytes: number, nowMs: number): boolean {
    const share = this.#shares.get(peer);
    const want = share?.asked[0];
    // After `false` the caller drops the peer with all its wants.
    if (!share || !want || served < 1 || served > want.digests.length) return false;
    share.asked.shift();
    const tripMs = this.pace(peer)?.shortestTripMs ?? 0;
    const tookMs = nowMs - Math.max(want.askedAtMs, share.answeredAtMs) - tripMs;
    if (tookMs > ANSWER_MS_MAX) share.digestsMax = Math.max(1, share.digestsMax / 2);
    else if (tookMs < ANSWER_MS_MIN)
      share.digestsMax = Math.min(LIMITS.digestsPerFrameMax, 2 * share.digestsMax);
    const covered = want.digests.slice(0, served);
    for (const digest of covered) share.wanted.delete(digest);
    const hasRoom = served < want.digests.length && bytes < ANSWER_BYTES;
    if (received.length === served && !hasRoom) share.answeredAtMs = nowMs;
    else share.failures += served - received.length + (hasRoom ? 1 : 0);
    // Items may have expired while they were fetched: that must not count against an honest peer for ever.
    if (share.wanted.size === 0) share.failures = 0;
    putInFront(share, want.digests.slice(served));
    return areAmong(received, covered);
  }

  /** Gives up what a peer has not been asked for yet. */
  dropQueue(peer: string): void {
    const share = this.#shares.get(peer);
    if (!share) return;
    share.queue = [];
    share.head = 0;
    share.wanted = new Set(share.asked.flatMap(({ digests }) => digests));
  }

  /** Gives up everything wanted from a peer; the next round finds it again. @returns how many digests that were */
  drop(peer: string): number {
    const count = this.from(peer);
    this.#shares.delete(peer);
    return count;
  }

  /** The oldest answer that each peer owes. */
  owed(): Owed[] {
    return [...this.#shares].flatMap(([peer, { asked, answeredAtMs }]) =>
      asked[0] ? [{ peer, askedAtMs: Math.max(asked[0].askedAtMs, answeredAtMs) }] : [],
    );
  }

  #share(peer: string): Share {
    let share = this.#shares.get(peer);
    if (!share) {
      share = {
        wanted: new Set(),
        queue: [],
        head: 0,
        asked: [],
        failures: 0,
        answeredAtMs: 0,
        digestsMax: DIGESTS_FIRST,
      };
      this.#shares.set(peer, share);
    }
    return share;
  }

  /** Whether a peer gives too little, or too slowly, of what is wanted from it. */
  #isFailing(peer: string, { failures, asked, answeredAtMs }: Share, nowMs: number): boolean {
    if (failures > FAILURES_MAX || !asked[0]) return failures > FAILURES_MAX;
    const pace = this.pace(peer);
    const sinceMs = Math.max(asked[0].askedAtMs, answeredAtMs, pace?.progressAtMs ?? 0);
    return nowMs - sinceMs > SLOW_MS + (pace ? SLOW_ROUND_TRIPS * slownessMs(pace) : 0);
  }
}

/** The peer of whom most is wanted gives way to one of whom less is, with what it has not been asked for. @returns how many */
function makeRoom(share: Share, others: readonly (readonly [peer: string, share: Share])[]): number {
  const largest = others.reduce(
    (most, [, other]) => (other.wanted.size > most.wanted.size ? other : most),
    share,
  );
  if (largest.wanted.size <= share.wanted.size + LIMITS.digestsPerFrameMax) return 0;
  const last = largest.queue.splice(Math.max(largest.head, largest.queue.length - LIMITS.digestsPerFrameMax));
  return last.filter((digest) => largest.wanted.delete(digest)).length;
}

function takeFront(share: Share, count: number): string[] {
  const taken = share.queue.slice(share.head, share.head + count);
  share.head += taken.length;
  if (2 * share.head >= share.queue.length) {
    share.queue = share.queue.slice(share.head);
    share.head = 0;
  }
  return taken;
}

/** @param digests taken from the front before */
function putInFront(share: Share, digests: readonly string[]): void {
  if (digests.length > share.head) {
    share.queue = [...digests, ...share.queue.slice(share.head)];
    share.head = 0;
    return;
  }
  share.head -= digests.length;
  for (const [index, digest] of digests.entries()) share.queue[share.head + index] = digest;
}

/** Whether each is one of those, and none comes twice. Nodes answer in the order in which they were asked: one look each. */
function areAmong(received: readonly string[], covered: readonly string[]): boolean {
  let at = 0;
  const left = received.findIndex((digest) => {
    while (at < covered.length && covered[at] !== digest) at++;
    return at++ >= covered.length;
  });
  if (left === -1) return true;
  // In another order, then: that is allowed.
  const open = new Set(covered);
  return received.every((digest) => open.delete(digest));
}
