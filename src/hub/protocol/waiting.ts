import type { Audience } from "./audience.js";
import { HUB_LIMITS } from "./limits.js";
import type { RemoteClient } from "./links/remote-hub.js";
import type { Hold, Session } from "./session.js";
import type { Switchboard } from "./switchboard.js";

/** A wake-up later than this says that the hub was busy. */
const LATE_MS = 20;

const { patienceMs, revivalsMax, memoryPatienceMs, outboxPiecesMax } = HUB_LIMITS;

/**
 * Who waits for whom. A sender whose message is for a receiver that is over half of its limit and still takes bytes
 * is held: not read, its message not queued. When the receiver is well below half again, or frozen, it goes on.
 */
export class Waiting {
  /** Senders that can go on; the machine empties it. */
  readonly ready: Session[] = [];
  /** Senders for whose next frame there is no memory. */
  forMemory: Session[] = [];
  /** Senders whose next frame would be too much for this turn, in the order in which they go on. */
  forTurn: Session[] = [];
  /** The hub shuts down: nobody is read again. */
  stopping = false;
  readonly #congested = new Set<Session>();
  #postponed = false;
  /** What was in use, at most, when somebody was told that there is no memory since the last ones went on. */
  #refusedAtBytes = 0;
  /** When a receiver may have become frozen; epoch ms. */
  wakeAtMs = Number.POSITIVE_INFINITY;

  constructor(private readonly board: Switchboard) {}

  get congestedCount(): number {
    return this.#congested.size;
  }

  /** Its outbox went over half. */
  congested(session: Session): void {
    if (session.congested) return;
    session.congested = true;
    this.#congested.add(session);
  }

  /** Bytes left its outbox. */
  progressed(session: Session): void {
    if (!session.congested) return;
    if (session.frozen) session.revivals += 1;
    session.frozen = false;
    const { bytes, pieces } = session.outbox;
    // Half less an eighth: not every write that leaves room for one message wakes all who wait.
    if (bytes > (this.board.options.outboxMax * 3) / 8 || pieces > (outboxPiecesMax * 3) / 8) return;
    session.congested = false;
    session.revivals = 0;
    this.#congested.delete(session);
    this.#letGo(session);
  }

  /** The first receiver that holds up this audience; undefined when all can take more, or are given up. */
  blockerOf(audience: Audience): Session | undefined {
    if (this.#congested.size === 0) return undefined;
    const local = audience.plain.find(holdsUp) ?? audience.named.find(holdsUp);
    return local ?? audience.remote.find(({ hub }) => holdsUp(hub.session))?.hub.session;
  }

  /** Whether an answer to that client would only make its full outbox fuller. */
  holdsUp(session: Session): boolean {
    return this.#congested.size > 0 && holdsUp(session);
  }

  forReceiver(sender: Session, receiver: Session): void {
    receiver.waiters.push(sender);
    this.hold(sender, "receiver");
    this.wakeAtMs = Math.min(this.wakeAtMs, receiver.outbox.progressAtMs + this.patienceOf(receiver));
  }

  /** Its own hub tells when it can go on. */
  forRemote(sender: Session, client: RemoteClient): void {
    client.waiters.push(sender);
    this.hold(sender, "receiver");
  }

  /** Senders on another hub wait for that outbox. */
  heldElsewhere(session: Session): void {
    this.wakeAtMs = Math.min(this.wakeAtMs, session.outbox.progressAtMs + this.patienceOf(session));
  }

  forRoom(sender: Session): void {
    this.forMemory.push(sender);
    this.#refusedAtBytes = Math.max(this.#refusedAtBytes, this.board.memory.usedBytes);
    this.hold(sender, "memory");
    this.wakeAtMs = Math.min(this.wakeAtMs, this.board.nowMs + patienceMs);
  }

  forNextTurn(sender: Session): void {
    this.forTurn.push(sender);
    this.#endPause(sender);
    this.hold(sender, "turn");
  }

  hold(sender: Session, hold: Hold): void {
    sender.hold = hold;
    if (hold !== "turn" && sender.pausedAtMs === 0) {
      sender.pauses += 1;
      sender.pausedAtMs = this.board.nowMs;
    }
    this.setReading(sender, false);
  }

  setReading(session: Session, reading: boolean): void {
    if (session.reading === reading || (reading && this.stopping)) return;
    session.reading = reading;
    const { nowMs } = this.board;
    if (reading) {
      this.#endPause(session);
      const unreadMs = nowMs - session.unreadAtMs;
      // Deadlines stop while it is the hub that does not read.
      if (session.frameBeganAtMs > 0) session.frameBeganAtMs += unreadMs;
      if (session.pingSentAtMs > 0) session.pingSentAtMs += unreadMs;
      session.heardAtMs += unreadMs;
    } else session.unreadAtMs = nowMs;
    this.board.effects.reading.push(session);
  }

  /** Memory came free: those who wait for it go on, in their order. A large frame may not fit though there is room. */
  memoryFreed(): void {
    const { usedBytes, hasRoomAgain } = this.board.memory;
    if (this.forMemory.length === 0 || !hasRoomAgain || usedBytes >= this.#refusedAtBytes) return;
    this.#refusedAtBytes = 0;
    this.goOn(this.forMemory.splice(0));
  }

  /** A new turn: those for whom the last one was too short go on, before anybody who is read only now. */
  turned(): void {
    this.goOn(this.forTurn.splice(0));
  }

  /** It is gone: nobody waits for it. */
  noLongerReceives(session: Session): void {
    session.congested = false;
    this.#congested.delete(session);
    this.#letGo(session);
  }

  noLongerSends(session: Session): void {
    if (session.hold === "memory") this.forMemory = this.forMemory.filter((waiter) => waiter !== session);
    session.hold = undefined;
  }

  /**
   * For how long that receiver may take nothing. Under `evict`, one that was taken for frozen and was not gets twice as
   * long: a reader that takes bytes every 300 ms would otherwise let a burst in with each of its pauses, up to its limit.
   */
  patienceOf({ revivals }: Session): number {
    if (this.board.options.slowConsumer === "wait") return this.#patienceMs();
    return patienceMs * 2 ** Math.min(revivals, revivalsMax);
  }

  /** Looks for receivers that took nothing for too long. */
  woke(): void {
    const { nowMs, options } = this.board;
    // The hub was busy itself, and what receivers took meanwhile is not known yet: look again in a moment.
    this.#postponed = !this.#postponed && nowMs > this.wakeAtMs + LATE_MS;
    if (this.#postponed) {
      this.wakeAtMs = nowMs + LATE_MS;
      return;
    }
    this.wakeAtMs = Number.POSITIVE_INFINITY;
    for (const session of [...this.#congested]) {
      if (session.waiters.length === 0 && !session.heldLinks?.size) continue;
      const leftMs = this.patienceOf(session) - session.stillMs(nowMs);
      if (leftMs > 0) this.wakeAtMs = Math.min(this.wakeAtMs, nowMs + leftMs);
      else if (options.slowConsumer === "wait") this.board.close(session, "slowConsumer");
      else {
        session.frozen = true;
        this.#letGo(session);
      }
    }
    if (this.forMemory.length > 0) {
      this.#makeRoom();
      this.wakeAtMs = Math.min(this.wakeAtMs, nowMs + patienceMs / 5);
    }
  }

  /** The budget is used up: the client longest without progress goes, when that is longer than anyone waits. */
  #makeRoom(): void {
    const { nowMs, memory } = this.board;
    this.memoryFreed();
    if (this.forMemory.length === 0) return;
    let slowest: Session | undefined;
    let slowestAtMs = nowMs;
    const look = (session: Session): void => {
      const progressAtMs = progressAt(session);
      if (progressAtMs >= slowestAtMs) return;
      slowest = session;
      slowestAtMs = progressAtMs;
    };
    for (const session of this.board.roster.all()) look(session);
    for (const { session } of this.board.remotes.hubs) look(session);
    if (slowest === undefined) {
      // Nothing is queued and no frame unfinished: all is held by those who wait. One goes over the budget.
      memory.overdraft = 1;
      this.goOn(this.forMemory.splice(0, 1));
    } else if (nowMs - slowestAtMs >= Math.max(this.#patienceMs(), memoryPatienceMs))
      this.board.close(slowest, "memoryBudget");
  }

  #endPause(session: Session): void {
    if (session.pausedAtMs > 0) session.pausedMs += this.board.nowMs - session.pausedAtMs;
    session.pausedAtMs = 0;
  }

  #letGo(receiver: Session): void {
    if (receiver.heldLinks !== undefined) this.board.links.release(receiver);
    if (receiver.waiters.length === 0) return;
    const waiters = receiver.waiters;
    receiver.waiters = [];
    this.goOn(waiters);
  }

  /** Those who still wait go on. */
  goOn(senders: readonly Session[]): void {
    for (const sender of senders) {
      if (sender.hold === undefined || !sender.sending) continue;
      sender.hold = undefined;
      this.ready.push(sender);
    }
  }

  #patienceMs(): number {
    const { slowConsumer, stallTimeoutMs } = this.board.options;
    return slowConsumer === "wait" ? stallTimeoutMs : patienceMs;
  }
}

function holdsUp(session: Session): boolean {
  return session.congested && !session.frozen && session.open;
}

/** Since when its queue, or the frame it is sending, has stood still; Infinity when neither is there. */
function progressAt(session: Session): number {
  const queueAtMs = session.outbox.bytes > 0 ? session.outbox.progressAtMs : Number.POSITIVE_INFINITY;
  const sends = session.link === undefined && session.reading && session.inbox.midFrame;
  const frameAtMs = sends ? session.heardAtMs : Number.POSITIVE_INFINITY;
  return Math.min(queueAtMs, frameAtMs);
}
