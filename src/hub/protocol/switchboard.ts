import type { CloseReason } from "./close-reason.js";
import { Effects } from "./effects.js";
import { goodbyeFrame, presenceFrame } from "./encode.js";
import { FrameBuffers } from "./frame-buffers.js";
import { Groups } from "./groups.js";
import { JoinBuffers } from "./join.js";
import { HUB_LIMITS } from "./limits.js";
import { Links } from "./links/links.js";
import { RemoteHubs } from "./links/remote-hubs.js";
import { Backing, MemoryBudget } from "./memory.js";
import type { MachineOptions } from "./options.js";
import { Piece } from "./piece.js";
import { Roster } from "./roster.js";
import type { Session } from "./session.js";
import { Waiting } from "./waiting.js";

const { pieceBytes, flushBytes, outboxPiecesMax, turnBytesMax, turnPieceBytes } = HUB_LIMITS;

/** Reasons that are told to a client of version 2, behind what is queued for it. The others cut it off. */
const TOLD: ReadonlySet<CloseReason> = new Set<CloseReason>([
  "malformedFrame",
  "frameTooLarge",
  "unknownType",
  "unauthorized",
  "clientsMax",
  "stopping",
]);

/** Where sessions, queues and memory meet: queues what is to be delivered, and ends sessions. */
export class Switchboard {
  nowMs = 0;
  /** Work since the turn began; `turnBytesMax` says what counts. */
  turnBytes = 0;
  readonly roster: Roster;
  readonly groups: Groups;
  readonly effects = new Effects();
  readonly memory: MemoryBudget;
  readonly frames: FrameBuffers;
  readonly joins: JoinBuffers;
  readonly waiting: Waiting;
  /** Who is connected to other hubs, and the ways there. */
  readonly remotes = new RemoteHubs();
  readonly links: Links;
  /** Sessions that are told who comes and goes. */
  readonly watchers = new Set<Session>();

  /** An outbox with less than that needs no look at its limits. */
  readonly #lookBytes: number;

  constructor(readonly options: MachineOptions) {
    this.#lookBytes = Math.min(flushBytes, options.outboxMax / 2);
    this.roster = new Roster(options.ids);
    this.groups = new Groups(this.roster);
    this.memory = new MemoryBudget(options.memoryMax);
    this.frames = new FrameBuffers(this.memory);
    this.joins = new JoinBuffers(this.memory);
    this.waiting = new Waiting(this);
    this.links = new Links(this);
  }

  /** Whether no more frames are to be taken in this turn. */
  get turnSpent(): boolean {
    return this.turnBytes >= turnBytesMax;
  }

  /** Queues each piece once for each receiver. Takes the pieces over. */
  deliver(pieces: readonly Piece[], receivers: readonly Session[]): void {
    const { nowMs, memory } = this;
    for (const piece of pieces) {
      memory.add(receivers.length * pieceBytes);
      this.turnBytes += receivers.length * (piece.size + turnPieceBytes);
      piece.backing.hold(receivers.length);
      piece.receipt?.expect(receivers.length);
      for (const receiver of receivers) receiver.outbox.push(piece, nowMs);
      piece.backing.release();
    }
    // Only now: a receiver that is closed here may be listed twice.
    for (const receiver of receivers) {
      if (!receiver.dirty || receiver.outbox.bytes >= this.#lookBytes) this.#queued(receiver);
    }
  }

  /** Queues one frame of the hub's own. */
  answer(session: Session, frame: Buffer): void {
    if (session.open) this.deliver([new Piece(frame, 1, new Backing(frame.length, this.memory))], [session]);
  }

  /** Ends a session; the shell ends its connection. What it sent before still counts when it left by itself. */
  close(session: Session, reason: CloseReason, flush = TOLD.has(reason)): void {
    if (!session.open) return;
    if (session.link !== undefined) {
      this.links.fault(session.link, reason);
      return;
    }
    const left = reason === "clientClosed" || reason === "connectionLost";
    if (!left || session.hold === undefined) this.stopSending(session);
    if (TOLD.has(reason) && session.version > 1) this.answer(session, goodbyeFrame(reason));
    session.open = false;
    session.closeReason = reason;
    if (session.listed) this.links.tellGone(session, reason);
    this.roster.remove(session);
    this.groups.leaveAll(session);
    this.watchers.delete(session);
    this.waiting.noLongerReceives(session);
    if (!flush) session.outbox.drop();
    this.effects.closing.push({ session, reason, flush });
    if (session.announced) this.tellWatchers(presenceFrame(session.id, session.name, reason), session);
  }

  /** Others learn that it is there: at its first frame, when it has said its name. */
  announce(session: Session): void {
    session.announced = true;
    this.links.tellClient(session);
    if (this.watchers.size > 0) this.tellWatchers(presenceFrame(session.id, session.name), session);
  }

  /** Others can see it and send to it. */
  list(session: Session): void {
    this.roster.add(session);
    this.links.tellClient(session);
  }

  /** Takes nothing more from it, not even what it has sent. */
  stopSending(session: Session): void {
    session.sending = false;
    session.inbox.drop();
    session.run?.end();
    this.waiting.noLongerSends(session);
  }

  /** @param about the client that this is about, which is not told */
  tellWatchers(frame: Buffer, about?: Session): void {
    if (this.watchers.size === 0) return;
    const watchers = [...this.watchers].filter((session) => session !== about);
    if (watchers.length > 0) {
      this.deliver([new Piece(frame, 1, new Backing(frame.length, this.memory))], watchers);
    }
  }

  #queued(session: Session): void {
    if (!session.open) return;
    const { outbox } = session;
    if (!session.dirty) {
      session.dirty = true;
      this.effects.dirty.push(session);
    }
    if (outbox.bytes < this.#lookBytes) return;
    if (!session.urgent && !outbox.inFlight && outbox.bytes >= flushBytes) {
      session.urgent = true;
      this.effects.now.push(session);
    }
    const { outboxMax } = this.options;
    if (2 * outbox.bytes <= outboxMax && 2 * outbox.pieces <= outboxPiecesMax) return;
    if (outbox.bytes > outboxMax || outbox.pieces > outboxPiecesMax) this.#overLimit(session);
    else this.waiting.congested(session);
  }

  /** Over its limit: it was given up, or does not read answers and events, which wait for nobody; or one message was that large. */
  #overLimit(session: Session): void {
    this.waiting.congested(session);
    const still = session.stillMs(this.nowMs) >= this.waiting.patienceOf(session);
    if (session.frozen || still) this.close(session, "slowConsumer");
  }
}
