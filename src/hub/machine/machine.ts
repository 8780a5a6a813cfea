import type { RemoteHubs } from "./clients.js";
import { Delivery } from "./flow-control.js";
import { type CloseReason, FRAME, pingFrame } from "./frames.js";
import { Inbox } from "./inbox.js";
import { HUB_LIMITS } from "./limits.js";
import { HubLinks } from "./links.js";
import type { MemoryBudget } from "./memory.js";
import { Outbox } from "./outbox.js";
import { LinkReceiver } from "./receive.js";
import { type Outcome, Relay } from "./relay.js";
import { Requests } from "./requests.js";
import { type HubView, type RemoteHub, Session, type SessionView, type Share } from "./session.js";
import { type Effects, HubState, MACHINE_DEFAULTS, type MachineOptions } from "./state.js";

const MESSAGES: ReadonlySet<number> = new Set([FRAME.relay, FRAME.namedRelay, FRAME.toAll, FRAME.toGroup]);

/** A fact that the shell tells the machine. `session` is that of a client or of another hub. */
type HubInput<S = SessionView, H = HubView> =
  /** Bytes arrived. The chunk belongs to the machine from now on and is written to. */
  | { readonly type: "received"; readonly session: S; readonly chunk: Buffer }
  /** The kernel has taken the batch that `takeBatch` gave; `atOnce`: within the write. */
  | { readonly type: "sent"; readonly session: S; readonly atOnce: boolean }
  /** The client sends no more (FIN). Its outbox is still written and its paused messages are still delivered. */
  | { readonly type: "ended"; readonly session: S }
  /** The connection is closed, by either side. */
  | { readonly type: "disconnected"; readonly session: S; readonly reason: CloseReason }
  /** The peer has not acknowledged so many bytes of those that the kernel holds for it. */
  | { readonly type: "unacknowledged"; readonly session: S; readonly bytes: number }
  /** The hub shuts down: nothing more is read, outboxes are still written, and clients are told. */
  | { readonly type: "stopping" }
  /** The instant of `wakeAtMs` has come. */
  | { readonly type: "woke" }
  /** A turn of the event loop is over and its outboxes are flushed: work beyond the turn's limit continues. */
  | { readonly type: "turned" }
  /** While `hasLeftOver`: the next sender that the last turn left over goes on, if this one has time left. */
  | { readonly type: "continued" }
  /** The other hub has received all bytes of the stream to it before `offset`. */
  | { readonly type: "hubReceived"; readonly hub: H; readonly offset: number }
  /** @param heardAtMs when the hub was last heard */
  | {
      readonly type: "hubLost";
      readonly hub: H;
      readonly reason: "hubLost" | "stopping";
      readonly heardAtMs: number;
    }
  /** The stream to another hub cannot continue where it was, and begins anew. */
  | { readonly type: "hubMissed"; readonly hub: H }
  /** The stream from another hub begins, perhaps again. */
  | { readonly type: "hubBegan"; readonly hub: H }
  /** The transport keeps so many bytes of the streams to and from another hub. */
  | { readonly type: "hubBuffered"; readonly hub: H; readonly bytes: number };

interface RemotesView extends Readonly<Pick<RemoteHubs, "size" | "held" | "gapsTold" | "framesRefused">> {
  readonly hubs: Iterable<HubView>;
  /** The clients of other hubs. */
  all(): Iterable<{ readonly id: number }>;
}

/**
 * The hub without sockets, clock or timers. `handle` takes a fact and returns what the shell has to do; the lists of
 * `Effects` are reused, so that a delivery makes no object.
 */
export class HubMachine {
  readonly #state: HubState;
  readonly #delivery: Delivery;
  readonly #links: HubLinks;
  readonly #frames: Frames;
  readonly #deadlines: Deadlines;
  #tickAtMs = Number.POSITIVE_INFINITY;
  /** When the shell was given the last batch to write. */
  #takenAtMs = 0;

  constructor(options: Partial<MachineOptions> = {}) {
    this.#state = new HubState({ ...MACHINE_DEFAULTS, ...options });
    this.#delivery = new Delivery(this.#state, (hub, reason) => this.#links.fault(hub, reason));
    this.#links = new HubLinks(this.#state, this.#delivery);
    this.#frames = new Frames(this.#state, this.#delivery, this.#links);
    this.#deadlines = new Deadlines(this.#state, this.#delivery);
  }

  get sessions(): ReadonlySet<SessionView> {
    return this.#state.sessions;
  }

  get effects(): Effects {
    return this.#state.effects;
  }

  get memory(): Readonly<Pick<MemoryBudget, "usedBytes" | "peakBytes" | "maxBytes">> {
    return this.#state.memory;
  }

  /** The number of clients that others can see. */
  get listed(): number {
    return this.#state.roster.size;
  }

  get groups(): number {
    return this.#state.groups.size;
  }

  /** Other hubs and their clients. */
  get remotes(): RemotesView {
    return this.#state.remotes;
  }

  /** Whether one more client can connect. */
  get hasIds(): boolean {
    return this.#state.roster.hasIds;
  }

  /** The instant (epoch ms) at which the machine wants `woke`; `Infinity` when it waits for nothing. */
  get wakeAtMs(): number {
    return Math.min(this.#tickAtMs, this.#delivery.flow.wakeAtMs);
  }

  /** Whether the shell owes the input `turned` at the end of this turn of the event loop. */
  get worked(): boolean {
    return this.#state.turnBytes > 0;
  }

  /** Whether senders wait for the next turn. */
  get turnSpent(): boolean {
    return this.#state.turnSpent;
  }

  /** Whether the shell owes the input `continued`. */
  get hasLeftOver(): boolean {
    return this.#delivery.flow.hasLeftOver;
  }

  handle(input: HubInput, nowMs: number): Effects {
    this.#state.setNow(nowMs);
    // The shell has no other sessions and hubs than those that `connect` and `connectHub` returned.
    this.#apply(input as HubInput<Session, RemoteHub>);
    this.#resume();
    return this.#state.effects;
  }

  /**
   * The oldest queued bytes of a session, as vectors for one write; empty when nothing is queued or the last batch is
   * not `sent`.
   */
  takeBatch(session: SessionView, nowMs: number): Buffer[] {
    this.#takenAtMs = nowMs;
    return (session as Session).outbox.take(nowMs);
  }

  /** A chunk of a session that is `parked`: the shell keeps the copy, and hands it over when the session is read again. */
  park(session: SessionView, chunk: Buffer): Buffer {
    const { frames } = this.#state;
    const parked = frames.park(chunk);
    if (parked === chunk) return chunk;
    frames.backingOf(chunk).release();
    this.#countWaiting(session as Session, parked.length);
    return parked;
  }

  /** A connection is open: the session by which inputs and effects name it. */
  connect(nowMs: number): SessionView {
    const { options, roster, memory, frames, joins, sessions } = this.#state;
    this.#state.setNow(nowMs);
    const id = roster.nextId();
    const session = new Session(id, new Inbox(frames), new Outbox(id, memory, joins), nowMs);
    sessions.add(session);
    if (roster.size >= options.clientsMax) session.refusal = "clientsMax";
    else if (options.refuseToken !== undefined) session.refusal = "unauthorized";
    if (session.refusal === undefined) this.#delivery.list(session);
    else session.inbox.frameBytesMax = 4 + HUB_LIMITS.nameBytesMax + HUB_LIMITS.tokenBytesMax;
    if (this.#tickAtMs === Number.POSITIVE_INFINITY) this.#tickAtMs = nowMs + HUB_LIMITS.tickMs;
    return session;
  }

  /** Another hub is found: the shell carries the outbox of its session there as a stream of bytes. */
  connectHub(key: string, name: string, nowMs: number): HubView {
    this.#state.setNow(nowMs);
    const hub = this.#links.begin(key, name);
    this.#resume();
    return hub;
  }

  #apply(input: HubInput<Session, RemoteHub>): void {
    const state = this.#state;
    const delivery = this.#delivery;
    switch (input.type) {
      case "received":
        this.#received(input.session, input.chunk);
        break;
      case "sent":
        if (input.atOnce) state.extendTurn(state.nowMs - this.#takenAtMs);
        input.session.outbox.written(state.nowMs, input.atOnce);
        delivery.flow.progressed(input.session);
        break;
      case "ended":
        delivery.close(input.session, "clientClosed", true);
        break;
      case "disconnected":
        delivery.close(input.session, input.reason);
        input.session.outbox.drop();
        this.#countWaiting(input.session, 0);
        state.sessions.delete(input.session);
        if (state.sessions.size > 0) break;
        this.#tickAtMs = Number.POSITIVE_INFINITY;
        state.frames.freeKept();
        break;
      case "unacknowledged":
        this.#deadlines.unacknowledged(input.session, input.bytes);
        break;
      case "stopping":
        delivery.flow.stop(state.sessions);
        for (const session of state.sessions) delivery.close(session, "stopping");
        break;
      case "woke":
        this.#woke();
        break;
      case "turned":
        state.beginTurn();
        delivery.flow.turned();
        break;
      case "continued":
        delivery.flow.resumeLeftOver();
        break;
      case "hubReceived":
        input.hub.confirmed(input.offset);
        break;
      case "hubLost":
        this.#links.end(input.hub, input.reason, input.heardAtMs);
        break;
      case "hubMissed":
        this.#links.restart(input.hub);
        break;
      case "hubBegan":
        this.#links.streamBegan(input.hub);
        break;
      case "hubBuffered":
        state.memory.add(input.bytes - input.hub.bufferedBytes);
        input.hub.bufferedBytes = input.bytes;
    }
  }

  /** The bytes of a session that wait in the shell. */
  #countWaiting(session: Session, bytes: number): void {
    this.#state.memory.add(bytes - session.waitingBytes);
    session.waitingBytes = bytes;
  }

  #received(session: Session, chunk: Buffer): void {
    if (session.waitingBytes > 0) this.#countWaiting(session, 0);
    if (!session.sending) return;
    session.bytesIn += chunk.length;
    session.chunkBytes = chunk.length;
    const work = HUB_LIMITS.turnReceivedFactor * chunk.length;
    this.#state.turnBytes += work;
    session.share.spend(work);
    session.heardAtMs = this.#state.nowMs;
    session.inbox.push(chunk);
    this.#frames.pump(session);
  }

  #woke(): void {
    const { nowMs } = this.#state;
    this.#delivery.flow.woke();
    if (nowMs < this.#tickAtMs) return;
    const isDone = this.#deadlines.check();
    this.#tickAtMs = nowMs + (isDone ? HUB_LIMITS.tickMs : HUB_LIMITS.shareStepMs);
    this.#state.frames.freeUnused();
  }

  /** Resumes paused senders, which may let others resume. */
  #resume(): void {
    const { flow } = this.#delivery;
    flow.memoryQueue.freed();
    while (flow.ready.length > 0) {
      for (const session of flow.ready.splice(0)) {
        this.#frames.pump(session);
        if (session.pausedFor !== undefined) continue;
        if (session.open) flow.setReading(session, true);
        else this.#delivery.stopSending(session);
      }
      flow.memoryQueue.freed();
    }
  }
}

/** Dispatches the frames of a client or of another hub by their type. */
class Frames {
  readonly #relay: Relay;
  readonly #requests: Requests;
  readonly #linkReceiver: LinkReceiver;

  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
    links: HubLinks,
  ) {
    this.#relay = new Relay(state, delivery);
    this.#requests = new Requests(state, delivery);
    this.#linkReceiver = new LinkReceiver(state, delivery, links);
  }

  /** Handles the frames in the session's inbox until there are no more or the session pauses. */
  pump(session: Session): void {
    const before = this.state.turnBytes;
    session.share.grow(this.state.nowMs);
    this.#take(session, before);
    session.share.spend(this.state.turnBytes - before);
  }

  /** @param before the work of this turn that was done for others */
  #take(session: Session, before: number): void {
    const { inbox, share } = session;
    const { memory } = this.state;
    const { flow } = this.delivery;
    while (session.sending && session.pausedFor === undefined) {
      const found = inbox.peek();
      if (found === "frame") {
        if (this.#mustWait(share, before)) {
          flow.pauseForTurn(session, this.state.turnBytes > before);
          if (session.link === undefined && !MESSAGES.has(inbox.buffer[inbox.start + 4]!)) session.park();
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
      // Before a frame is begun: a paused sender holds one frame in memory, not two.
      if (!this.#relay.endRun(session)) return;
      const withinShare = share.covers(this.state.turnBytes - before);
      if (found === "begins") {
        if (inbox.begin(withinShare)) continue;
        flow.pauseForMemory(session);
      } else if (found !== "more") this.#refuse(session, found);
      else if (memory.isFullFor(withinShare) && !inbox.midFrame) flow.pauseForMemory(session);
      else {
        session.frameBeganAtMs = inbox.midFrame ? session.frameBeganAtMs || this.state.nowMs : 0;
        if (this.#mustWait(share, before)) flow.pauseForTurn(session, true);
      }
      return;
    }
  }

  /** @param before the work of this turn that was done for others */
  #mustWait(share: Share, before: number): boolean {
    const { turnSpent, turnBytes, sharesReserve } = this.state;
    return turnSpent && !share.covers(turnBytes - before + sharesReserve);
  }

  /** Messages before the fault are still delivered, after a pause if need be. */
  #refuse(session: Session, reason: CloseReason): void {
    if (this.#relay.endRun(session)) this.delivery.close(session, reason);
  }

  #frame(session: Session): Outcome {
    const { inbox } = session;
    const type = inbox.buffer[inbox.start + 4]!;
    if (session.refusal !== undefined && type !== FRAME.hello) return session.refusal;
    // Messages are the most frequent frames.
    if (type === FRAME.relay) return this.#relay.toListV1(session);
    if (session.version > 1) {
      if (type === FRAME.namedRelay) return this.#relay.toListV2(session);
      if (type === FRAME.toAll) return this.#relay.toAll(session);
      if (type === FRAME.toGroup) return this.#relay.toGroup(session);
    }
    if (session.link !== undefined) {
      this.#linkReceiver.receive(session.link);
      return "done";
    }
    if (!this.#relay.endRun(session)) return "held";
    if (this.delivery.flow.holdsUp(session)) {
      // Its own answers would only make its full outbox fuller.
      this.delivery.flow.pauseForReceiver(session, session);
      session.park();
      return "held";
    }
    return this.#ask(session, type);
  }

  /** A request is paid for before the next one is answered, together with all frames that it causes for others. */
  #ask(session: Session, type: number): Outcome {
    // A client that has left gets no answers and joins no groups; only its messages are still delivered.
    if (!session.open) return "done";
    const { state } = this;
    const { memory } = state;
    const { flow } = this.delivery;
    if (session.share.requestWaitMs > 0) flow.pauseForShare(session);
    else if (session.answerBytes > HUB_LIMITS.answersBytesMax) flow.pause(session, "answers");
    else if (!memory.mayBegin(HUB_LIMITS.requestBytes, false)) flow.pauseForMemory(session);
    else if (state.turnRequestBytes >= HUB_LIMITS.turnRequestBytesMax) flow.pauseForTurn(session, true);
    if (session.pausedFor !== undefined) {
      session.park();
      return "held";
    }
    const before = state.turnBytes;
    const queuedBefore = session.outbox.bytes;
    state.turnBytes += HUB_LIMITS.requestBytes;
    const outcome = this.#request(session, type);
    if (!session.announced && outcome === "done") this.delivery.announce(session);
    session.answerBytes += session.outbox.bytes - queuedBefore;
    state.turnRequestBytes += state.turnBytes - before;
    session.share.ask(state.turnBytes - before);
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

const PING_TOKEN = Buffer.from("hubcast\n");

/** How long a connection that is turned away may take to say hello and be told why. */
const REFUSAL_MS = 1_000;

/** Deadlines of all clients, checked once a tick: 10,000 clients cost well under a millisecond. */
class Deadlines {
  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {}

  /**
   * Closes and announces a bounded number: each is told to all who watch, and a switch that dies silences thousands.
   * @returns false when some are left for a later turn
   */
  check(): boolean {
    const { state } = this;
    const bytesMax = state.turnBytes + HUB_LIMITS.tickBytesMax;
    let closings = 0;
    for (const session of state.sessions) {
      if (!session.open) {
        // It has ended, and gets what was queued before.
        this.#progress(session);
        continue;
      }
      if (closings >= HUB_LIMITS.turnEndingsMax || state.turnBytes >= bytesMax) return false;
      if (session.refusal !== undefined) this.#refused(session);
      else {
        if (!session.announced) this.delivery.announce(session);
        this.#progress(session);
        if (session.open) this.#frame(session);
        if (session.open && session.version > 1) this.#ping(session);
      }
      this.#dropStale(session);
      if (!session.open) closings += 1;
    }
    return true;
  }

  /** A client of version 1 answers no pings: unacknowledged bytes that do not change show that its peer is gone. */
  unacknowledged(session: Session, bytes: number): void {
    const takenBytes = session.outbox.bytesOut - bytes;
    if (bytes === 0) session.notTakenSinceMs = 0;
    else if (session.notTakenSinceMs === 0 || takenBytes !== session.takenBytes)
      session.notTakenSinceMs = this.state.nowMs;
    session.takenBytes = takenBytes;
  }

  #refused(session: Session): void {
    const { nowMs, options } = this.state;
    const waitedMs = nowMs - session.connectedAtMs;
    if (session.refusal === "clientsMax") {
      if (waitedMs >= REFUSAL_MS) this.delivery.close(session, "clientsMax");
    } else if (waitedMs >= options.handshakeTimeoutMs) this.delivery.close(session, "handshakeTimeout");
  }

  /** A client that sends no more would keep the receivers of its last message in memory after they have left. */
  #dropStale(session: Session): void {
    const { recipients, run } = session;
    const waits = run !== undefined && run.count > 0;
    if (!waits && recipients?.isStale(this.state.roster.epoch)) session.recipients = undefined;
  }

  /** The peer takes nothing: it is frozen, has lost power, or the cable is cut. */
  #progress(session: Session): void {
    const { nowMs, options } = this.state;
    const { notTakenSinceMs } = session;
    const kernelStalledMs = notTakenSinceMs > 0 ? nowMs - notTakenSinceMs : 0;
    if (Math.max(session.stalledMs(nowMs), kernelStalledMs) >= options.progressTimeoutMs)
      this.delivery.cut(session, "slowConsumer");
  }

  #frame(session: Session): void {
    const beganAtMs = session.frameBeganAtMs;
    if (!session.reading || beganAtMs === 0) return;
    if (this.state.nowMs - beganAtMs >= this.state.options.frameTimeoutMs)
      this.delivery.close(session, "frameTimeout");
  }

  #ping(session: Session): void {
    const { nowMs, options } = this.state;
    if (!session.reading) {
      this.#reassure(session);
      return;
    }
    const silentMs = nowMs - session.heardAtMs;
    if (session.pingSentAtMs > 0) {
      const waitedMs = Math.min(silentMs, nowMs - session.pingSentAtMs);
      if (waitedMs >= options.pingTimeoutMs) this.delivery.close(session, "pingTimeout");
    } else if (silentMs >= options.pingIntervalMs) {
      session.pingSentAtMs = nowMs;
      this.delivery.answer(session, pingFrame(FRAME.ping, PING_TOKEN));
    }
  }

  /** A client that the hub does not read hears no answers and would give the hub up. */
  #reassure(session: Session): void {
    const { nowMs, options } = this.state;
    const toldAtMs = Math.max(session.outbox.progressAtMs, session.unreadAtMs);
    if (session.outbox.bytes > 0 || nowMs - toldAtMs < options.pingIntervalMs / 2) return;
    this.delivery.answer(session, pingFrame(FRAME.ping, PING_TOKEN));
  }
}
