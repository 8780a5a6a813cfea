import { Groups, type IdSource, RemoteHubs, Roster } from "./clients.js";
import type { CloseReason } from "./frames.js";
import { HUB_LIMITS } from "./limits.js";
import { FrameBuffers, MemoryBudget } from "./memory.js";
import { JoinBuffers } from "./outbox.js";
import type { Session, SessionView } from "./session.js";

export type SlowConsumer = "evict" | "wait";

/** Options of the machine, as `HubOptions` explains each. */
export interface MachineOptions {
  readonly name: string;
  readonly slowConsumer: SlowConsumer;
  readonly outboxMax: number;
  readonly stallTimeoutMs: number;
  readonly memoryMax: number;
  readonly clientsMax: number;
  readonly handshakeTimeoutMs: number;
  readonly frameTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly progressTimeoutMs: number;
  /** The reason to refuse the token of a hello, or undefined; absent when no token is required. */
  readonly refuseToken?: (token: Buffer, session: SessionView) => CloseReason | undefined;
  /** The source of ids; absent: 1, 2, 3 ... */
  readonly ids?: IdSource;
}

export const MACHINE_DEFAULTS: MachineOptions = {
  name: "hubcast",
  slowConsumer: "evict",
  outboxMax: HUB_LIMITS.outboxMax,
  stallTimeoutMs: HUB_LIMITS.stallTimeoutMs,
  memoryMax: HUB_LIMITS.memoryMax,
  clientsMax: HUB_LIMITS.clientsMax,
  handshakeTimeoutMs: HUB_LIMITS.handshakeTimeoutMs,
  frameTimeoutMs: HUB_LIMITS.frameTimeoutMs,
  pingIntervalMs: HUB_LIMITS.pingIntervalMs,
  pingTimeoutMs: HUB_LIMITS.pingTimeoutMs,
  progressTimeoutMs: HUB_LIMITS.progressTimeoutMs,
};

/** The tables, budgets and effects that all parts of the machine share. */
export class HubState {
  nowMs = 0;
  /** Work since the turn began, as `turnBytesMax` counts it, and the part of it that requests caused. */
  turnBytes = 0;
  turnRequestBytes = 0;
  /** When this turn takes no more frames, epoch ms. */
  #turnEndsAtMs = 0;
  /** Every connection, oldest first, also those that are not listed. */
  readonly sessions = new Set<Session>();
  readonly roster: Roster;
  readonly groups: Groups;
  readonly effects = new Effects();
  readonly memory: MemoryBudget;
  readonly frames: FrameBuffers;
  readonly joins: JoinBuffers;
  /** Other hubs and their clients. */
  readonly remotes = new RemoteHubs();
  /** Sessions that receive presence frames. */
  readonly watchers = new Set<Session>();

  constructor(readonly options: MachineOptions) {
    this.roster = new Roster(options.ids);
    this.groups = new Groups(this.roster);
    this.memory = new MemoryBudget(options.memoryMax);
    this.frames = new FrameBuffers(this.memory);
    this.joins = new JoinBuffers(this.memory);
  }

  /** Whether this turn takes no more frames. */
  get turnSpent(): boolean {
    return this.turnBytes >= HUB_LIMITS.turnBytesMax || this.nowMs >= this.#turnEndsAtMs;
  }

  /**
   * The part of its share, in bytes of work, that a client must have unused to be served in a turn that is spent. All shares
   * together allow more work than the hub can do, and the share of a client that waits grows. So in a turn that is beyond its
   * limits by half, the hub serves only clients that have nearly all of their burst unused.
   */
  get sharesReserve(): number {
    const { turnBytesMax, turnMsMax, shareBurstBytes } = HUB_LIMITS;
    const byWork = this.turnBytes / turnBytesMax - 1;
    const byTime = (this.nowMs - this.#turnEndsAtMs) / turnMsMax;
    return Math.max(byWork, byTime) < 1 / 2 ? 0 : (7 / 8) * shareBurstBytes;
  }

  /** Takes the time of an input. A turn begins with its first work: the event loop may have slept before. */
  setNow(nowMs: number): void {
    this.nowMs = nowMs;
    if (this.turnBytes === 0) this.#turnEndsAtMs = nowMs + HUB_LIMITS.turnMsMax;
  }

  /** A write took so long, which does not count: writes have a limit of their own (`turnWriteBytesMax`). */
  extendTurn(ms: number): void {
    this.#turnEndsAtMs += ms;
  }

  beginTurn(): void {
    this.turnBytes = 0;
    this.turnRequestBytes = 0;
    this.setNow(this.nowMs);
  }
}

/** How a connection ends: after its outbox has been written, or at once. */
interface Closing {
  readonly session: SessionView;
  readonly flush: boolean;
}

/**
 * Orders to the shell, collected by kind and not by delivery. The shell carries out `flushUrgent`, `takeReading`
 * and `takeClosing` after each input, and `flushDirty` at the end of the turn of the event loop, followed by the inputs
 * `turned` and `continued`.
 */
export class Effects {
  readonly #dirty: Session[] = [];
  readonly #urgent: Session[] = [];
  readonly #reading: Session[] = [];
  readonly #closing: Closing[] = [];

  /** Whether something has to be carried out now. */
  get pending(): boolean {
    return this.#urgent.length + this.#reading.length + this.#closing.length > 0;
  }

  get hasDirty(): boolean {
    return this.#dirty.length > 0;
  }

  /** Flushes each outbox that has something to write. */
  flushDirty(flush: (session: SessionView) => void): void {
    for (const session of this.#dirty.splice(0)) {
      session.dirty = false;
      flush(session);
    }
  }

  /** Flushes each outbox that has so much to write that it does not wait for the end of the turn. */
  flushUrgent(flush: (session: SessionView) => void): void {
    for (const session of this.#urgent.splice(0)) {
      session.urgent = false;
      flush(session);
    }
  }

  /** Sessions whose `reading` has changed. */
  takeReading(): SessionView[] {
    return this.#reading.splice(0);
  }

  takeClosing(): Closing[] {
    return this.#closing.splice(0);
  }

  markDirty(session: Session): void {
    session.dirty = true;
    this.#dirty.push(session);
  }

  markUrgent(session: Session): void {
    session.urgent = true;
    this.#urgent.push(session);
  }

  setReading(session: Session): void {
    this.#reading.push(session);
  }

  close(session: Session, flush: boolean): void {
    this.#closing.push({ session, flush });
  }
}
