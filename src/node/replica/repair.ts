import { LIMITS } from "../../core/limits.js";
import { slicesOf } from "../../core/machine.js";
import type { ReplicaContext } from "./context.js";
import type { Item } from "./item.js";
import { type Differences, Rounds } from "./rounds.js";
import { packDigests, type ToldFrame, unpackDigests } from "./wire.js";

/** A member must differ for so long before anything is done: what is in the log reaches all by itself. */
const DIFFERS_MS = 3_000;
/** ... as a member sees it that is told what others hold by the leader, up to 15 s later. */
const DIFFERS_TOLD_MS = 10_000;
/** ... and is left alone for so long after a round: what that found goes through the log, and summaries follow. */
const AGAIN_MS = 20_000;
/**
 * An item is appended once in so long, however many ask for it: a `want` is a fraction of the bytes that it has appended,
 * and anybody may send one. Where the log loses it again meanwhile, another member that holds it appends it, or this one later.
 */
const APPENDED_MS = 120_000;
/** ... and asked for once in so long, however many hold it. */
const WANTED_MS = 10_000;
const TICK_MS = 1_000;

/**
 * Anti-entropy where a log carries the items: members reconcile only when they differ for long, and what either lacks
 * is appended to the log, which lacks it too (docs/protocol-nats.md#repair). The leader, which knows best what the
 * others hold, compares itself with those of its policy. So does, later, of the members of one policy the one with the
 * smallest id: the leader may have another one. So nothing is found, and appended, by many at once.
 */
export class Repair implements Differences {
  readonly #rounds: Rounds;
  /** Since when a member differs, and when the next round with it may begin, by id. */
  readonly #differing = new Map<string, { readonly sinceMs: number; nextAtMs: number }>();
  readonly #appended = new Map<string, number>();
  readonly #wanted = new Map<string, number>();
  #tickAtMs = 0;

  constructor(private readonly context: ReplicaContext) {
    this.#rounds = new Rounds(context, this);
  }

  /** @param isLeader this node is the leader of its cluster */
  tick(nowMs: number, isLeader: boolean): void {
    if (nowMs < this.#tickAtMs) return;
    this.#tickAtMs = nowMs + TICK_MS;
    for (const { peer, askedAtMs } of this.#rounds.owed)
      if (nowMs - askedAtMs > LIMITS.answerTimeoutMs) this.#rounds.forget(peer);
    forgetOlder(this.#appended, nowMs - APPENDED_MS);
    forgetOlder(this.#wanted, nowMs - WANTED_MS);
    const { roster, options } = this.context;
    const same = roster.alive().filter(({ record }) => record.policy === options.policy.text);
    const isIdle = !(isLeader || same.every(({ record }) => record.id > options.id)) || !options.hasReadLog();
    const differing = isIdle ? [] : same.filter((member) => this.#differs(member.summary));
    const ids = new Set(differing.map(({ record }) => record.id));
    for (const id of this.#differing.keys()) if (!ids.has(id)) this.#differing.delete(id);
    for (const id of ids) this.#consider(id, isLeader ? DIFFERS_MS : DIFFERS_TOLD_MS, nowMs);
    this.#rounds.advance(nowMs);
  }

  /** A member sent a frame of a round, or of what one found. */
  frame(peer: string, frame: Exclude<ToldFrame, { readonly t: "answers" }>, nowMs: number): void {
    switch (frame.t) {
      case "reconcile":
        this.#rounds.respond(peer, frame.round, frame.message, nowMs);
        break;
      case "reconciled": {
        const result = this.#rounds.answered(peer, frame.round, frame.message, nowMs);
        if (result !== undefined && result !== "done") this.#rounds.forget(peer);
        break;
      }
      case "have":
        this.want(peer, unpackDigests(frame.digests), nowMs);
        break;
      case "want":
        this.#append(unpackDigests(frame.digests), nowMs);
        break;
      case "roundDone":
        break;
    }
  }

  /** The peer says which of these it takes. */
  offer(peer: string, digests: readonly string[]): void {
    this.#sendDigests(peer, "have", digests);
  }

  /** Asks the peer to append what this node lacks, and takes, and what the log will not bring. */
  want(peer: string, digests: readonly string[], nowMs: number): void {
    if (this.context.isFull() || !this.context.options.hasReadLog()) return;
    const wanted = digests.filter((digest) => !this.context.knows(digest) && !this.#wanted.has(digest));
    for (const digest of wanted) this.#wanted.set(digest, nowMs);
    this.#sendDigests(peer, "want", wanted);
  }

  #sendDigests(peer: string, t: "have" | "want", digests: readonly string[]): void {
    for (const some of slicesOf(digests, LIMITS.digestsPerFrameMax))
      this.context.sendTo(peer, { t, digests: packDigests(some) });
  }

  #append(digests: readonly string[], nowMs: number): void {
    const items: Item[] = [];
    for (const digest of digests) {
      const item = this.#appended.has(digest) ? undefined : this.context.holdings.byDigest(digest);
      if (!item) continue;
      items.push(item);
      this.#appended.set(digest, nowMs);
    }
    this.context.figures.itemsSentBySync += items.length;
    if (items.length > 0) this.context.emit({ type: "append", items });
  }

  #differs({
    sinceMs,
    settledMs,
    settledFingerprint,
  }: {
    sinceMs: number;
    settledMs: number;
    settledFingerprint: string;
  }): boolean {
    if (settledMs <= sinceMs) return false;
    return this.context.holdings.fingerprint(sinceMs, settledMs).fingerprint !== settledFingerprint;
  }

  #consider(id: string, differsMs: number, nowMs: number): void {
    const known = this.#differing.get(id);
    if (!known) {
      this.#differing.set(id, { sinceMs: nowMs, nextAtMs: nowMs });
      return;
    }
    if (nowMs < Math.max(known.nextAtMs, known.sinceMs + differsMs) || this.#rounds.isBusyWith(id)) return;
    known.nextAtMs = nowMs + AGAIN_MS;
    this.#rounds.request(id, nowMs);
  }
}

/** @param atMs by digest, the oldest first */
function forgetOlder(atMs: Map<string, number>, thanMs: number): void {
  for (const [digest, at] of atMs) {
    if (at > thanMs) break;
    atMs.delete(digest);
  }
}
