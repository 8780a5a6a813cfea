import { LIMITS } from "../../core/limits.js";

/** The vote of the peers' clocks on this node's. `alone`: there are none. */
export type ClockVerdict =
  | "alone"
  /** It belongs to a majority whose clocks are within `clockSkewMsMax` of each other. */
  | "agrees"
  /** There is a majority, and this clock does not belong to it. */
  | "skewed"
  /** No majority agrees on anything. */
  | "differs";

/** A wall clock that has jumped, and is not followed yet. */
interface Jump {
  readonly offsetMs: number;
  readonly sinceMs: number;
}

/** The two clocks are read one after the other: less than this between them is no step. */
const NOISE_MS = 20;
/** A majority's vote stands for so long against a later tie, or a vote of fewer: links come and go one by one. */
const RELINK_MS = 10_000;
/** With a short retention a smaller step counts as a jump: it must not end a good part of what is held. */
const RETENTION_PARTS = 10;

/**
 * The time by which a node stamps, expires and compares items. The machine itself runs on a time that never jumps
 * (`nowMs` everywhere); this clock is that time and an offset, which follows the wall clock. Small steps are followed
 * at once. A jump is held until it has stood for `clockHoldMs`, or a majority of this node and its peers confirms it
 * (docs/clocks.md).
 */
export class Clock {
  verdict: ClockVerdict = "alone";
  /** The clock in use, against the time of the machine. */
  #offsetMs = 0;
  #jump: Jump | undefined;
  /** The median of the majority that contradicted this clock last, and when it did. */
  #majority: { readonly offsetMs: number; readonly atMs: number; readonly voters: number } | undefined;
  /** Since when nothing speaks against the clock in use. */
  #standsSinceMs = Number.POSITIVE_INFINITY;
  readonly #jumpMsMin: number;

  constructor(retentionMs: number) {
    this.#jumpMsMin = Math.min(LIMITS.clockJumpMs, retentionMs / RETENTION_PARTS);
  }

  /** The machine starts: the wall clock of this instant is the clock in use. */
  start(nowMs: number): void {
    this.#standsSinceMs = nowMs;
  }

  /**
   * The node's time, epoch ms. A node whose clock a majority contradicts goes by that majority where it is behind: so a wrong
   * clock ends no item too early, and a majority that lies can only make it keep items for longer.
   */
  ms(nowMs: number): number {
    return nowMs + Math.min(this.#offsetMs, this.#majority?.offsetMs ?? Number.POSITIVE_INFINITY);
  }

  /** The clock in use, whatever others say of it: what this node tells them. */
  ownMs(nowMs: number): number {
    return nowMs + this.#offsetMs;
  }

  /** How far the wall clock has jumped from the clock in use, ms; 0 while it has not. */
  get jumpMs(): number {
    return this.#jump ? this.#jump.offsetMs - this.#offsetMs : 0;
  }

  /** How far this clock is ahead of the majority that contradicts it, ms; 0 while none does. */
  get skewMs(): number {
    return this.verdict === "skewed" && this.#majority ? this.#offsetMs - this.#majority.offsetMs : 0;
  }

  /** How far a peer's clock is ahead of the one in use, ms. @param offsetMs its clock against the time of the machine */
  aheadMs(offsetMs: number): number {
    return offsetMs - this.#offsetMs;
  }

  /** Something speaks against the clock in use. */
  get isDoubted(): boolean {
    return (
      this.verdict === "skewed" ||
      this.verdict === "differs" ||
      this.#jump !== undefined ||
      this.#majority !== undefined
    );
  }

  /** Items that expired before the clock in use stood may be erased: by now it has proven itself. */
  hasStood(nowMs: number): boolean {
    return !this.isDoubted && nowMs - this.#standsSinceMs >= LIMITS.clockHoldMs;
  }

  /** Whether an item expired while this clock stood, so that its end is beyond doubt. @param atMs of its expiry, epoch ms */
  stoodAt(atMs: number): boolean {
    return !this.isDoubted && atMs > this.ms(this.#standsSinceMs);
  }

  /**
   * Compares with the wall clock and with the peers.
   * @param wallMs what the wall clock says, epoch ms; undefined: nobody looked
   * @param peers their clocks against the time of the machine, ms
   */
  look(wallMs: number | undefined, peers: readonly number[], nowMs: number): void {
    if (wallMs !== undefined) this.#read(wallMs - nowMs, nowMs);
    this.#settleJump(peers, nowMs);
    const { verdict, majorityMs } = judge(this.#offsetMs, peers);
    const { voters = 0, atMs = 0 } = this.#majority ?? {};
    const isWeaker = verdict !== "agrees" || peers.length < voters;
    if (majorityMs === undefined && isWeaker && nowMs - atMs < RELINK_MS) return;
    this.verdict = verdict;
    if (majorityMs !== undefined)
      this.#majority = { offsetMs: majorityMs, atMs: nowMs, voters: peers.length };
    else if (verdict === "agrees" || (this.#majority && nowMs - this.#majority.atMs >= LIMITS.clockHoldMs))
      this.#majority = undefined;
    if (this.isDoubted) this.#standsSinceMs = nowMs;
  }

  #read(offsetMs: number, nowMs: number): void {
    const stepMs = Math.abs(offsetMs - this.#offsetMs);
    if (stepMs < this.#jumpMsMin) {
      if (stepMs >= NOISE_MS) this.#offsetMs = Math.round(offsetMs);
      this.#jump = undefined;
    } else if (!this.#jump || Math.abs(offsetMs - this.#jump.offsetMs) >= this.#jumpMsMin)
      this.#jump = { offsetMs: Math.round(offsetMs), sinceMs: nowMs };
  }

  #settleJump(peers: readonly number[], nowMs: number): void {
    const jump = this.#jump;
    if (!jump) return;
    const isConfirmed = judge(jump.offsetMs, peers).verdict === "agrees";
    if (!isConfirmed && nowMs - jump.sinceMs < LIMITS.clockHoldMs) return;
    this.#offsetMs = jump.offsetMs;
    this.#standsSinceMs = jump.sinceMs;
    this.#jump = undefined;
    this.#majority = undefined;
  }
}

/** Finds the majority among this clock and its peers', and whether this one belongs to it. All against one time, ms. */
function judge(
  own: number,
  peers: readonly number[],
): { readonly verdict: ClockVerdict; readonly majorityMs?: number } {
  if (peers.length === 0) return { verdict: "alone" };
  const all = [own, ...peers].sort((a, b) => a - b);
  let [from, to] = [0, -1];
  for (let first = 0, last = 0; last < all.length; last++) {
    while (all[last]! - all[first]! > LIMITS.clockSkewMsMax) first++;
    const isMajority = 2 * (last - first + 1) > all.length;
    if (isMajority && all[first]! <= own && own <= all[last]!) return { verdict: "agrees" };
    if (isMajority && last - first > to - from) [from, to] = [first, last];
  }
  if (to < 0) return { verdict: "differs" };
  return { verdict: "skewed", majorityMs: Math.round(all[(from + to) >> 1]!) };
}
