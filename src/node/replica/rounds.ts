import { LIMITS } from "../../core/limits.js";
import { pick } from "../../core/machine.js";
import { ReconcileError, type ReconcileOptions } from "../negentropy/message.js";
import { respond } from "../negentropy/respond.js";
import { Round } from "../negentropy/round.js";
import type { ReplicaContext } from "./context.js";
import type { Owed } from "./wants.js";

/** Takes the differences that a round finds. */
export interface Differences {
  /** The peer lacks these. */
  offer(peer: string, digests: readonly string[]): void;
  /** The peer holds these, and this node may not. */
  want(peer: string, digests: readonly string[], nowMs: number): void;
}

interface OpenRound {
  readonly peer: string;
  readonly number: number;
  readonly round: Round;
  askedAtMs: number;
  /** Of all its messages, both ways. */
  bytes: number;
  trips: number;
  differences: number;
}

/** The requests of one peer to us as responder. */
interface Asked {
  number: number;
  messages: number;
  /** Rounds it opened since `minuteAtMs`. */
  opened: number;
  minuteAtMs: number;
}

/** A round that takes longer does not keep others waiting: its peer may answer as slowly as deadlines allow. */
const ROUND_SLOW_MS = 5_000;

/**
 * Runs rounds of reconciliation. One at a time as initiator, which learns both differences, unless it is slow; any number as
 * responder, which only counts them. A round runs when Sync finds that two sets differ, and every `syncIntervalMs` (jittered)
 * with one random peer (protocol.md#rounds).
 */
export class Rounds {
  /** Peers to reconcile with next. */
  readonly #due = new Set<string>();
  readonly #asked = new Map<string, Asked>();
  /** At most one with each peer, the latest last. */
  readonly #open = new Map<string, OpenRound>();
  #number = 0;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #periodicAtMs = 0;

  constructor(
    private readonly context: ReplicaContext,
    private readonly differences: Differences,
  ) {}

  /** Asks for a round with a peer, as soon as there is room for it. */
  request(peer: string, nowMs: number): void {
    this.#due.add(peer);
    this.advance(nowMs);
  }

  forget(peer: string): void {
    this.#due.delete(peer);
    this.#asked.delete(peer);
    if (this.#open.delete(peer)) this.context.figures.roundsFailed++;
  }

  /** Whether a round with this peer is open or asked for. */
  isBusyWith(peer: string): boolean {
    return this.#due.has(peer) || this.#open.has(peer);
  }

  /** Starts what is due. */
  advance(nowMs: number): void {
    this.#schedulePeriodic(nowMs);
    if (this.#open.size > 0 && nowMs - this.#begunAtMs < ROUND_SLOW_MS) return;
    // Differences that one round found are fetched before the next round.
    if (this.context.wants.expected(nowMs) > LIMITS.digestsPerFrameMax) return;
    const peer = [...this.#due].find((due) => !this.#open.has(due));
    if (peer === undefined) return;
    this.#due.delete(peer);
    this.#begin(peer, nowMs);
  }

  /** The answers that peers owe to our rounds. */
  get owed(): readonly Owed[] {
    return [...this.#open.values()];
  }

  /** Answers a round that a peer initiated. @returns why the peer must go, if it must */
  respond(peer: string, number: number, message: Uint8Array, nowMs: number): RoundBreach | undefined {
    const breach = this.#count(peer, number, nowMs);
    if (breach) return breach;
    try {
      const answer = respond(this.context.holdings.set, message, this.#options);
      this.context.sendTo(peer, { t: "reconciled", round: number, message: answer });
      return undefined;
    } catch (error) {
      if (error instanceof ReconcileError) return "badRange";
      throw error;
    }
  }

  /** Takes the answer to our round. @returns why the peer must go, if it must; `done` when the round is over */
  answered(
    peer: string,
    number: number,
    message: Uint8Array,
    nowMs: number,
  ): RoundBreach | "done" | undefined {
    const open = this.#open.get(peer);
    // An answer to a round given up meanwhile.
    if (open?.number !== number) return undefined;
    try {
      const { reply, have, need } = open.round.take(message);
      open.trips++;
      open.bytes += message.length + (reply?.length ?? 0);
      open.differences += have.length + need.length;
      this.differences.want(peer, need, nowMs);
      this.differences.offer(peer, have);
      if (reply) {
        open.askedAtMs = nowMs;
        this.context.sendTo(peer, { t: "reconcile", round: number, message: reply });
        return undefined;
      }
    } catch (error) {
      if (error instanceof ReconcileError) return "badRange";
      throw error;
    }
    this.#open.delete(peer);
    this.#note(open);
    this.context.sendTo(peer, { t: "roundDone", round: number });
    return "done";
  }

  #begin(peer: string, nowMs: number): void {
    const round = new Round(this.context.holdings.set, this.#options);
    const number = ++this.#number;
    const message = round.open();
    const counts = { bytes: message.length, trips: 0, differences: 0 };
    this.#open.set(peer, { peer, number, round, askedAtMs: nowMs, ...counts });
    this.#begunAtMs = nowMs;
    this.context.sendTo(peer, { t: "reconcile", round: number, message });
  }

  get #options(): ReconcileOptions {
    const { sketch } = this.context.holdings;
    return {
      frameBytesMax: LIMITS.reconcileBytesMax,
      messageBytesMax: LIMITS.reconcileBytesMax,
      sketch,
    };
  }

  /** Counts a round that is done. */
  #note({ round: { means, hasSketchFailed }, bytes, trips, differences }: OpenRound): void {
    const { figures } = this.context;
    figures.rounds++;
    if (means === "sketch") figures.roundsBySketch++;
    if (hasSketchFailed) figures.sketchesFailed++;
    if (differences > 0) figures.lastRound = { means, bytes, trips, differences };
  }

  #schedulePeriodic(nowMs: number): void {
    const { syncIntervalMs, random } = this.context.options;
    if (nowMs < this.#periodicAtMs) return;
    // The first call only sets the clock.
    const links =
      this.#periodicAtMs === 0 ? [] : [...this.context.links.up()].filter(this.context.sharesItems);
    const link = pick(links, random);
    if (link) this.#due.add(link.peer);
    this.#periodicAtMs = nowMs + syncIntervalMs * (0.75 + random() / 2);
  }

  #count(peer: string, number: number, nowMs: number): RoundBreach | undefined {
    const asked = this.#asked.get(peer) ?? { number: -1, messages: 0, opened: 0, minuteAtMs: nowMs };
    this.#asked.set(peer, asked);
    if (nowMs - asked.minuteAtMs >= 60_000) Object.assign(asked, { opened: 0, minuteAtMs: nowMs });
    if (asked.number !== number) {
      Object.assign(asked, { number, messages: 0 });
      if (++asked.opened > LIMITS.roundsPerPeerMinuteMax) return "tooManyRounds";
    }
    return ++asked.messages > LIMITS.roundMessagesMax ? "endlessRound" : undefined;
  }
}

export type RoundBreach = "badRange" | "tooManyRounds" | "endlessRound";
