import type { CloseReason } from "./close-reason.js";
import { Deadlines, TICK_MS } from "./deadlines.js";
import type { Effects } from "./effects.js";
import { FRAME } from "./frame-type.js";
import { Inbox } from "./inbox.js";
import { HUB_LIMITS } from "./limits.js";
import { MACHINE_DEFAULTS, type MachineOptions } from "./options.js";
import { Outbox } from "./outbox.js";
import { type Outcome, Relay } from "./relay.js";
import { Requests } from "./requests.js";
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
  readonly #relay: Relay;
  readonly #requests: Requests;
  readonly #deadlines: Deadlines;
  #tickAtMs = Number.POSITIVE_INFINITY;

  constructor(options: Partial<MachineOptions> = {}) {
    this.#board = new Switchboard({ ...MACHINE_DEFAULTS, ...options });
    this.#relay = new Relay(this.#board);
    this.#requests = new Requests(this.#board);
    this.#deadlines = new Deadlines(this.#board);
  }

  get effects(): Effects {
    return this.#board.effects;
  }

  get memory(): { readonly usedBytes: number; readonly peakBytes: number; readonly maxBytes: number } {
    return this.#board.memory;
  }

  /** Clients that others can see. */
  get listed(): number {
    return this.#board.roster.size;
  }

  get groups(): number {
    return this.#board.groups.size;
  }

  /** The instant (epoch ms) at which the machine wants `woke`; `Infinity` when it waits for nothing. */
  get wakeAtMs(): number {
    return Math.min(this.#tickAtMs, this.#board.waiting.wakeAtMs);
  }

  /** A connection stands. */
  connected(nowMs: number): Session {
    const { options, roster, memory, joins } = this.#begin(nowMs);
    const id = roster.nextId();
    const session = new Session(id, new Inbox(memory), new Outbox(id, memory, joins), nowMs);
    this.sessions.add(session);
    if (roster.size >= options.clientsMax) session.refusal = "clientsMax";
    else if (options.tokenMatches !== undefined) session.refusal = "unauthorized";
    if (session.refusal === undefined) roster.add(session);
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
    this.#pump(session);
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
        this.#pump(session);
        if (session.hold !== undefined) continue;
        if (session.open) waiting.setReading(session, true);
        else this.#board.stopSending(session);
      }
      waiting.memoryFreed();
    }
  }

  /** Takes the frames that have come from it, until there are no more or it is held. */
  #pump(session: Session): void {
    const { inbox } = session;
    const { waiting, memory } = this.#board;
    while (session.sending && session.hold === undefined) {
      const found = inbox.peek();
      if (found === "frame") {
        if (this.#board.turnSpent) {
          waiting.forNextTurn(session);
          return;
        }
        const outcome = this.#frame(session);
        if (outcome === "held") return;
        if (outcome !== "done") {
          this.#refuse(session, outcome);
          return;
        }
        session.framesIn += 1;
        session.frameBeganAtMs = 0;
        if (session.sending) inbox.advance();
        continue;
      }
      // Before a frame is begun: a sender that waits holds one frame in memory, not two.
      if (!this.#relay.endRun(session) || !session.sending) return;
      if (found === "begins") {
        if (inbox.begin()) continue;
        waiting.forRoom(session);
      } else if (found !== "more") this.#refuse(session, found);
      else if (memory.full && !inbox.midFrame) waiting.forRoom(session);
      else session.frameBeganAtMs = inbox.midFrame ? session.frameBeganAtMs || this.#board.nowMs : 0;
      return;
    }
  }

  /** What it sent before the fault is still delivered, if it must wait for that. */
  #refuse(session: Session, reason: CloseReason): void {
    if (this.#relay.endRun(session)) this.#board.close(session, reason);
  }

  #frame(session: Session): Outcome {
    const { inbox } = session;
    const type = inbox.buffer[inbox.start + 4]!;
    if (session.refusal !== undefined && type !== FRAME.hello) return session.refusal;
    // Messages first: they are what the hub is for.
    if (type === FRAME.relay) return this.#relay.plain(session);
    if (session.version > 1) {
      if (type === FRAME.namedRelay) return this.#relay.named(session);
      if (type === FRAME.toAll) return this.#relay.toAll(session);
      if (type === FRAME.toGroup) return this.#relay.toGroup(session);
    }
    if (!this.#relay.endRun(session)) return "held";
    if (this.#board.waiting.holdsUp(session)) {
      // Its own answers would only make its full outbox fuller.
      this.#board.waiting.forReceiver(session, session);
      return "held";
    }
    const outcome = this.#request(session, type);
    if (!session.announced && outcome === "done") this.#board.announce(session);
    return outcome;
  }

  #request(session: Session, type: number): Outcome {
    if (type === FRAME.identity) return this.#requests.identity(session);
    if (type === FRAME.list) return this.#requests.list(session);
    if (type === FRAME.hello) return this.#requests.hello(session);
    if (session.version < 2) return "unknownType";
    switch (type) {
      case FRAME.join:
        return this.#requests.join(session);
      case FRAME.leave:
        return this.#requests.leave(session);
      case FRAME.roster:
        return this.#requests.roster(session);
      case FRAME.ping:
        return this.#requests.ping(session);
      case FRAME.pong:
        return this.#requests.pong(session);
      default:
        return "unknownType";
    }
  }
}
