import { LIMITS } from "../../core/limits.js";
import { type HoldingsSummary, type MemberRecord, memberHash } from "./member.js";
import type { HelloFrame } from "./wire.js";

/** One link of this node: a connection with a peer, and what both have said on it. */
export interface Link {
  /** Given by the engine. */
  readonly number: number;
  /** The peer's id, which the engine has proven. */
  readonly peer: string;
  readonly hash: string;
  readonly address: string;
  /** By this node. */
  readonly dialled: boolean;
  readonly openedAtMs: number;
  /** `opening` until both have said hello; `ending` once it was cut: what still comes is ignored. */
  state: "opening" | "up" | "ending";
  hello: HelloFrame | undefined;
  /** The newest record of the peer, of the process at the other end; undefined until its hello. */
  record: MemberRecord | undefined;
  /** Either side let it go to make room: no loss. */
  isReleased: boolean;
  heardAtMs: number;
  /** Bytes of a frame that was not whole yet came last, epoch ms. */
  progressAtMs: number;
  pingedAtMs: number;
  roundTripMs: number | undefined;
  /** From its beginning to the peer's hello, ms: stands for the round trip until the first pong. */
  helloMs: number;
  /** The shortest of these: behind nothing that waits to be sent. */
  shortestTripMs: number;
  /** Its clock minus the time of this machine (`nowMs`), ms. */
  clockOffsetMs: number | undefined;
  /** The tree of gossip leads along it; undefined where that is not known. */
  isInTree: boolean | undefined;
  /** The peer asked for what it missed: batches are pushed to it until then, epoch ms. */
  graftedUntilMs: number;
  /** The peer gets batches sooner by another link. */
  isPruned: boolean;
  /** Much waits to be sent on it. */
  isQueueLong: boolean;
  /** Ids of batches to announce. */
  announcements: string[];
  summary: HoldingsSummary | undefined;
  /** Since its summaries tell of another set than ours; 0 while they agree. */
  differsSinceMs: number;
  /** Our hello said that we were starting. */
  greetedStarting: boolean;
  /** When it was last given items, epoch ms. */
  givenAtMs: number;
  readonly budget: LinkBudget;
}

/** The round trip of a peer, ms, within bounds: deadlines of a slow peer are longer by multiples of it. */
export function slownessMs({ roundTripMs, helloMs }: Pick<Link, "roundTripMs" | "helloMs">): number {
  return Math.min(roundTripMs ?? helloMs, LIMITS.heartbeatLostMs);
}

/** The links of this node. At most one with each peer is up. */
export class Links {
  readonly #byNumber = new Map<number, Link>();
  readonly #byPeer = new Map<string, Link>();

  get(number: number): Link | undefined {
    return this.#byNumber.get(number);
  }

  /** The link with a peer, when it is up. */
  with(peer: string): Link | undefined {
    return this.#byPeer.get(peer);
  }

  /** Whether there is another link with the peer of this one, up or still opening. */
  othersWith({ number, peer }: Link): boolean {
    for (const other of this.#byNumber.values())
      if (other.peer === peer && other.number !== number && other.state !== "ending") return true;
    return false;
  }

  /** All, also those that are still opening. */
  all(): IterableIterator<Link> {
    return this.#byNumber.values();
  }

  /** The links that are up. */
  up(): IterableIterator<Link> {
    return this.#byPeer.values();
  }

  /** How many are up. */
  get count(): number {
    return this.#byPeer.size;
  }

  open(
    { number, peer, address, dialled }: Pick<Link, "number" | "peer" | "address" | "dialled">,
    nowMs: number,
  ): Link {
    const link: Link = {
      number,
      peer,
      hash: memberHash(peer),
      address,
      dialled,
      openedAtMs: nowMs,
      state: "opening",
      hello: undefined,
      record: undefined,
      isReleased: false,
      heardAtMs: nowMs,
      progressAtMs: 0,
      pingedAtMs: nowMs,
      roundTripMs: undefined,
      helloMs: 0,
      shortestTripMs: 0,
      clockOffsetMs: undefined,
      isInTree: undefined,
      graftedUntilMs: 0,
      isPruned: false,
      isQueueLong: false,
      announcements: [],
      summary: undefined,
      differsSinceMs: 0,
      greetedStarting: false,
      givenAtMs: 0,
      budget: new LinkBudget(nowMs),
    };
    this.#byNumber.set(number, link);
    return link;
  }

  /** Both have said hello on it, and it serves its peer from now on. */
  serve(link: Link, hello: HelloFrame, record: MemberRecord, nowMs: number): void {
    link.state = "up";
    link.helloMs = nowMs - link.openedAtMs;
    link.shortestTripMs = Math.min(link.helloMs, LIMITS.heartbeatLostMs);
    link.hello = hello;
    link.record = record;
    this.#byPeer.set(link.peer, link);
  }

  close(link: Link): void {
    link.state = "ending";
    if (this.#byPeer.get(link.peer) === link) this.#byPeer.delete(link.peer);
    this.#byNumber.delete(link.number);
  }
}

/**
 * The work that one link may cause, for frames of all kinds together: one bucket of work, in bytes (a frame costs its bytes,
 * and what answering it costs besides), and one of frames. Past either the link is held up: not read until the bucket has
 * refilled. A link that is held most of the time for `linkPatienceMs` is cut.
 */
export class LinkBudget {
  #work: number = LIMITS.linkWorkBurst;
  #frames: number = LIMITS.linkFramesBurst;
  #atMs: number;
  #heldUpMs = 0;
  isHeldUp = false;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** @param work bytes. @returns whether the link is over its budget now */
  charge(work: number, nowMs: number): boolean {
    this.#refill(nowMs);
    this.#work -= work;
    this.#frames--;
    return this.#work < 0 || this.#frames < 0;
  }

  /** When a link over its budget has earned its way back, epoch ms. */
  get freeAtMs(): number {
    const workMs = (-this.#work * 1_000) / LIMITS.linkWorkPerSecond;
    const framesMs = (-this.#frames * 1_000) / LIMITS.linkFramesPerSecond;
    return this.#atMs + Math.max(workMs, framesMs, 0);
  }

  /** The link has pressed against its budget for longer than an honest peer does. */
  get isPressing(): boolean {
    return this.#heldUpMs > LIMITS.linkPatienceMs;
  }

  /** Looks at the last stretch of time: pressure grows while the link is held, and fades while it is not. */
  elapse(stretchMs: number): void {
    this.#heldUpMs = Math.max(0, this.#heldUpMs + (this.isHeldUp ? stretchMs : -stretchMs / 2));
  }

  #refill(nowMs: number): void {
    const seconds = Math.max(0, nowMs - this.#atMs) / 1_000;
    this.#work = Math.min(LIMITS.linkWorkBurst, this.#work + seconds * LIMITS.linkWorkPerSecond);
    this.#frames = Math.min(LIMITS.linkFramesBurst, this.#frames + seconds * LIMITS.linkFramesPerSecond);
    this.#atMs = nowMs;
  }
}
