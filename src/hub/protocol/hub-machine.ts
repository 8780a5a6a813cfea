import type { CloseReason } from "./close-reason.js";
import { Deadlines, TICK_MS } from "./deadlines.js";
import type { Effects } from "./effects.js";
import { Frames } from "./frames.js";
import { Inbox } from "./inbox.js";
import { HUB_LIMITS } from "./limits.js";
import type { RemoteHub } from "./links/remote-hub.js";
import type { RemoteHubs } from "./links/remote-hubs.js";
import type { MemoryBudget } from "./memory.js";
import { MACHINE_DEFAULTS, type MachineOptions } from "./options.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";
import { Switchboard } from "./switchboard.js";

/**
 * The hub without its sockets: facts in by the methods below, orders out by `effects`. It has no clock: whoever
 * runs it says what time it is, and calls `woke` at `wakeAtMs`.
 */
export class HubMachine {
  /** Every connection, oldest first, also those that are not listed. */
  readonly sessions = new Set<Session>();
  readonly #board: Switchboard;
  readonly #frames: Frames;
  readonly #deadlines: Deadlines;
  #tickAtMs = Number.POSITIVE_INFINITY;

  constructor(options: Partial<MachineOptions> = {}) {
    this.#board = new Switchboard({ ...MACHINE_DEFAULTS, ...options });
    this.#frames = new Frames(this.#board);
    this.#deadlines = new Deadlines(this.#board);
  }

  get effects(): Effects {
    return this.#board.effects;
  }

  get memory(): MemoryBudget {
    return this.#board.memory;
  }

  /** Clients that others can see. */
  get listed(): number {
    return this.#board.roster.size;
  }

  get groups(): number {
    return this.#board.groups.size;
  }

  /** Other hubs and their clients. */
  get remotes(): RemoteHubs {
    return this.#board.remotes;
  }

  /** Whether one more may connect. */
  get hasIds(): boolean {
    return this.#board.roster.hasIds;
  }

  /** The instant (epoch ms) at which the machine wants `woke`; `Infinity` when it waits for nothing. */
  get wakeAtMs(): number {
    return Math.min(this.#tickAtMs, this.#board.waiting.wakeAtMs);
  }

  /** A connection stands. */
  connected(nowMs: number): Session {
    const { options, roster, memory, frames, joins } = this.#begin(nowMs);
    const id = roster.nextId();
    const session = new Session(id, new Inbox(frames), new Outbox(id, memory, joins), nowMs);
    this.sessions.add(session);
    if (roster.size >= options.clientsMax) session.refusal = "clientsMax";
    else if (options.tokenMatches !== undefined) session.refusal = "unauthorized";
    if (session.refusal === undefined) this.#board.list(session);
    else session.inbox.frameBytesMax = 4 + HUB_LIMITS.nameBytesMax + HUB_LIMITS.tokenBytesMax;
    if (this.#tickAtMs === Number.POSITIVE_INFINITY) this.#tickAtMs = nowMs + TICK_MS;
    return session;
  }

  /** Bytes came from it. The chunk belongs to the machine from now on and is written to. */
  received(session: Session, chunk: Buffer, nowMs: number): void {
    this.#begin(nowMs);
    if (!session.sending) return;
    session.bytesIn += chunk.length;
    this.#board.turnBytes += chunk.length;
    session.heardAtMs = nowMs;
    session.inbox.push(chunk);
    this.#frames.pump(session);
    this.#goOn();
  }

  /** The kernel took the batch that its outbox had handed over; `atOnce`: within the write. */
  sent(session: Session, nowMs: number, atOnce: boolean): void {
    this.#begin(nowMs);
    session.outbox.settle(nowMs, atOnce);
    this.#board.waiting.progressed(session);
    this.#goOn();
  }

  /** It sends no more (FIN). What is queued for it is still written, and what waits of it is still delivered. */
  ended(session: Session, nowMs: number): void {
    this.#begin(nowMs).close(session, "clientClosed", true);
    this.#goOn();
  }

  /** Its connection ended, whoever ended it. */
  disconnected(session: Session, reason: CloseReason, nowMs: number): void {
    this.#begin(nowMs);
    this.#board.close(session, reason);
    session.outbox.drop();
    this.sessions.delete(session);
    if (this.sessions.size === 0) this.#tickAtMs = Number.POSITIVE_INFINITY;
    this.#goOn();
  }

  /** The hub ends it. */
  close(session: Session, reason: CloseReason, nowMs: number): void {
    this.#begin(nowMs);
    this.#board.close(session, reason);
    this.#goOn();
  }

  /** The hub shuts down: nothing more is read; what is queued is still to be written. */
  stopReading(nowMs: number): void {
    this.#begin(nowMs);
    const { waiting } = this.#board;
    waiting.stopping = true;
    for (const session of this.sessions) waiting.setReading(session, false);
  }

  woke(nowMs: number): void {
    this.#begin(nowMs);
    this.#board.waiting.woke();
    if (nowMs >= this.#tickAtMs) {
      this.#tickAtMs = nowMs + TICK_MS;
      this.#deadlines.check(this.sessions);
    }
    this.#goOn();
  }

  /** Whether the shell owes `turned` at the end of this turn of the event loop. */
  get worked(): boolean {
    return this.#board.turnBytes > 0;
  }

  /** A turn of the event loop is over, and its queues are flushed: what was too much for it goes on. */
  turned(nowMs: number): void {
    const board = this.#begin(nowMs);
    board.turnBytes = 0;
    board.waiting.turned();
    this.#goOn();
  }

  /** Another hub is there: what is queued for its session is to be brought there as a stream of bytes. */
  hubCame(key: string, name: string, nowMs: number): RemoteHub {
    const hub = this.#begin(nowMs).links.begin(key, name);
    this.#goOn();
    return hub;
  }

  hubWent(hub: RemoteHub, reason: "hubLost" | "stopping", nowMs: number): void {
    this.#begin(nowMs).links.end(hub, reason);
    this.#goOn();
  }

  /** The stream to another hub cannot go on where it was, and begins anew. */
  hubMissed(hub: RemoteHub, nowMs: number): void {
    this.#begin(nowMs).links.restart(hub);
    this.#goOn();
  }

  /** The stream from another hub begins, and perhaps not for the first time. */
  hubBegan(hub: RemoteHub, nowMs: number): void {
    this.#begin(nowMs).links.streamBegan(hub);
    this.#goOn();
  }

  #begin(nowMs: number): Switchboard {
    this.#board.nowMs = nowMs;
    return this.#board;
  }

  /** Those whose wait is over go on, which may end the wait of others. */
  #goOn(): void {
    const { waiting } = this.#board;
    waiting.memoryFreed();
    while (waiting.ready.length > 0) {
      for (const session of waiting.ready.splice(0)) {
        this.#frames.pump(session);
        if (session.hold !== undefined) continue;
        if (session.open) waiting.setReading(session, true);
        else this.#board.stopSending(session);
      }
      waiting.memoryFreed();
    }
  }
}
