import { type CloseReason, goodbyeFrame, presenceFrame } from "./frames.js";
import { HUB_LIMITS } from "./limits.js";
import { clientFrame, goneFrame, idFrame, LINK_FRAME } from "./link-frames.js";
import { Backing } from "./memory.js";
import { Piece } from "./outbox.js";
import type { PauseReason, Recipients, RemoteClient, RemoteHub, Session } from "./session.js";
import type { HubState } from "./state.js";

const {
  patienceMs,
  revivalsMax,
  outboxPiecesMax,
  answersBytesMax,
  pieceBytes,
  flushBytes,
  turnPieceBytes,
  shareStepMs,
} = HUB_LIMITS;

/** Reasons that a client of version 2 is told, behind its queued frames. For the others the connection is cut. */
const TOLD_REASONS: ReadonlySet<CloseReason> = new Set<CloseReason>([
  "malformedFrame",
  "frameTooLarge",
  "unknownType",
  "unauthorized",
  "tooManyGuesses",
  "clientsMax",
  "stopping",
]);

/** If a wake-up is later than this, the hub was busy, and what it knows of its receivers is old. */
const LATE_MS = 20;

/** Queues frames for their receivers, and begins and ends sessions. */
export class Delivery {
  readonly flow: FlowControl;
  /** An outbox with fewer bytes is below all of its limits. */
  readonly #checkBytes: number;

  /** @param onLinkFault called instead of closing the session of a link to another hub */
  constructor(
    private readonly state: HubState,
    private readonly onLinkFault: (hub: RemoteHub, reason: CloseReason) => void,
  ) {
    this.#checkBytes = Math.min(flushBytes, state.options.outboxMax / 2);
    this.flow = new FlowControl(state, this);
  }

  /** Queues each piece once for each receiver; the machine owns the pieces from now on. */
  deliver(pieces: readonly Piece[], receivers: readonly Session[]): void {
    const { state } = this;
    const { nowMs, memory } = state;
    for (const piece of pieces) {
      memory.add(receivers.length * pieceBytes);
      state.turnBytes += receivers.length * (piece.size + turnPieceBytes);
      piece.backing.hold(receivers.length);
      piece.receipt?.expect(receivers.length);
      for (const receiver of receivers) receiver.outbox.push(piece, nowMs);
      piece.backing.release();
    }
    // After all pushes: a receiver that is closed here may be listed twice.
    for (const receiver of receivers) {
      if (!receiver.dirty || receiver.outbox.bytes >= this.#checkBytes) this.#queued(receiver);
    }
  }

  /** Queues one frame of the hub itself. */
  answer(session: Session, frame: Buffer): void {
    if (session.open) this.#tell([session], frame);
  }

  /** Queues one frame for all other hubs. */
  tellHubs(frame: () => Buffer): void {
    const { hubs } = this.state.remotes;
    if (hubs.size === 0) return;
    const bytes = frame();
    for (const { session } of hubs) this.answer(session, bytes);
  }

  /** @param about the client that the frame is about, which is not told */
  tellWatchers(frame: Buffer, about?: Session): void {
    const watchers = [...this.state.watchers].filter((session) => session !== about);
    if (watchers.length > 0) this.#tell(watchers, frame);
  }

  /** Makes a client visible to others. */
  list(session: Session): void {
    this.state.roster.add(session);
    this.tellHubs(() => clientFrame(session));
  }

  /** Tells watchers of a client, at its first frame: by then it has said its name. */
  announce(session: Session): void {
    session.announced = true;
    this.tellHubs(() => clientFrame(session));
    if (this.state.watchers.size > 0) this.tellWatchers(presenceFrame(session.id, session.name), session);
  }

  /** Ends a session; the shell ends its connection. Messages of a client that left by itself are still delivered. */
  close(session: Session, reason: CloseReason, flush = TOLD_REASONS.has(reason)): void {
    if (!session.open) return;
    if (session.link !== undefined) {
      this.onLinkFault(session.link, reason);
      return;
    }
    const { roster, groups, watchers, effects } = this.state;
    const left = reason === "clientClosed" || reason === "connectionLost";
    if (!left || session.pausedFor === undefined) this.stopSending(session);
    if (TOLD_REASONS.has(reason) && session.version > 1) this.answer(session, goodbyeFrame(reason));
    session.open = false;
    session.closeReason = reason;
    if (session.listed) this.tellHubs(() => goneFrame(session.id, reason));
    roster.remove(session);
    groups.leaveAll(session);
    watchers.delete(session);
    this.flow.removeReceiver(session);
    if (session.pausedFor === "share" || session.pausedFor === "answers") this.flow.resume([session]);
    if (!flush) session.outbox.drop();
    effects.close(session, flush);
    if (session.announced) this.tellWatchers(presenceFrame(session.id, session.name, reason), session);
  }

  /** Ends a session at once. One that is closed, and whose outbox is still written, loses the rest. */
  cut(session: Session, reason: CloseReason): void {
    if (session.open) {
      this.close(session, reason, false);
      return;
    }
    if (session.outbox.bytes === 0) return;
    session.closeReason = reason;
    session.outbox.drop();
    this.state.effects.close(session, false);
  }

  /** Ignores everything that the session sends, its queued input included. */
  stopSending(session: Session): void {
    session.sending = false;
    session.inbox.drop();
    session.run?.end();
    // They hold other sessions, which may have left too.
    session.recipients = undefined;
    this.flow.removeSender(session);
  }

  #tell(receivers: readonly Session[], frame: Buffer): void {
    this.deliver([new Piece(frame, 1, new Backing(frame.length, this.state.memory))], receivers);
  }

  #queued(session: Session): void {
    if (!session.open) return;
    const { outbox } = session;
    const { effects, options } = this.state;
    if (!session.dirty) effects.markDirty(session);
    if (outbox.bytes < this.#checkBytes) return;
    if (!session.urgent && !outbox.inFlight && outbox.bytes >= flushBytes) effects.markUrgent(session);
    const { outboxMax } = options;
    if (2 * outbox.bytes <= outboxMax && 2 * outbox.pieces <= outboxPiecesMax) return;
    this.flow.congested(session);
    if (outbox.bytes <= outboxMax && outbox.pieces <= outboxPiecesMax) return;
    // A receiver that still takes bytes may exceed the limit: by answers and events, for which no sender pauses, or by one
    // large message.
    const isStalled = session.stalledMs(this.state.nowMs) >= this.flow.patienceOf(session);
    if (session.frozen || isStalled) this.close(session, "slowConsumer");
  }
}

/**
 * Backpressure. A sender pauses (the hub does not read it, its message is not queued) while a receiver of its message
 * is over half of its limit (`congested`) and still takes bytes (not `frozen`). The sender resumes when the receiver is
 * well below half, or frozen.
 */
class FlowControl {
  /** Senders that can resume; the machine empties the list. */
  readonly ready: Session[] = [];
  readonly memoryQueue: MemoryQueue;
  /** Senders whose next frame exceeds this turn, in the order in which they resume. */
  #forTurn: Session[] = [];
  /** Senders that had some of this turn; they resume behind `#forTurn`. */
  #hadTurn: Session[] = [];
  /** Senders that the last turn left over; the first of them at the end. */
  #leftOver: Session[] = [];
  /** Clients whose requests exceed their share. */
  readonly #forShare = new ShareQueue();
  #stopping = false;
  readonly #congested = new Set<Session>();
  #postponed = false;
  /** The instant (epoch ms) at which a receiver may count as frozen. */
  #stallCheckAtMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {
    this.memoryQueue = new MemoryQueue(state, delivery);
  }

  /** The instant (epoch ms) at which time alone lets a sender resume. */
  get wakeAtMs(): number {
    return Math.min(this.#stallCheckAtMs, this.#forShare.wakeAtMs);
  }

  get congestedCount(): number {
    return this.#congested.size;
  }

  /** Marks a receiver whose outbox exceeds half of its limit. */
  congested(session: Session): void {
    if (session.congested) return;
    session.congested = true;
    this.#congested.add(session);
  }

  /** Bytes have left the outbox of a session. */
  progressed(session: Session): void {
    session.answerBytes = Math.min(session.answerBytes, session.outbox.bytes);
    if (session.pausedFor === "answers" && session.answerBytes <= answersBytesMax / 2) this.resume([session]);
    if (!session.congested) return;
    if (session.frozen) session.revivals += 1;
    session.frozen = false;
    const { bytes, pieces } = session.outbox;
    // Half less an eighth: a write that makes room for one message does not wake all senders.
    if (bytes > (this.state.options.outboxMax * 3) / 8 || pieces > (outboxPiecesMax * 3) / 8) return;
    session.congested = false;
    session.revivals = 0;
    this.#congested.delete(session);
    this.#resumeWaiters(session);
  }

  /** The first congested receiver; undefined when every receiver can take more or is frozen. */
  blockerOf(recipients: Recipients): Session | undefined {
    if (this.#congested.size === 0) return undefined;
    const local = recipients.v1.find(holdsUp) ?? recipients.v2.find(holdsUp);
    return local ?? recipients.remote.find(({ hub }) => holdsUp(hub.session))?.hub.session;
  }

  /** Whether that session is congested, so that an answer would only make its outbox fuller. */
  holdsUp(session: Session): boolean {
    return this.#congested.size > 0 && holdsUp(session);
  }

  pauseForReceiver(sender: Session, receiver: Session): void {
    receiver.waiters.push(sender);
    this.pause(sender, "receiver");
    this.#stallCheckAtMs = Math.min(
      this.#stallCheckAtMs,
      receiver.outbox.progressAtMs + this.patienceOf(receiver),
    );
  }

  /** Pauses until the client's own hub releases it. */
  pauseForRemote(sender: Session, client: RemoteClient): void {
    client.waiters.push(sender);
    this.pause(sender, "receiver");
  }

  /** The senders of another hub pause for that outbox. @param link to that hub */
  pauseLink(session: Session, link: Session): void {
    session.pausedLinks ??= new Set();
    if (session.pausedLinks.has(link)) return;
    session.pausedLinks.add(link);
    this.delivery.answer(link, idFrame(LINK_FRAME.hold, session.id));
    this.#stallCheckAtMs = Math.min(
      this.#stallCheckAtMs,
      session.outbox.progressAtMs + this.patienceOf(session),
    );
  }

  pauseForMemory(sender: Session): void {
    this.memoryQueue.add(sender);
    this.pause(sender, "memory");
    this.#stallCheckAtMs = Math.min(this.#stallCheckAtMs, this.state.nowMs + patienceMs);
  }

  pauseForShare(sender: Session): void {
    this.#forShare.add(sender, this.state.nowMs + sender.share.requestWaitMs);
    this.pause(sender, "share");
  }

  /** @param hadSome the sender has used some of this turn: in the next one it comes behind those that waited */
  pauseForTurn(sender: Session, hadSome: boolean): void {
    (hadSome ? this.#hadTurn : this.#forTurn).push(sender);
    this.#endPause(sender);
    this.pause(sender, "turn");
  }

  pause(sender: Session, reason: PauseReason): void {
    sender.pausedFor = reason;
    if (reason !== "turn" && sender.pausedAtMs === 0) {
      sender.pauses += 1;
      sender.pausedAtMs = this.state.nowMs;
    }
    this.setReading(sender, false);
  }

  /** The hub shuts down: no session is read again. */
  stop(sessions: Iterable<Session>): void {
    this.#stopping = true;
    for (const session of sessions) this.setReading(session, false);
  }

  setReading(session: Session, reading: boolean): void {
    if (session.reading === reading || (reading && this.#stopping)) return;
    session.reading = reading;
    const { nowMs } = this.state;
    if (reading) {
      session.parked = false;
      this.#endPause(session);
      const unreadMs = nowMs - session.unreadAtMs;
      // Deadlines do not run while the hub does not read.
      if (session.frameBeganAtMs > 0) session.frameBeganAtMs += unreadMs;
      if (session.pingSentAtMs > 0) session.pingSentAtMs += unreadMs;
      session.heardAtMs += unreadMs;
    } else session.unreadAtMs = nowMs;
    this.state.effects.setReading(session);
  }

  /** A new turn begins: senders that the last one left over come before new input. */
  turned(): void {
    this.#leftOver = [...this.#forTurn, ...this.#hadTurn].reverse();
    this.#forTurn = [];
    this.#hadTurn = [];
  }

  get hasLeftOver(): boolean {
    return this.#leftOver.length > 0;
  }

  /** One at a time, so that the clock is looked at in between. Those that this turn has no room for wait for the next. */
  resumeLeftOver(): void {
    if (this.state.turnSpent) {
      this.#forTurn = [...this.#leftOver.reverse(), ...this.#forTurn];
      this.#leftOver = [];
      return;
    }
    const next = this.#leftOver.pop();
    if (next === undefined) return;
    // The stream of the sender hands over two chunks before the sender can be paused again. Both count now, each as long as
    // the last one.
    this.state.turnBytes += HUB_LIMITS.turnReceivedFactor * 2 * next.chunkBytes;
    this.resume([next]);
  }

  /** The session receives no more: its waiters resume. */
  removeReceiver(session: Session): void {
    session.congested = false;
    this.#congested.delete(session);
    this.#resumeWaiters(session);
  }

  removeSender(session: Session): void {
    if (session.pausedFor === "memory") this.memoryQueue.delete(session);
    if (session.pausedFor === "share") this.#forShare.delete(session);
    session.pausedFor = undefined;
  }

  /**
   * How long a receiver may take nothing. Under `evict`, the time doubles each time that the receiver counted as frozen
   * and then took bytes: a reader that takes bytes every 300 ms would otherwise let in a burst at each of its pauses, up to
   * its limit.
   */
  patienceOf({ revivals }: Session): number {
    if (this.state.options.slowConsumer === "wait") return this.#patienceMs();
    return patienceMs * 2 ** Math.min(revivals, revivalsMax);
  }

  woke(): void {
    const { nowMs } = this.state;
    this.resume(this.#forShare.due(nowMs));
    if (nowMs >= this.#stallCheckAtMs) this.#checkStalls();
  }

  /** Finds receivers that took nothing for too long. */
  #checkStalls(): void {
    const { nowMs, options } = this.state;
    // The hub was busy and does not yet know what receivers took meanwhile: look again in a moment.
    this.#postponed = !this.#postponed && nowMs > this.#stallCheckAtMs + LATE_MS;
    if (this.#postponed) {
      this.#stallCheckAtMs = nowMs + LATE_MS;
      return;
    }
    this.#stallCheckAtMs = Number.POSITIVE_INFINITY;
    for (const session of [...this.#congested]) {
      if (session.waiters.length === 0 && !session.pausedLinks?.size) continue;
      const leftMs = this.patienceOf(session) - session.stalledMs(nowMs);
      if (leftMs > 0) this.#stallCheckAtMs = Math.min(this.#stallCheckAtMs, nowMs + leftMs);
      else if (options.slowConsumer === "wait") this.delivery.close(session, "slowConsumer");
      else {
        session.frozen = true;
        this.#resumeWaiters(session);
      }
    }
    if (this.memoryQueue.isWanted) {
      this.memoryQueue.evictSlowest(this.#patienceMs());
      this.#stallCheckAtMs = Math.min(this.#stallCheckAtMs, nowMs + patienceMs / 5);
    }
  }

  #endPause(session: Session): void {
    if (session.pausedAtMs > 0) session.pausedMs += this.state.nowMs - session.pausedAtMs;
    session.pausedAtMs = 0;
  }

  #resumeWaiters(receiver: Session): void {
    const links = receiver.pausedLinks ?? [];
    receiver.pausedLinks = undefined;
    for (const link of links) this.delivery.answer(link, idFrame(LINK_FRAME.release, receiver.id));
    if (receiver.waiters.length === 0) return;
    const waiters = receiver.waiters;
    receiver.waiters = [];
    this.resume(waiters);
  }

  resume(senders: readonly Session[]): void {
    for (const sender of senders) {
      if (sender.pausedFor === undefined || !sender.sending) continue;
      sender.pausedFor = undefined;
      this.ready.push(sender);
    }
  }

  #patienceMs(): number {
    const { slowConsumer, stallTimeoutMs } = this.state.options;
    return slowConsumer === "wait" ? stallTimeoutMs : patienceMs;
  }
}

function holdsUp(session: Session): boolean {
  return session.congested && !session.frozen && session.open;
}

/** Senders that wait for memory for their next frame, and the choice of a client to close when none comes free. */
class MemoryQueue {
  #wanting: Session[] = [];
  /** The most that was in use when a sender was refused memory, since senders last resumed. */
  #refusedAtBytes = 0;

  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {}

  get isWanted(): boolean {
    return this.#wanting.length > 0;
  }

  add(sender: Session): void {
    this.#wanting.push(sender);
    this.#refusedAtBytes = Math.max(this.#refusedAtBytes, this.state.memory.usedBytes);
  }

  delete(sender: Session): void {
    this.#wanting = this.#wanting.filter((waiter) => waiter !== sender);
  }

  /** Resumes senders in their order when memory came free. A large frame may not fit although there is room. */
  freed(): void {
    const { usedBytes, hasRoomAgain } = this.state.memory;
    if (this.#wanting.length === 0 || !hasRoomAgain || usedBytes >= this.#refusedAtBytes) return;
    this.#refusedAtBytes = 0;
    this.delivery.flow.resume(this.#wanting.splice(0));
  }

  /**
   * The budget is used up: closes the client longest without progress, if that exceeds the patience.
   * @param patienceMs how long a receiver may take nothing
   */
  evictSlowest(patienceMs: number): void {
    const { nowMs, memory } = this.state;
    this.freed();
    if (this.#wanting.length === 0) return;
    let slowest: Session | undefined;
    let slowestAtMs = nowMs;
    const look = (session: Session): void => {
      const progressAtMs = progressAt(session);
      if (progressAtMs >= slowestAtMs) return;
      slowest = session;
      slowestAtMs = progressAtMs;
    };
    // Not those without a token yet, which hold next to nothing; but those that have ended and are still written to.
    for (const session of this.state.sessions) if (session.refusal === undefined) look(session);
    for (const { session } of this.state.remotes.hubs) look(session);
    if (slowest === undefined) {
      // Nothing is queued and no frame is unfinished: paused senders hold all memory. One of them exceeds the budget.
      memory.exceptions = 1;
      this.delivery.flow.resume(this.#wanting.splice(0, 1));
    } else if (nowMs - slowestAtMs >= Math.max(patienceMs, HUB_LIMITS.memoryPatienceMs))
      this.delivery.cut(slowest, "memoryBudget");
  }
}

/**
 * Since when the outbox, or an unfinished frame, has made no progress, or requests wait for their share; Infinity
 * when none of these applies.
 */
function progressAt(session: Session): number {
  const { outbox, pausedFor, inbox } = session;
  const queueAtMs = outbox.bytes > 0 ? outbox.progressAtMs : Number.POSITIVE_INFINITY;
  const sends = session.link === undefined && session.reading && inbox.midFrame;
  const frameAtMs = sends ? session.heardAtMs : Number.POSITIVE_INFINITY;
  const asks = pausedFor === "share" || pausedFor === "answers";
  return Math.min(queueAtMs, frameAtMs, asks ? session.unreadAtMs : Number.POSITIVE_INFINITY);
}

/** Clients that wait for their share to grow. They resume in steps, so that not each one causes a wake-up. */
class ShareQueue {
  /** Epoch ms; `Infinity` while no client waits. */
  wakeAtMs = Number.POSITIVE_INFINITY;
  readonly #untilMs = new Map<Session, number>();

  add(client: Session, untilMs: number): void {
    this.#untilMs.set(client, untilMs);
    this.#wakeFor(untilMs);
  }

  delete(client: Session): void {
    this.#untilMs.delete(client);
  }

  /** Removes and returns the clients whose wait is over. */
  due(nowMs: number): Session[] {
    const due: Session[] = [];
    if (nowMs < this.wakeAtMs) return due;
    this.wakeAtMs = Number.POSITIVE_INFINITY;
    for (const [client, untilMs] of this.#untilMs) {
      if (untilMs <= nowMs) due.push(client);
      else this.#wakeFor(untilMs);
    }
    for (const client of due) this.#untilMs.delete(client);
    return due;
  }

  #wakeFor(untilMs: number): void {
    this.wakeAtMs = Math.min(this.wakeAtMs, Math.ceil(untilMs / shareStepMs) * shareStepMs);
  }
}
